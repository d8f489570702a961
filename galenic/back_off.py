"""How far a line wanders in closed loop from where its MPC wants it: the back-off of a design space."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from controllers.design_space import DesignSpace
from controllers.design_space.back_off import BackOff, Tightening
from controllers.design_space.ranges import Range
from fmus.errors import GalenicError, nearest
from galenic.ensemble_run import record_steps
from galenic.executors import run_all

if TYPE_CHECKING:
    from cosim import Scenario
    from cosim.component import FloatArray

#: Of an attribute's limits that a back-off has to leave.
_LEFT = 0.1
_SECTION = re.compile(r"^back_off:.*\n(?:(?:[ \t#].*)?\n)*", re.MULTILINE)


@dataclass(frozen=True)
class Watched:
    """A critical quality attribute: its name in the design space, its signal, and where the MPC wants it.

    Args:
        name: in the design space.
        signal: of the line.
        unit: of the signal; limits are in it too.
        low: lower limit, less back-off.
        high: upper limit, less back-off.
        wanted: signals with the MPC's target and its reference; the first that has a value is the centre, without any
            it is the run's own mean.
    """

    name: str
    signal: str
    unit: str
    low: float
    high: float
    wanted: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClosedLoop:
    """What the closed-loop runs of a scenario share.

    Args:
        scenario: path.
        overrides: values beside the file's.
        duration: in s.
        warm_up: in s; what is before does not count.
        allowed: share of the time after it that is left out, where the line is furthest away.
        controller: name of the MPC.
        watched: the attributes.
        file: the design space.
    """

    scenario: str
    overrides: tuple[str, ...]
    duration: float
    warm_up: float
    allowed: float
    controller: str
    watched: tuple[Watched, ...]
    file: str


@dataclass(frozen=True)
class ClosedRun:
    """One run.

    Args:
        seed: of its random numbers.
        below: how far each attribute came below its centre, not negative.
        above: how far above.
        outside: share of the time with any attribute out of its limits.
        margin: smallest margin of the setpoints in force; NaN where the design space has none of them.
        error: why it ended early, or empty.
    """

    seed: int
    below: tuple[float, ...]
    above: tuple[float, ...]
    outside: float
    margin: float
    error: str = ""

    def passed(self, allowed: float) -> bool:
        """Whether it kept to the limits."""
        return not self.error and self.outside <= allowed


@dataclass(frozen=True)
class Found:
    """What the runs say.

    Args:
        back_off: for the file.
        refused: attributes that wander more than their limits allow, with how far, (below, above) in the signal's unit.
        runs: all of them.
        in_specification: how many kept to the limits.
        share: of runs that stay within the back-off.
    """

    back_off: BackOff
    refused: Mapping[str, tuple[float, float]]
    runs: Sequence[ClosedRun]
    in_specification: int
    share: float


def closed_loop(name: str, scenario: Scenario, overrides: Sequence[str], allowed: float) -> ClosedLoop:
    """What to run and to watch.

    Raises:
        GalenicError: there is no MPC with a design space, or it has no quality attribute that the line has.
    """
    from cosim import Simulation, find_scenario
    from galenic.kpi_section import kpi_section, seconds

    sections = {n: c for n, c in scenario.controllers.items() if c.get("design_space")}
    if len(sections) != 1:
        count = "more than one controller" if sections else "no controller"
        raise GalenicError(
            f"'{scenario.name}' has {count} with a design space",
            cure="--back-off runs the scenario with its MPC, whose section has 'design_space: FILE'",
            file=scenario.file,
        )
    (controller, section), *_ = sections.items()
    file = scenario.resolve(str(section["design_space"]))
    space, kpis = DesignSpace.load(file), kpi_section(scenario)
    warm_up = seconds(scenario, ("product", "warm_up"), kpis.product.warm_up)
    if warm_up >= scenario.duration:
        raise GalenicError(
            f"the warm-up of {warm_up:g} s covers the whole run of {scenario.duration:g} s, so nothing would count",
            cure="give a longer --duration",
        )
    watched = []
    with Simulation(scenario) as simulation:
        ports = simulation.system.ports
        for key, known in space.critical_quality_attributes.items():
            signal = kpis.quality[key].signal if key in kpis.quality else key
            if signal not in ports:
                continue
            here = known.in_unit(ports[signal].unit)
            labels = (signal, signal.rpartition(".")[2])
            wanted = [f"{controller}.{label}.{what}" for what in ("target", "reference") for label in labels]
            shown = tuple(name for name in wanted if name in ports)
            watched.append(Watched(key, signal, here.unit, here.min, here.max, shown))
    if not watched:
        raise GalenicError(
            f"the design space '{file.name}' has no critical quality attribute that the scenario has",
            cure=nearest(next(iter(space.critical_quality_attributes), ""), ports),
            file=file,
        )
    return ClosedLoop(
        str(find_scenario(name).resolve()), tuple(overrides), scenario.duration, warm_up, allowed, controller,
        tuple(watched), str(file),
    )  # fmt: skip


def run_closed(
    plan: ClosedLoop, seeds: Sequence[int], executor: Executor, progress: Callable[[float], None] | None = None
) -> list[ClosedRun]:
    """The runs, one for each seed. Ctrl-C passes through; what has not begun then is cancelled."""
    return run_all(partial(evaluate, plan), seeds, executor, progress)


def evaluate(plan: ClosedLoop, seed: int) -> ClosedRun | None:
    """One run; None where it was told to stop. Raises GalenicError where the system cannot be built."""
    from cosim import Simulation
    from galenic import session

    scenario = session.with_duration(session.load(plan.scenario, None, list(plan.overrides)), plan.duration)
    space = DesignSpace.load(plan.file)
    with Simulation(scenario, seed=seed) as simulation:
        index, ports = simulation.system.index, simulation.system.ports
        columns = [index[w.signal] for w in plan.watched]
        targets = [[index[name] for name in w.wanted] for w in plan.watched]
        ranges = {n: r for n, r in space.hard_ranges(list(index)).items() if n in index}
        units = {n: ports[n].unit for n in ranges}
        places = [index[n] for n in ranges]

        def row(signals: FloatArray) -> FloatArray:
            first = np.array([_first(signals[wanted]) for wanted in targets])
            return np.concatenate([signals[columns], first, signals[places]])

        made = record_steps(simulation, 2 * len(columns) + len(places), row)
        if made is None:
            return None
        rows, error = made
        rows = rows[round(plan.warm_up / simulation.step_size) :]
    if not len(rows):
        nothing = (math.nan,) * len(columns)
        return ClosedRun(seed, nothing, nothing, 1.0, math.nan, error or "it stopped within the warm-up")
    values, wanted, held = np.split(rows, [len(columns), 2 * len(columns)], axis=1)
    centres = np.where(np.isfinite(wanted), wanted, values.mean(axis=0))
    low, high = (np.array([getattr(w, side) for w in plan.watched]) for side in ("low", "high"))
    inside = ((values >= low) & (values <= high)).all(axis=1)
    away = np.quantile(np.stack([centres - values, values - centres]), 1.0 - plan.allowed, axis=1)
    away = np.maximum(away, 0.0)
    return ClosedRun(
        seed,
        tuple(map(float, away[0])),
        tuple(map(float, away[1])),
        float((~inside).mean()),
        _least_margin(space, ranges, units, held),
        error,
    )


def _first(values: FloatArray) -> float:
    """The first that is a number; NaN where none is."""
    known = values[np.isfinite(values)]
    return float(known[0]) if len(known) else math.nan


def _least_margin(space: DesignSpace, ranges: Mapping[str, Range], units: Mapping[str, str], held: FloatArray) -> float:
    """The smallest margin of setpoints, shape (steps, len(ranges)), in ``units``; NaN where there are none."""
    from controllers.base import unit_factor

    if not ranges:
        return math.nan
    here = {}
    for (name, limits), values in zip(ranges.items(), held.T, strict=True):
        factor, offset = unit_factor(units[name], limits.unit)
        here[name] = factor * values + offset
    return float(space.margins(here).min())


def learn(plan: ClosedLoop, runs: Sequence[ClosedRun], share: float) -> Found:
    r"""The back-off from the runs.

    Of each attribute the quantile over runs of how far it came from its centre, to each side that has a limit: of
    ``share`` of the runs (order statistic, so that it is not below that share of those seen). For a region with a
    probability the difference between what was asked for and what closed loop gave,
    logit(at_least) - logit(p), where p = (k + 1/2) / (n + 1) of k runs of n in specification, if positive.

    Raises:
        GalenicError: every run ended early.
    """
    usable = [run for run in runs if not run.error]
    if not usable:
        raise GalenicError(f"every run ended early: {runs[0].error}", cure="galenic run shows why")
    attributes, refused = {}, {}
    for i, watched in enumerate(plan.watched):
        below, above = (
            float(np.quantile([sides[i] for sides in every], share, method="higher"))
            for every in ([r.below for r in usable], [r.above for r in usable])
        )
        sides = (
            _round(below) if math.isfinite(watched.low) else 0.0,
            _round(above) if math.isfinite(watched.high) else 0.0,
        )
        if sum(sides) > (1.0 - _LEFT) * (watched.high - watched.low):
            refused[watched.name] = sides
        elif max(sides) > 0.0:
            attributes[watched.name] = Tightening(*sides, watched.unit)
    passed = sum(run.passed(plan.allowed) for run in runs)
    space = DesignSpace.load(plan.file)
    region = 0.0
    asked = getattr(space.region, "at_least", None)
    if asked is not None and any(math.isfinite(run.margin) for run in runs):
        given = (passed + 0.5) / (len(runs) + 1.0)
        region = max(0.0, math.log(asked / (1.0 - asked)) - math.log(given / (1.0 - given)))
    found = BackOff(attributes, _round(region))
    return Found(found, refused, tuple(runs), passed, share)


def _round(value: float) -> float:
    """Up to two figures, so that it does not become less."""
    if value <= 0.0 or not math.isfinite(value):
        return max(value, 0.0)
    scale = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / scale - 1e-9) * scale:.6g}")


def write(plan: ClosedLoop, found: Found, file: Path, notes: Mapping[str, Any]) -> None:
    """Write the design space with this back-off; the rest of the file stays as it was, comments too.

    Raises:
        GalenicError: it cannot be written, or does not read back.
    """
    from galenic.session import write_text

    content: dict[str, Any] = {
        **({"region": found.back_off.region} if found.back_off.region else {}),
        "attributes": {
            name: {"low": t.low, "high": t.high, "unit": t.unit} for name, t in found.back_off.attributes.items()
        },
        "provenance": dict(notes),
    }
    section = yaml.safe_dump(
        {"back_off": content}, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True
    )
    text = _SECTION.sub("", Path(plan.file).read_text(encoding="utf-8")).rstrip("\n")
    write_text(file, f"{text}\n{section}")
    DesignSpace.load(file)


def with_file(plan: ClosedLoop, file: Path) -> ClosedLoop:
    """The same runs with another design-space file for the MPC."""
    change = f"controllers.{plan.controller}.design_space={file.resolve().as_posix()}"
    return replace(plan, overrides=(*plan.overrides, change), file=str(file.resolve()))
