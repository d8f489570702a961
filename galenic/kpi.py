"""Key performance indicators of a run, from its results.

Averages are over the tablets made after the warm-up: each record weighs as many tablets as were made in it (without a
tablet counter, as much time as it covers). A record's value is the mean of the tablets made at that time; single
tablets scatter about it with the coefficient of variation that the scenario states.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fmus.quantity import conversion
from galenic.balance import balance_errors
from galenic.indicator import Kpi
from galenic.kpi_expressions import expression_kpis, expressions_of
from galenic.kpi_section import KpiSection, band, fraction, kpi_section, seconds
from galenic.kpi_transients import end_of_start_up, settling_kpis, start_up_kpis

if TYPE_CHECKING:
    import pandas as pd

    from controllers.design_space import DesignSpace
    from cosim.results import Results
    from cosim.scenario import Scenario

FloatArray = npt.NDArray[np.float64]


def kpis_of(scenario: Scenario, results: Results, wall_time: float | None = None) -> list[Kpi]:
    """The indicators that the scenario asks for.

    Args:
        scenario: gives the ``kpis`` section.
        results: of a run of that scenario, complete or not.
        wall_time: how long the run took, in s, for the real-time factor.

    Raises:
        GalenicError: the section or its design-space file is not valid; with the line.
    """
    section = kpi_section(scenario)
    known = results.units
    extra = _design_space_signals(scenario, section)
    for expression in expressions_of(scenario, section.expressions, known).values():
        extra += expression.signals
    signals = [s for s in dict.fromkeys([*section.signals(), *extra]) if s in known]
    frame = results.frame(signals)
    if not results.complete and len(results.groups) > 1:
        frame = frame.loc[: results.common_end(signals)]  # groups of a run that was broken off end at different times
    return compute(scenario, section, frame, known, wall_time)


def compute(
    scenario: Scenario,
    section: KpiSection,
    frame: pd.DataFrame,
    units: Mapping[str, str],
    wall_time: float | None = None,
) -> list[Kpi]:
    """The indicators of a data frame of signals, indexed by time in s. Arguments and errors as in `kpis_of`."""
    run = _Run(scenario, section, frame, units)
    kpis = run.quality()
    kpis += run.waste()
    kpis += run.final()
    kpis += run.transients()
    kpis += expression_kpis(scenario, section.expressions, frame, units, np.where(run.warm, run.dt, 0.0))
    kpis += run.design_space()
    kpis += run.solver()
    if section.balance is not None:
        kpis += balance_errors(section.balance, frame, scenario.communication_step)
    if wall_time and len(frame):
        kpis.append(
            Kpi(
                "real_time_factor",
                "real-time factor",
                float(frame.index[-1]) / wall_time,
                "1",
                "simulated time per time that the run took on this machine",
                "higher",
            )
        )
    return kpis


def share_outside(mean: FloatArray, cv: float, low: float, high: float) -> FloatArray:
    """P(x < low or x > high) for x normal about ``mean`` with standard deviation ``cv * |mean|``; shape of ``mean``."""
    from scipy.special import ndtr

    spread = np.maximum(cv * np.abs(mean), 1e-300)
    below: FloatArray = ndtr((low - mean) / spread)
    above: FloatArray = ndtr((mean - high) / spread)
    return below + above


def weighted_mean_and_sd(values: FloatArray, weights: FloatArray) -> tuple[float, float]:
    """Mean and standard deviation of ``values`` with ``weights``, both shape (n,); NaN where nothing has weight."""
    total = float(weights.sum())
    if total <= 0.0:
        return math.nan, math.nan
    mean = float(weights @ values) / total
    return mean, math.sqrt(max(float(weights @ (values - mean) ** 2) / total, 0.0))


class _Run:
    def __init__(self, scenario: Scenario, section: KpiSection, frame: pd.DataFrame, units: Mapping[str, str]) -> None:
        self.scenario, self.section, self.frame, self.units = scenario, section, frame, units
        time = frame.index.to_numpy(dtype=float)
        self.dt = np.diff(time, prepend=0.0)
        self.warm = time > seconds(scenario, ("product", "warm_up"), section.product.warm_up)
        counter = section.product.tablets
        self.counts = counter is not None and counter in frame
        self.made = np.maximum(np.diff(self.column(str(counter)), prepend=0.0), 0.0) if self.counts else self.dt
        self.weights = np.where(self.warm, self.made, 0.0)
        self.cv = fraction(scenario, ("product", "tablet_cv"), section.product.tablet_cv)

    def column(self, signal: str) -> FloatArray:
        return self.frame[signal].to_numpy(dtype=float)

    def _present(self) -> dict[str, tuple[FloatArray, str]]:
        return {
            name: (self.column(q.signal), self.units[q.signal])
            for name, q in self.section.quality.items()
            if q.signal in self.frame
        }

    def quality(self) -> list[Kpi]:
        kpis: list[Kpi] = []
        shares: list[FloatArray] = []
        for name, (values, unit) in self._present().items():
            quality, text = self.section.quality[name], name.replace("_", " ")
            mean, sd = weighted_mean_and_sd(values, self.weights)
            kpis.append(
                Kpi(f"{name}_rsd", f"{text} RSD", 100 * sd / abs(mean) if mean else math.nan, "%",
                    f"relative standard deviation of the mean {text} over the tablets made after the warm-up")
            )  # fmt: skip
            kpis.append(Kpi(f"{name}_mean", f"{text} mean", mean, unit, f"mean {text} of the same tablets", None))
            path = ("quality", name)
            target = None
            if quality.target is not None:
                target = self.scenario.quantity(("kpis", *path, "target"), quality.target, unit)
                rms = math.sqrt((mean - target) ** 2 + sd**2)
                kpis.append(Kpi(f"{name}_offset", f"{text} offset", mean - target, unit,
                                f"mean {text} less its target of {target:g} {unit}", None))  # fmt: skip
                kpis.append(Kpi(f"{name}_rmse", f"{text} RMS error", rms, unit,
                                f"root mean square of {text} less its target"))  # fmt: skip
            limits = band(self.scenario, (*path, "limits"), quality.limits, target, unit)
            if limits is not None:
                cv = self.cv
                if quality.tablet_cv is not None:
                    cv = fraction(self.scenario, (*path, "tablet_cv"), quality.tablet_cv)
                share = share_outside(values, cv, *limits)
                shares.append(share)
                low, high = (f"{v:g}" for v in limits)
                kpis += self._out_of_limits(
                    share, f"{name}_", f"{text} out of limits", f"{text} outside {low} to {high} {unit}, "
                    f"expected with a tablet-to-tablet CV of {100 * cv:g} %"
                )  # fmt: skip
        if len(shares) > 1:
            kpis += self._out_of_limits(
                np.max(shares, axis=0), "", "tablets out of limits",
                "tablets expected outside any limit, when the deviations of one tablet go together (all come from its "
                "die fill): the largest share of the attributes at each time"
            )  # fmt: skip
        return kpis

    def _out_of_limits(self, share: FloatArray, prefix: str, label: str, definition: str) -> list[Kpi]:
        expected, total = float(self.weights @ share), float(self.weights.sum())
        kpis = [Kpi(f"{prefix}out_of_limits", label, 100 * expected / total if total else math.nan, "%", definition)]
        if self.counts:
            kpis.append(Kpi(f"{prefix}tablets_out_of_limits", label, expected, "tablets", definition))
        return kpis

    def waste(self) -> list[Kpi]:
        kpis: list[Kpi] = []
        if self.counts:
            kpis.append(Kpi("tablets", "tablets made", float(self.made.sum()), "tablets", "over the whole run", None))
        rejected, watched = self._rejected()
        if not watched:
            return kpis
        definition = f"made, over the whole run, while the mean {' or '.join(watched)} was outside its rejection limits"
        total = float(self.made.sum())
        wasted = float(self.made[rejected].sum())
        kpis.append(Kpi("waste_share", "waste", 100 * wasted / total if total else math.nan, "%", definition))
        if self.counts:
            kpis.append(Kpi("waste_tablets", "waste", wasted, "tablets", definition))
        grown = self._grown()
        if grown is not None:
            kpis.append(Kpi("waste_mass", "waste", float(grown[rejected].sum()), "kg", definition))
        return kpis

    def _rejected(self) -> tuple[npt.NDArray[np.bool_], list[str]]:
        """At each record whether a quality attribute is outside its rejection limits, and which ones have some."""
        rejected = np.zeros(len(self.frame), dtype=bool)
        watched = []
        for name, (values, unit) in self._present().items():
            quality, path = self.section.quality[name], ("quality", name)
            target = None
            if quality.target is not None:
                target = self.scenario.quantity(("kpis", *path, "target"), quality.target, unit)
            limits = band(self.scenario, (*path, "reject"), quality.reject, target, unit)
            if limits is not None:
                watched.append(name.replace("_", " "))
                rejected |= ~((values >= limits[0]) & (values <= limits[1]))
        return rejected, watched

    def transients(self) -> list[Kpi]:
        kpis = settling_kpis(self.scenario, self.section, self.frame, self.units, self.made if self.counts else None)
        if self.section.start_up is not None:
            rejected, watched = self._rejected()
            hold = seconds(self.scenario, ("start_up", "hold"), self.section.start_up.hold)
            over = end_of_start_up(self.frame.index.to_numpy(dtype=float), rejected | ~(self.made > 0.0), hold)
            kpis += start_up_kpis(over, self.made if self.counts else None, self._grown(), watched, hold)
        return kpis

    def _grown(self) -> FloatArray | None:
        """Mass made in each record in kg."""
        mass = self.section.product.mass
        if mass is None or mass not in self.frame:
            return None
        factor, _ = conversion(self.units[mass], "kg")
        return np.diff(self.column(mass), prepend=0.0) * factor

    def design_space(self) -> list[Kpi]:
        space = _design_space(self.scenario, self.section)
        if space is None:
            return []
        names = {name: q.signal for name, q in self.section.quality.items()}
        places = {n: n if n in self.frame else names.get(n, n) for n in space.critical_quality_attributes}
        setpoints = {n: self._in(r.unit, n) for n, r in space.setpoints.items() if n in self.frame}
        attributes = [(space.critical_quality_attributes[n], s) for n, s in places.items() if s in self.frame]
        total = float(self.dt[self.warm].sum())
        any_outside = np.zeros(len(self.frame), dtype=bool)
        kpis = []
        if setpoints:
            margins = space.margins(setpoints)
            # a setpoint that stands on the edge is inside, whatever a unit conversion rounds
            any_outside |= ~(margins >= -1e-9)
            kpis += self._margin(margins)
            label = "setpoints outside design space"
            kpis.append(_time_share("design_space_setpoints", label, any_outside & self.warm, self.dt, total))
        if attributes:
            outside = np.zeros(len(self.frame), dtype=bool)
            for limits, signal in attributes:
                here = limits.in_unit(self.units[signal])
                slack = 1e-9 * max(abs(v) for v in (here.min, here.max) if math.isfinite(v))
                values = self.column(signal)
                outside |= ~((values >= here.min - slack) & (values <= here.max + slack))
            any_outside |= outside
            label = "CQAs outside design space"
            kpis.append(_time_share("design_space_attributes", label, outside & self.warm, self.dt, total))
        if kpis:
            both = any_outside & self.warm
            kpis.append(_time_share("design_space_outside", "time outside design space", both, self.dt, total))
            kpis.append(
                Kpi("design_space_outside_s", "time outside design space", float(self.dt[both].sum()), "s",
                    "time after the warm-up with a setpoint or a quality attribute outside the design space")
            )  # fmt: skip
        return kpis

    def _margin(self, margins: FloatArray) -> list[Kpi]:
        """The distance of the setpoints to the edge after the warm-up: the smallest, and the mean over time."""
        known = self.warm & np.isfinite(margins)
        mean, _ = weighted_mean_and_sd(np.where(known, margins, 0.0), np.where(known, self.dt, 0.0))
        least = float(margins[known].min()) if known.any() else math.nan
        text = (
            "distance of the setpoints to the edge of the design space after the warm-up, as its file counts it: 1 in "
            "the middle of the ranges, 0 at the edge (of a probability: in logits), negative outside; "
        )
        return [
            Kpi("design_space_margin", "margin to the edge, least", least, "1", text + "the smallest", "higher"),
            Kpi("design_space_margin_mean", "margin to the edge, mean", mean, "1", text + "the mean", "higher"),
        ]

    def _in(self, unit: str, signal: str) -> FloatArray:
        factor, offset = conversion(self.units[signal], unit)
        return factor * self.column(signal) + offset

    def final(self) -> list[Kpi]:
        kpis = []
        for name, section in self.section.final.items():
            if section.signal not in self.frame:
                continue
            values = self.column(section.signal)
            value = float(values[-1]) if len(values) else math.nan
            label, unit = name.replace("_", " "), self.units[section.signal]
            kpis.append(Kpi(f"final_{name}", label, value, unit, f"{section.signal} at the end", section.better))
        return kpis

    def solver(self) -> list[Kpi]:
        section = self.section.solver
        if section is None or section.time not in self.frame:
            return []
        factor, _ = conversion(self.units[section.time], "ms")
        times = self.column(section.time) * factor
        times = times[np.isfinite(times) & (times > 0.0)]
        median, high = (float(v) for v in np.quantile(times, (0.5, 0.99))) if len(times) else (math.nan, math.nan)
        kpis = [
            Kpi("solver_median", "solver time, median", median, "ms", "time per answer of the optimising controller"),
            Kpi("solver_p99", "solver time, 99th percentile", high, "ms", "99 % of its answers took no longer"),
        ]
        if section.failures is not None and section.failures in self.frame:
            failures = self.column(section.failures)
            count = float(np.max(failures)) if len(failures) else math.nan
            kpis.append(
                Kpi("solver_failures", "solver failures", count, "1", "answers that were not used; the fallback held")
            )
        return kpis


def _time_share(name: str, label: str, outside: npt.NDArray[np.bool_], dt: FloatArray, total: float) -> Kpi:
    share = 100 * float(dt[outside].sum()) / total if total else math.nan
    return Kpi(name, label, share, "%", f"{label}: share of the time after the warm-up")


def _design_space(scenario: Scenario, section: KpiSection) -> DesignSpace | None:
    if section.design_space is None:
        return None
    from controllers.design_space.space import DesignSpace as Space

    file = scenario.resolve(section.design_space.file)
    if not file.is_file():
        raise scenario.error(
            ("kpis", "design_space", "file"),
            f"there is no design-space file '{section.design_space.file}'",
            "give its path relative to the scenario",
        )
    return Space.load(file)


def _design_space_signals(scenario: Scenario, section: KpiSection) -> list[str]:
    space = _design_space(scenario, section)
    return [] if space is None else [*space.setpoints, *space.critical_quality_attributes]
