from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosim import Simulation, build_system, simulate
from cosim.distributions import DistributionSpec, draw, lognormal
from cosim.disturbances import generator
from fmus.errors import GalenicError

BODY = """\
    components:
      a: {fmu: lag.fmu, start: {u: {normal: {mean: 10, std: 5 %}}}, parameters: {tau: {uniform: {min: 1 s, max: 2 s}}}}
      b: {fmu: lag.fmu, start: {u: {choice: {values: [1, 2, 3]}}}}
    """


def drawn(spec: dict, seed: int = 1, low: float = -np.inf, high: float = np.inf) -> float:
    return draw(
        DistributionSpec.model_validate(spec),
        generator(seed, "x"),
        lambda _path, value: float(value),
        lambda _path, value, _mean: float(value),
        (low, high),
        lambda path, message, cure: GalenicError(f"{path}: {message}", cure=cure),
    )


@pytest.mark.parametrize(
    ("spec", "mean", "std"),
    [
        ({"normal": {"mean": 5.0, "std": 0.5}}, 5.0, 0.5),
        ({"lognormal": {"mean": 5.0, "std": 1.5}}, 5.0, 1.5),
        ({"uniform": {"min": 4.0, "max": 10.0}}, 7.0, 6.0 / 12**0.5),
        ({"choice": {"values": [1.0, 2.0], "weights": [1.0, 3.0]}}, 1.75, 0.1875**0.5),
    ],
)
def test_draws_have_the_distributions_mean_and_spread(spec, mean, std):
    values = np.array([drawn(spec, seed) for seed in range(4000)])
    assert values.mean() == pytest.approx(mean, abs=4.0 * std / 4000**0.5)
    assert values.std() == pytest.approx(std, rel=0.08)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**40), low=st.floats(-3.0, 0.9), width=st.floats(0.2, 4.0))
def test_what_is_out_of_bounds_is_drawn_again(seed, low, width):
    assert low <= drawn({"normal": {"mean": 0.0, "std": 1.0}}, seed, low, low + width) <= low + width


def test_lognormal_has_its_median_at_zero():
    assert lognormal(5.0, 0.3, 0.0) == pytest.approx(5.0 / 1.09**0.5)


def test_what_is_drawn_depends_on_seed_and_name_only(scenario):
    def values(body: str, seed: int) -> dict[str, float]:
        system = build_system(scenario(body), seed=seed)
        return {c.name + "." + key: value for c in system.components for key, value in c.values.items()}

    first = values(BODY, 1)
    more = BODY.replace("u: {normal", "x: 0.5, u: {normal") + "\n      c: {fmu: lag.fmu, start: {u: 1}}"
    assert first.items() <= values(more.replace("x: 0.5, ", ""), 1).items()
    other = values(BODY, 2)
    assert other["a.u"] != first["a.u"]
    assert other["a.tau"] != first["a.tau"]


def test_the_runs_record_tells_what_was_drawn_from_what(scenario, tmp_path):
    results = simulate(scenario(BODY), out=tmp_path, seed=5)
    noted = json.loads((tmp_path / "metadata.json").read_text(encoding="utf-8"))["drawn"]
    assert set(noted) == {"start a.u", "start b.u", "parameters a.tau"}
    entry = noted["start a.u"]
    assert entry["from"] == {"normal": {"mean": 10, "std": "5 %"}}
    # so that one can draw it again
    assert entry["value"] == 10.0 + 0.5 * generator(5, "start a.u").standard_normal()
    assert results.frame()["a.u"].iloc[0] == entry["value"]


def test_a_drawn_start_value_is_in_force_from_the_start(scenario):
    with Simulation(scenario(BODY), seed=3) as simulation:
        simulation.initialize()
        assert simulation.get("b.u") in {1.0, 2.0, 3.0}


@pytest.mark.parametrize(
    ("wrong", "message", "line"),
    [
        ("start: {u: {normal: {mean: 10}}}", "'std' is missing in components.a.start.u.normal", 5),
        ("start: {u: {normal: {mean: 10, std: -1}}}", "must not be negative", 5),
        ("start: {u: {gauss: {mean: 10, std: 1}}}", "unknown key 'gauss'", 5),
        ("start: {u: {normal: {mean: 1, std: 1}, uniform: {min: 1, max: 2}}}", "one distribution", 5),
        ("start: {u: {uniform: {min: 2, max: 1}}}", "is not above", 5),
        ("start: {u: {lognormal: {mean: -2, std: 1}}}", "mean of a lognormal", 5),
        ("start: {u: {normal: {mean: 1, std: 1, min: 50}}}", "nothing of this distribution", 5),
        ("start: {u: {normal: {mean: 1 kg, std: 1}}}", "dimensions differ", 5),
        ("start: {u: {choice: {values: []}}}", "at least one", 5),
        ("start: {u: {choice: {values: [1], weights: [0]}}}", "weights do not fit", 5),
        ("start: {v: {normal: {mean: 1, std: 1}}}", "no variable that takes a start value 'v'", 5),
    ],
)
def test_a_wrong_distribution_is_named_with_its_line(scenario, wrong, message, line):
    with pytest.raises(GalenicError) as caught:
        build_system(scenario(f"components:\n  a: {{fmu: lag.fmu, {wrong}}}"))
    assert message in str(caught.value)
    assert caught.value.line == line
