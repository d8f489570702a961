"""The scenario reference says what is so: its examples run, and it has each key of each section, no more."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from controllers.design_space import DesignSpace
from controllers.linear import section as mpc_config
from controllers.operation import config, rules
from controllers.regulatory import feed_forward, pid_section, ratio, recipe, split_range
from cosim import (
    Results,
    Scenario,
    action_specs,
    build_system,
    distributions,
    disturbance_specs,
    load_scenario,
    scenario,
    simulate,
)
from fmus.errors import GalenicError
from fmus.quantity import parse_quantity
from galenic import kpi_expressions, kpi_section
from galenic.kpi import kpis_of

PAGE = Path(__file__).parents[2] / "docs" / "scenarios.md"
TEXT = PAGE.read_text(encoding="utf-8")
_BLOCKS = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
EXAMPLES = [block for block in _BLOCKS if re.match("scenario:|extends:", block)]

#: The heading below which each section's table stands, with the headings above it where the name alone is not enough.
SECTIONS: dict[str, type[BaseModel]] = {
    "Top level": scenario.Scenario,
    "master": scenario.MasterSpec,
    "components": scenario.ComponentSpec,
    "connections": scenario.ConnectionSpec,
    "components/drawn values": distributions.DistributionSpec,
    "components/drawn values/normal": distributions.NormalSpec,
    "components/drawn values/lognormal": distributions.LognormalSpec,
    "components/drawn values/uniform": distributions.UniformSpec,
    "components/drawn values/choice": distributions.ChoiceSpec,
    "sensors": scenario.SensorSpec,
    "disturbances": disturbance_specs.DisturbanceSpec,
    "disturbances/step": disturbance_specs.StepSpec,
    "disturbances/ramp": disturbance_specs.RampSpec,
    "disturbances/sine": disturbance_specs.SineSpec,
    "disturbances/noise": disturbance_specs.NoiseSpec,
    "disturbances/walk": disturbance_specs.WalkSpec,
    "disturbances/lots": disturbance_specs.LotsSpec,
    "disturbances/lots/correlation": disturbance_specs.CorrelationSpec,
    "actions": action_specs.ActionSpec,
    "actions/fault": action_specs.FaultSpec,
    "stop_when": action_specs.StopSpec,
    "controllers/pid": pid_section.PIDConfig,
    "controllers/pid/track": pid_section.TrackConfig,
    "controllers/feed_forward": feed_forward.FeedForwardConfig,
    "controllers/feed_forward/signals": feed_forward.FeedForwardSignalConfig,
    "controllers/ratio": ratio.RatioConfig,
    "controllers/ratio/feeders": ratio.FeederConfig,
    "controllers/recipe": recipe.RecipeConfig,
    "controllers/split_range": split_range.SplitRangeConfig,
    "controllers/split_range/main": split_range.ActuatorConfig,
    "controllers/mpc": mpc_config.MPCConfig,
    "controllers/mpc/measurements": config.MeasurementConfig,
    "controllers/mpc/measurements/quality": config.QualityConfig,
    "controllers/mpc/controlled": config.ControlledConfig,
    "controllers/mpc/manipulated": config.ManipulatedConfig,
    "controllers/mpc/operation": rules.OperationConfig,
    "controllers/mpc/operation/fallback": rules.LimitsConfig,
    "controllers/mpc/operation/mismatch": rules.MismatchConfig,
    "controllers/mpc/operation/advisory": rules.AdvisoryConfig,
    "controllers/mpc/disturbances of the model": mpc_config.DisturbanceConfig,
    "kpis": kpi_section.KpiSection,
    "kpis/product": kpi_section.ProductSection,
    "kpis/quality": kpi_section.QualitySection,
    "kpis/final": kpi_section.FinalSection,
    "kpis/settling": kpi_section.SettlingSection,
    "kpis/start_up": kpi_section.StartUpSection,
    "kpis/expressions": kpi_expressions.ExpressionSection,
    "kpis/design_space": kpi_section.DesignSpaceSection,
    "kpis/solver": kpi_section.SolverSection,
    "kpis/balance": kpi_section.BalanceSection,
    "plot": scenario.PlotPanel,
    "record": scenario.RecordSpec,
}


def fields_of(heading: str) -> dict[str, FieldInfo]:
    """The fields of a section by the keys that a file has."""
    return {field.alias or name: field for name, field in SECTIONS[heading].model_fields.items()}


def tables() -> dict[str, dict[str, list[str]]]:
    """The cells of each row by key, by the path of headings."""
    found: dict[str, dict[str, list[str]]] = {}
    headings: list[str] = []
    for line in TEXT.splitlines():
        if match := re.match(r"(##+) (.*)", line):
            headings = [*headings[: len(match[1]) - 2], match[2]]
        elif match := re.match(r"\| `(\w+)` \|", line):
            found.setdefault("/".join(headings), {})[match[1]] = [c.strip() for c in line.split("|")[2:-1]]
    return found


@pytest.mark.parametrize("heading", SECTIONS)
def test_the_page_names_every_key_and_no_other(heading: str) -> None:
    fields = fields_of(heading)
    rows = tables()[heading]
    assert set(rows) == set(fields)
    required = {name for name, field in fields.items() if field.is_required()}
    said = {name for name, cells in rows.items() if cells[1] == "required"}
    # a controller's type chooses the section, so that its default never counts
    assert said - {"type"} == required - {"type"}


@pytest.mark.parametrize("heading", SECTIONS)
def test_defaults_are_those_of_the_code(heading: str) -> None:
    rows = tables()[heading]
    for name, field in fields_of(heading).items():
        said, default = rows[name][1].strip("`"), field.default
        if name == "type" or isinstance(default, bool) or (not default and default != 0):
            continue
        if isinstance(default, int | float):
            assert parse_quantity(said, "1") == pytest.approx(default), name
        elif isinstance(default, str):
            assert said == default, name


def test_no_section_of_a_scenario_is_left_out() -> None:
    modules = (
        scenario,
        action_specs,
        disturbance_specs,
        distributions,
        pid_section,
        feed_forward,
        ratio,
        recipe,
        split_range,
        mpc_config,
        config,
        rules,
        kpi_section,
        kpi_expressions,
    )
    models = {
        model
        for module in modules
        for model in vars(module).values()
        if isinstance(model, type) and issubclass(model, BaseModel) and model.__module__ == module.__name__
    }
    shared = {config.CommonConfig}  # its keys are those of the sections that extend it
    assert {m for m in models if not m.__name__.startswith("_")} - shared == set(SECTIONS.values())


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_each_complete_example_builds(number: int, tmp_path: Path) -> None:
    file = tmp_path / "example.yaml"
    file.write_text(EXAMPLES[number], encoding="utf-8")
    loaded = load_scenario(file)
    kpi_section.kpi_section(loaded)
    assert build_system(loaded).names


def test_the_minimal_example_runs_and_holds_the_force(tmp_path: Path) -> None:
    file = tmp_path / "my_press.yaml"
    file.write_text(EXAMPLES[0], encoding="utf-8")
    loaded = load_scenario(file)
    results = simulate(loaded, out=tmp_path / "run")
    force = results.frame(["press.main_compression_force"]).iloc[:, 0]
    assert force.iloc[-60:].mean() == pytest.approx(6.0, abs=0.05)
    assert any(kpi.name.startswith("weight") for kpi in kpis_of(loaded, results))


def test_the_other_examples_are_design_spaces_that_load(tmp_path: Path) -> None:
    others = [block for block in _BLOCKS if block not in EXAMPLES]
    assert len(others) == 1
    file = tmp_path / "space.yaml"
    file.write_text(others[0], encoding="utf-8")
    assert DesignSpace.load(file).setpoints


def test_short_examples_in_cells_are_yaml() -> None:
    for rows in tables().values():
        for cells in rows.values():
            for example in re.findall(r"^`(.*)`$", cells[3]):
                assert yaml.safe_load(f"key: {example}")["key"] is not None


def test_an_error_without_a_better_cure_names_the_page(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(EXAMPLES[1] + "seed: -1\n", encoding="utf-8")
    with pytest.raises(GalenicError, match=r"docs/scenarios\.md"):
        load_scenario(file)


def example(words: str) -> str:
    """The complete example that has these words."""
    (found,) = [text for text in EXAMPLES if words in text]
    return found


def run_example(text: str, folder: Path, overrides: tuple[str, ...] = ()) -> tuple[Scenario, Results]:
    file = folder / "example.yaml"
    file.write_text(text, encoding="utf-8")
    loaded = load_scenario(file, overrides)
    return loaded, simulate(loaded, out=folder / "run")


def test_the_example_of_actions_does_what_the_page_says(tmp_path: Path) -> None:
    _, results = run_example(example("wrong_probe"), tmp_path)
    signals = ["press.turret_speed_setpoint", "press.fill_depth_setpoint", "force_sensor.value", "force_sensor.sample"]
    frame = results.frame([*signals, "press.main_compression_force"])
    speed = frame["press.turret_speed_setpoint"]
    assert speed.loc[290.0] == 120_000.0
    assert speed.loc[450.0] == 100_000.0
    assert frame["press.fill_depth_setpoint"].loc[721.0:809.0].nunique() == 1
    assert frame["press.fill_depth_setpoint"].loc[811.0:900.0].nunique() > 1
    error = (frame["force_sensor.value"] - frame["press.main_compression_force"]).loc[901.0:1199.0]
    assert error.mean() == pytest.approx(0.12, abs=0.03)
    shown = frame["force_sensor.sample"]
    assert shown.loc[900.0] - shown.loc[600.0] == 30.0
    assert 15.0 <= shown.loc[1200.0] - shown.loc[900.0] < 30.0
    names = {event["name"] for event in results.metadata["actions"]}
    assert {"slower", "jam", "wrong_probe"} <= names


def test_the_example_of_kpis_reports_them(tmp_path: Path) -> None:
    loaded, results = run_example(example("expressions:"), tmp_path, ("controllers.mpc=null", "kpis.solver=null"))
    found = {kpi.name: kpi for kpi in kpis_of(loaded, results)}
    assert found["expression_yield"].value == pytest.approx(100.0, abs=5.0)
    assert found["expression_soft"].unit == "%"
    assert found["expression_force"].value == pytest.approx(6.0, abs=0.3)
