"""One run from the command line: scenario, folder, simulation, indicators, figure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmus.errors import GalenicError
from fmus.quantity import parse_quantity
from galenic.indicator import Kpi
from galenic.kpi_section import check_signals, kpi_section, seconds

if TYPE_CHECKING:
    from cosim import Results, Scenario, Simulation

RUNS = "runs"
KPI_FILE = "kpis.json"
FIGURE_FILE = "figure.png"
LOG_FILE = "run.log"


@dataclass(frozen=True)
class Outcome:
    """What a run gave."""

    folder: Path
    results: Results
    kpis: list[Kpi]

    @property
    def complete(self) -> bool:
        """Whether the run reached its end."""
        return self.results.complete


def load(name: str, duration: str | None = None, overrides: Sequence[str] = ()) -> Scenario:
    """A scenario by name or path, with another duration and other values (`cosim.overrides`) where given.

    Raises:
        GalenicError: as `cosim.load_scenario`, or the duration is no multiple of the communication step.
    """
    from cosim import find_scenario, load_scenario

    # absolute, so that the run's folder can be read from anywhere
    return with_duration(load_scenario(find_scenario(name).resolve(), overrides), duration)


def with_duration(scenario: Scenario, duration: float | str | None) -> Scenario:
    """A scenario that lasts for another time, in s or as text; None leaves it. Raises GalenicError like `load`."""
    if duration is None:
        return scenario
    try:
        wanted = parse_quantity(duration, "s")
    except GalenicError as error:
        raise GalenicError(f"--duration: {error.message}", cure="write for example --duration '30 min'") from error
    steps = wanted / scenario.communication_step
    if round(steps) < 1 or abs(steps - round(steps)) > 1e-6:
        raise GalenicError(
            f"--duration: {wanted:g} s is not a whole number of communication steps "
            f"of {scenario.communication_step:g} s",
            cure="write for example --duration '30 min'",
        )
    return scenario.model_copy(update={"duration": wanted})


def new_folder(name: str, out: Path | None = None) -> Path:
    """Where a run's files go: ``out``, else a new folder below ``runs`` in the working folder. Not created yet.

    Raises:
        GalenicError: ``out`` is a file, or a folder with other things in it.
    """
    if out is not None:
        _refuse_foreign(out)
        return out
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = Path(RUNS) / f"{name}-{stamp}"
    number = 2
    while folder.exists():
        folder = Path(RUNS) / f"{name}-{stamp}-{number}"
        number += 1
    return folder


def newest_run() -> Path:
    """The folder below ``runs`` whose run began last.

    Raises:
        GalenicError: there is none.
    """
    from cosim import Results

    found: dict[str, Path] = {}
    for file in Path(RUNS).glob("*/metadata.json"):
        try:
            found[str(Results.open(file.parent).metadata.get("started"))] = file.parent
        except GalenicError:  # not a run, or one of another version
            continue
    if not found:
        raise GalenicError(f"there is no run below ./{RUNS}", cure="give the folder of a run")
    return found[max(found)]


def _refuse_foreign(out: Path) -> None:
    cure = "give a new folder, or the folder of an earlier run, which is then replaced"
    if out.is_file():
        raise GalenicError(f"--out: '{out}' is a file", cure=cure)
    marks = ("metadata.json", "compare.json")
    if out.is_dir() and any(out.iterdir()) and not any((out / mark).exists() for mark in marks):
        raise GalenicError(f"--out: the folder '{out}' holds other files", cure=cure)


def build(
    scenario: Scenario,
    folder: Path,
    *,
    seed: int | None = None,
    without: Sequence[str] = (),
    real_time: float | None = None,
    checkpoint_every: float | None = None,
) -> Simulation:
    """Build a run and check all that it will report. Raises GalenicError before anything runs or is written."""
    import pandas as pd

    from cosim import Simulation
    from cosim.recording import selections
    from galenic.kpi import compute
    from galenic.panels import panels_of

    section = kpi_section(scenario)
    options: dict[str, Any] = {"seed": seed, "without": without, "real_time": real_time}
    simulation = Simulation(scenario, out=folder, checkpoint_every=checkpoint_every, **options)
    units = {name: unit for group in selections(simulation.system) for name, unit in group.units.items()}
    check_signals(scenario, section, units, without)
    # what the report would refuse after hours it refuses now: its numbers and panels are made of no data
    compute(scenario, section, pd.DataFrame(columns=list(units), index=pd.Index([], dtype=float), dtype=float), units)
    panels_of(scenario, units)
    return simulation


def interval(option: str, text: str | None) -> float | None:
    """A time in s from an option of the command line. Raises GalenicError that names the option."""
    if text is None:
        return None
    try:
        seconds_ = parse_quantity(text, "s")
    except GalenicError as error:
        raise GalenicError(f"{option}: {error.message}", cure=f"write for example {option} 1h") from error
    if not seconds_ > 0.0:
        raise GalenicError(f"{option}: '{text}' is not above zero", cure=f"write for example {option} 1h")
    return seconds_


def warning_of(scenario: Scenario) -> str:
    """What the user should know before a run; empty where there is nothing."""
    section = kpi_section(scenario)
    warm_up = seconds(scenario, ("product", "warm_up"), section.product.warm_up)
    if section.quality and warm_up >= scenario.duration:
        return f"The warm-up of {warm_up:g} s covers the whole run, so there will be no KPIs of quality."
    return ""


def warnings_of_values(simulation: Simulation) -> list[str]:
    """What to know of values beside the file's: an input that something drives only starts with its own."""
    drivers = simulation.system.drivers
    given = [(text, text.partition("=")[0].strip()) for text in simulation.scenario.overrides]
    return [
        f"--set {text}: {drivers[signal] or 'a disturbance'} drives {signal}, which only starts with this value."
        for text, signal in given
        if signal in drivers
    ]


