"""The ``kpis`` section of a scenario: what is counted, against which targets.

::

    kpis:
      product: {tablets: press.tablets_total, mass: press.tablets.mass, warm_up: 5 min, tablet_cv: 0.97 %}
      quality:
        weight: {signal: press.tablet_weight, target: 226 mg, limits: 5 %, reject: 5 %}
        hardness: {signal: press.hardness, target: 51 N, limits: [40 N, 62 N], tablet_cv: 6 %}
        label_claim: {signal: press.label_claim, target: 100 %, limits: [95 %, 105 %]}
      final:
        yield: {signal: fermenter.penicillin_yield, better: higher}
      settling:
        weight_after_step: {signal: press.tablet_weight, target: 226 mg, within: 5 %, after: 1 h, until: 2 h}
      start_up: {hold: 2 min}
      expressions:
        power: {value: mean(press.main_compression_force), unit: kN, better: lower}
      design_space: {file: press_design_space.yaml}
      solver: {time: mpc.solve_time, failures: mpc.failures}
      balance:
        supplied: [api_feeder.refilled, excipient_feeder.refilled]
        held: [api_feeder.holdup, excipient_feeder.holdup, blender.holdup, feed_frame.holdup, press.holdup]
        links: [api_feeder.outlet, excipient_feeder.outlet, blender.outlet, feed_frame.outlet]
        produced: [press.tablets]

A limit is one relative half-width about the target (``5 %``) or two absolute values in the signal's unit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from fmus.errors import GalenicError, nearest
from fmus.quantity import parse_quantity
from galenic.kpi_expressions import ExpressionSection

if TYPE_CHECKING:
    from cosim.scenario import Scenario

Quantity = float | int | str
KeyPath = tuple[str | int, ...]
#: One relative half-width, or two absolute values of which one may be open.
Band = Quantity | tuple[Quantity | None, Quantity | None]

#: Relative standard deviation from tablet to tablet where the scenario gives none: the median tablet-weight RSD of 1005
#: commercial batches, Zagar & Mihelic 2022, Sci. Data 9:99.
TABLET_CV = 0.0097


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ProductSection(_Section):
    """What the line makes.

    Args:
        tablets: signal that counts the tablets made; without it, averages are over time.
        mass: signal of the mass made, cumulative.
        warm_up: how long after the start nothing but waste and balances counts.
        tablet_cv: relative standard deviation of single tablets about the mean at that time.
    """

    tablets: str | None = None
    mass: str | None = None
    warm_up: Quantity = 0.0
    tablet_cv: Quantity = TABLET_CV


class QualitySection(_Section):
    """One critical quality attribute; a single tablet is out of ``limits``, a mean outside ``reject`` is diverted."""

    signal: str
    target: Quantity | None = None
    limits: Band | None = None
    reject: Band | None = None
    tablet_cv: Quantity | None = None


class DesignSpaceSection(_Section):
    """The design-space file, relative to the scenario."""

    file: str


class SolverSection(_Section):
    """Signals of the optimising controller: time per solve, and failures so far."""

    time: str
    failures: str | None = None


class FinalSection(_Section):
    """A signal whose value at the end counts: a yield, a titre, a time."""

    signal: str
    better: Literal["higher", "lower"] | None = None


class SettlingSection(_Section):
    """How long a signal takes, from ``after``, until it is within a band to stay (up to ``until``, or the end)."""

    signal: str
    within: Band
    target: Quantity | None = None
    after: Quantity
    until: Quantity | None = None


class StartUpSection(_Section):
    """The start-up lasts until the quality attributes have been inside their ``reject`` limits for ``hold`` on end."""

    hold: Quantity


class BalanceSection(_Section):
    """Prefixes of signals: ``.mass`` and ``.api_mass`` below all but ``links`` (``.mass_flow``, ``.api_fraction``)."""

    supplied: list[str]
    held: list[str]
    links: list[str] = []
    produced: list[str]


class KpiSection(_Section):
    """The whole section."""

    product: ProductSection = Field(default_factory=ProductSection)
    quality: dict[str, QualitySection] = {}
    final: dict[str, FinalSection] = {}
    settling: dict[str, SettlingSection] = {}
    start_up: StartUpSection | None = None
    expressions: dict[str, ExpressionSection] = {}
    design_space: DesignSpaceSection | None = None
    solver: SolverSection | None = None
    balance: BalanceSection | None = None

    def signals(self) -> dict[str, KeyPath]:
        """Every signal that the section names, with the path of its key below ``kpis``."""
        named: dict[str, KeyPath] = {}
        for key in ("tablets", "mass"):
            if (signal := getattr(self.product, key)) is not None:
                named[signal] = ("product", key)
        for name, quality in self.quality.items():
            named[quality.signal] = ("quality", name, "signal")
        for name, final in self.final.items():
            named[final.signal] = ("final", name, "signal")
        for name, settling in self.settling.items():
            named[settling.signal] = ("settling", name, "signal")
        if self.solver is not None:
            named[self.solver.time] = ("solver", "time")
            if self.solver.failures is not None:
                named[self.solver.failures] = ("solver", "failures")
        if self.balance is not None:
            for key in ("supplied", "held", "links", "produced"):
                ends = ("mass_flow", "api_fraction") if key == "links" else ("mass", "api_mass")
                for index, prefix in enumerate(getattr(self.balance, key)):
                    named.update({f"{prefix}.{end}": ("balance", key, index) for end in ends})
        return named


def kpi_section(scenario: Scenario) -> KpiSection:
    """The validated ``kpis`` section of a scenario.

    Raises:
        GalenicError: with the line of the key at fault.
    """
    raw = dict(scenario.kpis)
    try:
        section = KpiSection.model_validate(raw)
    except pydantic.ValidationError as error:
        raise _explain(error, raw, scenario) from error
    seconds(scenario, ("product", "warm_up"), section.product.warm_up)
    fraction(scenario, ("product", "tablet_cv"), section.product.tablet_cv)
    for name, quality in section.quality.items():
        if quality.tablet_cv is not None:
            fraction(scenario, ("quality", name, "tablet_cv"), quality.tablet_cv)
        for key in ("limits", "reject"):
            _check_band(scenario, ("quality", name, key), getattr(quality, key), quality.target)
    for name, settling in section.settling.items():
        path = ("settling", name)
        _check_band(scenario, (*path, "within"), settling.within, settling.target)
        after = seconds(scenario, (*path, "after"), settling.after)
        if settling.until is not None and seconds(scenario, (*path, "until"), settling.until) <= after:
            raise scenario.error(("kpis", *path, "until"), f"'until' of {name} is not later than its 'after'")
    if section.start_up is not None:
        if seconds(scenario, ("start_up", "hold"), section.start_up.hold) < 0.0:
            raise scenario.error(("kpis", "start_up", "hold"), "'hold' is negative", "give a time such as 2 min")
        if not any(quality.reject for quality in section.quality.values()):
            raise scenario.error(
                ("kpis", "start_up"),
                "nothing says when the start-up is over: no quality attribute has 'reject' limits",
                "add for example 'reject: 5 %' to one below 'quality'",
            )
    return section


def _check_band(scenario: Scenario, path: KeyPath, value: Band | None, target: Quantity | None) -> None:
    if value is None or isinstance(value, tuple):
        return
    fraction(scenario, path, value)
    if target is None:
        raise scenario.error(("kpis", *path), f"'{path[-1]}' of {path[-2]} is relative, but there is no target")


def check_signals(scenario: Scenario, section: KpiSection, known: Mapping[str, str], without: Sequence[str]) -> None:
    """Refuse signals that the run will not have; those of removed controllers are left out in silence.

    Raises:
        GalenicError: with the line of the key, and the nearest names.
    """
    for signal, path in section.signals().items():
        if signal not in known and signal.partition(".")[0] not in without:
            raise scenario.error(("kpis", *path), f"there is no signal '{signal}'", nearest(signal, known))


def seconds(scenario: Scenario, path: KeyPath, value: Quantity) -> float:
    """A time of the section in s. Raises GalenicError with the line."""
    return scenario.quantity(("kpis", *path), value, "s")


def fraction(scenario: Scenario, path: KeyPath, value: Quantity) -> float:
    """A relative quantity such as ``5 %`` as a fraction. Raises GalenicError with the line."""
    number = scenario.quantity(("kpis", *path), value, "1")
    if not 0.0 <= number < 1.0:
        raise scenario.error(
            ("kpis", *path), f"'{value}' is a fraction of {number:g}, not between 0 and 1", f"write '{value} %'"
        )
    return number


def band(
    scenario: Scenario, path: KeyPath, value: Band | None, target: float | None, unit: str
) -> tuple[float, float] | None:
    """Lower and upper limit in ``unit``; None where there is none. Raises GalenicError with the line."""
    if value is None:
        return None
    if isinstance(value, tuple):
        low, high = (
            default if side is None else scenario.quantity(("kpis", *path, index), side, unit)
            for index, (side, default) in enumerate(zip(value, (-float("inf"), float("inf")), strict=True))
        )
    else:
        assert target is not None
        half = abs(target) * parse_quantity(value, "1")
        low, high = target - half, target + half
    if not low < high:
        raise scenario.error(("kpis", *path), f"the lower limit {low:g} is not below the upper one {high:g} {unit}")
    return low, high


def _explain(error: pydantic.ValidationError, raw: Mapping[str, Any], scenario: Scenario) -> GalenicError:
    first = error.errors(include_url=False)[0]
    path: list[str | int] = []
    here: Any = raw
    for part in first["loc"]:
        inside = isinstance(here, Mapping) and part in here
        if not inside and not (isinstance(here, list) and isinstance(part, int) and part < len(here)):
            break
        here = here[part]
        path.append(part)
    where = ("kpis", *path)
    name = str(first["loc"][-1])
    if first["type"] == "extra_forbidden":
        return scenario.error(where, f"unknown key '{name}'", nearest(name, _fields(tuple(path[:-1]))))
    if first["type"] == "missing":
        return scenario.error(where, f"'{name}' is missing in {'.'.join(map(str, where))}", f"add '{name}: ...'")
    message = first["msg"][:1].lower() + first["msg"][1:]
    return scenario.error(
        where, f"{'.'.join(map(str, where))}: {message}", "docs/scenarios.md says what is allowed here"
    )


def _fields(path: KeyPath) -> list[str]:
    sections: dict[str, type[BaseModel]] = {
        "product": ProductSection,
        "quality": QualitySection,
        "final": FinalSection,
        "settling": SettlingSection,
        "start_up": StartUpSection,
        "expressions": ExpressionSection,
        "design_space": DesignSpaceSection,
        "solver": SolverSection,
        "balance": BalanceSection,
    }
    return list((sections[str(path[0])] if path else KpiSection).model_fields)
