"""What the ensemble of a design space varies, and what it asks of the quality attributes."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from controllers.design_space.ranges import Range
from fmus.errors import GalenicError, nearest
from fmus.quantity import convert, parse_quantity

if TYPE_CHECKING:
    from cosim import Scenario, System
    from cosim.component import FloatArray

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE = re.compile(rf"\s*({_NUMBER})\s*([^:]*?)\s*:\s*({_NUMBER})\s*(.*?)\s*")
_SIDES = re.compile(rf"\s*({_NUMBER})?\s*([^:]*?)\s*:\s*({_NUMBER})?\s*(.*?)\s*")
_WRITE = "write --vary 'force_loop.setpoint=5:7 kN' or --vary 'force_loop.setpoint=10 %'"


@dataclass(frozen=True)
class Setpoint:
    """A critical process parameter: a signal that nothing drives, its range, and where it is in the scenario."""

    name: str
    unit: str
    low: float
    high: float
    present: float


@dataclass(frozen=True)
class Attribute:
    """A critical quality attribute with its specification, in the signal's unit; a side may be infinite.

    Of a ``final`` one only the value at the end counts: a yield, a titre.
    """

    name: str
    signal: str
    unit: str
    low: float
    high: float
    final: bool = False


@dataclass(frozen=True)
class Plan:
    """An ensemble, but for the number of its runs.

    Args:
        scenario: name or path.
        overrides: values beside the file's.
        without: controllers left out.
        duration: in s.
        warm_up: in s; what is before does not count.
        allowed: share of the time after it, in which attributes may be out of specification.
        setpoints: what is varied.
        attributes: what has to be in specification.
        seeds_each: runs with different random numbers at each setpoint.
        first_seed: of the runs; they count up from it.
        seed: of the choice of setpoints.
        fingerprint: of the scenario, its files and FMUs.
    """

    scenario: str
    overrides: tuple[str, ...]
    without: tuple[str, ...]
    duration: float
    warm_up: float
    allowed: float
    setpoints: tuple[Setpoint, ...]
    attributes: tuple[Attribute, ...]
    seeds_each: int
    first_seed: int
    seed: int
    fingerprint: str

    @property
    def domain(self) -> dict[str, Range]:
        """The ranges that are sampled."""
        return {s.name: Range(s.low, s.high, s.unit) for s in self.setpoints}

    @property
    def present(self) -> FloatArray:
        """The scenario's own setpoint, shape (n,)."""
        return np.array([s.present for s in self.setpoints])

    def points(self, count: int) -> FloatArray:
        """The first ``count`` setpoints of a scrambled Sobol sequence, shape (count, n); more continue it."""
        from scipy.stats import qmc

        size = 1 << max(0, count - 1).bit_length()  # the sequence is balanced at powers of two
        unit = qmc.Sobol(len(self.setpoints), scramble=True, seed=self.seed).random(size)[:count]
        low, high = (np.array([getattr(s, side) for s in self.setpoints]) for side in ("low", "high"))
        result: FloatArray = low + unit * (high - low)
        return result

    def to_json(self) -> dict[str, Any]:
        """For a file; numbers that are not finite as None."""
        content: dict[str, Any] = json.loads(json.dumps(asdict(self)), parse_constant=lambda _: None)
        return content


def setpoints_of(scenario: Scenario, system: System, vary: Sequence[str]) -> tuple[Setpoint, ...]:
    """What ``vary`` names, or what the scenario's design space has and nothing drives.

    Raises:
        GalenicError: a name, range or unit is wrong, or something drives a signal.
    """
    if vary:
        found = [_given(system, text) for text in vary]
        names = [s.name for s in found]
        if twice := {n for n in names if names.count(n) > 1}:
            raise GalenicError(f"--vary: '{min(twice)}' is given twice", cure="give each setpoint once")
        return tuple(found)
    space = _space(scenario)
    ranges = {} if space is None else {n: r for n, r in space.setpoints.items() if n in system.ports}
    free = {n: r for n, r in ranges.items() if n not in system.drivers}
    if not free:
        raise GalenicError(
            "there is nothing to vary: the scenario has no design space with a setpoint that no controller drives",
            cure=_WRITE,
            file=scenario.file,
        )
    return tuple(_setpoint(system, "", name, r.min, r.max, r.unit) for name, r in free.items())


def _given(system: System, text: str) -> Setpoint:
    name, equals, rest = (part.strip() for part in text.partition("="))
    if not equals or not rest:
        raise GalenicError(f"--vary {text}: no range is given", cure=_WRITE)
    if name not in system.ports:
        raise GalenicError(f"--vary {text}: there is no signal '{name}'", cure=nearest(name, system.ports))
    unit, present = system.ports[name].unit, system.ports[name].start
    label = f"--vary {text}: "
    try:
        if both := _RANGE.fullmatch(rest):
            first, first_unit, second, second_unit = both.groups()
            low, high = (
                parse_quantity(f"{number} {its or second_unit}".strip(), unit)
                for number, its in ((first, first_unit), (second, second_unit))
            )
        else:
            share = parse_quantity(rest, "1")
            if present is None or not present or not share > 0.0:
                raise GalenicError(f"{rest} of the present value is no range", cure=_WRITE)
            low, high = sorted((present * (1.0 - share), present * (1.0 + share)))
    except GalenicError as error:
        raise GalenicError(label + error.message, cure=error.cure or _WRITE) from error
    return _setpoint(system, label, name, low, high, unit)