def notices_of(simulation: Simulation) -> list[str]:
    """What its controllers tell of their models, such as that the plant has changed since they were identified."""
    found = simulation.system.controllers.items()
    return [f"{name}: {notice}." for name, controller in found for notice in getattr(controller, "notices", ())]


def finish(scenario: Scenario, folder: Path) -> Outcome:
    """Compute the indicators of what a run left in its folder, and write them beside it."""
    from cosim import Results
    from galenic.kpi import kpis_of

    results = Results.open(folder)
    kpis = kpis_of(scenario, results, results.metadata.get("wall_time"))
    metadata = results.metadata
    keys = ("scenario", "seed", "set", "without", "complete", "stopped", "simulated_time", "wall_time", "cpu_time",
            "real_time", "started", "versions")  # fmt: skip
    content = {key: metadata.get(key) for key in keys} | {"kpis": {k.name: k.to_json() for k in kpis}}
    write_json(folder / KPI_FILE, content)
    return Outcome(folder, results, kpis)


def run_quietly(
    scenario: Scenario,
    folder: Path,
    *,
    seed: int | None = None,
    without: Sequence[str] = (),
    progress: Callable[[float], None] | None = None,
) -> Outcome:
    """Build, run and finish, saying nothing. Raises like `build` and `Simulation.run`."""
    simulation = build(scenario, folder, seed=seed, without=without)
    simulation.run(progress)
    return finish(scenario, folder)


def scenario_of(results: Results) -> Scenario:
    """The scenario of an earlier run, from the text that was kept with its results.

    Raises:
        GalenicError: the text is not one that this version reads.
    """
    from cosim import Scenario
    from cosim.yaml_lines import parse_yaml

    metadata = results.metadata
    file = Path(metadata.get("scenario_file") or "scenario.yaml")
    try:
        source = parse_yaml(str(metadata.get("scenario_text") or ""), file)
        return Scenario.from_source(source, file.parent, str(metadata.get("scenario") or file.stem))
    except GalenicError as error:
        # the lines are those of the text that was kept, not of the file as it is today
        raise GalenicError(
            f"the scenario kept with the results cannot be used: {error.message}",
            cure="run the scenario again with this version",
            file=results.folder / "metadata.json",
        ) from error


def controllers_of(scenario: Scenario, without: Sequence[str]) -> str:
    """The controllers in force, for titles."""
    names = [name for name in scenario.controllers if name not in without]
    return ", ".join(names) if names else "none (open loop)"


def title_of(scenario: Scenario, metadata: Mapping[str, Any]) -> str:
    """The title of a run's figure."""
    control = controllers_of(scenario, metadata.get("without") or ())
    text = f"{scenario.name}     seed {metadata.get('seed')}     controllers: {control}"
    return text if metadata.get("complete") else f"{text}     (interrupted)"


def draw_run(outcome: Outcome, scenario: Scenario, file: Path | None = None) -> Path:
    """Draw the figure of a run into its folder, or into ``file``."""
    from galenic.figure import Curve, draw

    return draw(
        scenario,
        [Curve(scenario.name, outcome.results)],
        file or outcome.folder / FIGURE_FILE,
        title=title_of(scenario, outcome.results.metadata),
        kpis=outcome.kpis,
    )


def write_json(file: Path, content: Any) -> None:
    """Write JSON. Like `write_text`."""
    write_text(file, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def write_text(file: Path, text: str) -> None:
    """Write a file so that it is either as before or whole: under a temporary name, then renamed.

    Raises:
        GalenicError: it cannot be written.
    """
    temporary = file.with_name(f".{file.name}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8", newline="\n")
        temporary.replace(file)
    except OSError as error:
        raise GalenicError(f"'{file}' cannot be written: {error.strerror or error}", cure="check the folder") from error