def _setpoint(system: System, label: str, name: str, low: float, high: float, unit: str) -> Setpoint:
    port = system.ports[name]
    if name in system.drivers:
        driver = system.drivers[name]
        owner = (driver or "").partition(".")[0]
        raise GalenicError(
            f"{label}{driver or 'a disturbance'} drives '{name}'",
            cure=f"vary the setpoint of '{owner}' instead, or leave it out: --without {owner}" if driver else "",
        )
    if not any(p is port for c in [*system.components, *system.sampled] for p in c.inputs):
        raise GalenicError(f"{label}'{name}' is an output", cure="vary an input")
    low, high = convert(low, unit, port.unit), convert(high, unit, port.unit)
    if not low < high:
        raise GalenicError(
            f"{label}the lower end {low:g} is not below the upper one, {high:g} {port.unit}", cure=_WRITE
        )
    if port.start is None:
        raise GalenicError(f"{label}'{name}' has no value in the scenario", cure="give it one below 'start'")
    if (port.min is not None and low < port.min) or (port.max is not None and high > port.max):
        raise GalenicError(
            f"{label}{low:g} to {high:g} {port.unit} goes beyond what '{name}' takes, {port.min} to {port.max}",
            cure="make the range narrower",
        )
    return Setpoint(name, port.unit, low, high, port.start)


def attributes_of(
    scenario: Scenario, system: System, keep: Sequence[str] = (), at_end: Sequence[str] = ()
) -> tuple[Attribute, ...]:
    """Specifications: limits of ``kpis.quality``; what the scenario's design space says counts more, options most.

    Args:
        scenario: the scenario.
        system: built from it.
        keep: ``SIGNAL=LOW:HIGH`` of signals or names of KPIs that have to stay inside; these count most.
        at_end: the same, of what has to be inside at the end.

    Raises:
        GalenicError: there are none, or an option is wrong.
    """
    from galenic.kpi_section import band, kpi_section

    section = kpi_section(scenario)
    found: dict[str, Attribute] = {}
    for name, quality in section.quality.items():
        if quality.limits is None or quality.signal not in system.ports:
            continue
        unit = system.ports[quality.signal].unit
        path = ("quality", name)
        target = None if quality.target is None else scenario.quantity(("kpis", *path, "target"), quality.target, unit)
        limits = band(scenario, (*path, "limits"), quality.limits, target, unit)
        assert limits is not None
        found[quality.signal] = Attribute(name, quality.signal, unit, *limits)
    space = _space(scenario)
    for name, known in ({} if space is None else space.critical_quality_attributes).items():
        signal = section.quality[name].signal if name in section.quality else name
        if signal not in system.ports:
            continue
        here = known.in_unit(system.ports[signal].unit)
        found[signal] = Attribute(name, signal, here.unit, here.min, here.max)
    known_names = {n: q.signal for n, q in section.quality.items()} | {n: f.signal for n, f in section.final.items()}
    for name, known in ({} if space is None else space.final_attributes).items():
        signal = known_names.get(name, name)
        if signal in system.ports:
            here = known.in_unit(system.ports[signal].unit)
            found[f"{signal} at the end"] = Attribute(name, signal, here.unit, here.min, here.max, final=True)
    for option, texts, final in (("--keep", keep, False), ("--at-end", at_end, True)):
        for text in texts:
            asked = _asked(option, text, known_names, system, final=final)
            found[f"{asked.signal} at the end" if final else asked.signal] = asked
    if not found:
        raise GalenicError(
            "no quality attribute has limits, so there is no specification to be in",
            cure="add 'limits' below kpis: quality, or critical_quality_attributes to the design space; or write "
            "--keep 'reactor.glucose=5:25 mmol/L', of a batch --at-end 'fermenter.penicillin_yield=3000 kg:'",
            file=scenario.file,
            line=scenario.line(("kpis", "quality")),
        )
    return tuple(found.values())


def _asked(option: str, text: str, names: Mapping[str, str], system: System, *, final: bool) -> Attribute:
    name, equals, rest = (part.strip() for part in text.partition("="))
    cure = f"write {option} 'SIGNAL=LOW:HIGH UNIT'; a side may be left out, as in 'reactor.titre=3 g/L:'"
    match = _SIDES.fullmatch(rest)
    if not equals or match is None or not (match[1] or match[3]):
        raise GalenicError(f"{option} {text}: no range is given", cure=cure)
    signal = names.get(name, name)
    if signal not in system.ports:
        raise GalenicError(f"{option} {text}: there is no signal '{signal}'", cure=nearest(signal, system.ports))
    unit = system.ports[signal].unit
    low, high = -math.inf, math.inf
    try:
        if match[1]:
            low = parse_quantity(f"{match[1]} {match[2] or match[4]}".strip(), unit)
        if match[3]:
            high = parse_quantity(f"{match[3]} {match[4] or match[2]}".strip(), unit)
    except GalenicError as error:
        raise GalenicError(f"{option} {text}: {error.message}", cure=error.cure or cure) from error
    if not low < high:
        raise GalenicError(f"{option} {text}: {low:g} is not below {high:g} {unit}", cure=cure)
    return Attribute(name, signal, unit, low, high, final)


def _space(scenario: Scenario) -> Any:
    from controllers.design_space import DesignSpace
    from galenic.kpi_section import kpi_section

    section = kpi_section(scenario).design_space
    return None if section is None else DesignSpace.load(scenario.resolve(section.file))


def fingerprint(scenario: Scenario, system: System) -> str:
    """SHA-256 of the scenario with all it extends, of its FMUs, and of the values that they start with."""
    content = {
        "scenario": scenario.model_dump(mode="json", exclude={"duration", "seed"}),
        "fmus": {c.name: [c.archive.sha256, c.values] for c in system.components if hasattr(c, "archive")},
        "without": sorted(system.removed),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
