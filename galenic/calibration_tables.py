"""What `galenic calibrate`, `replay` and `lots` print."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from galenic.tables import number
from twin.lot_statistics import LotComparison
from twin.plant_data import DataReport
from twin.press_replay import MODES, PHASES, Replay
from twin.press_result import Estimate, GainEstimate, PressCalibration

if TYPE_CHECKING:
    import pandas as pd

_SHOWN_NOTICES = 8


def new_table(title: str, *columns: str, left: int = 1) -> Table:
    """A table whose first ``left`` columns are text."""
    table = Table(title=escape(title), title_justify="left", title_style="bold")
    for place, name in enumerate(columns):
        table.add_column(escape(name), justify="left" if place < left else "right", no_wrap=place < left)
    return table


def data_report(report: DataReport) -> Iterator[RenderableType]:
    """Rows used and excluded by reason, and places to look at."""
    table = new_table(f"Data: {report.file.name}, {report.rows} rows, {len(report.batches)} batches", "", "rows")
    for purpose, used in report.used.items():
        table.add_row(f"used as {purpose}", str(used), style="bold")
        for reason, count in report.excluded[purpose].items():
            if count:
                table.add_row(f"  left out: {reason}", str(count))
    if table.row_count:
        yield table
    for notice in report.notices[:_SHOWN_NOTICES]:
        yield escape(f"note: {notice.file.name}:{notice.line}: column '{notice.column}': {notice.message}")
    if len(report.notices) > _SHOWN_NOTICES:
        counted = ", ".join(f"{kind}: {count}" for kind, count in report.notice_counts.items())
        yield escape(f"... and {len(report.notices) - _SHOWN_NOTICES} more notes ({counted})")


def calibration_report(c: PressCalibration) -> Iterator[RenderableType]:
    """All tables of a calibration."""
    yield from data_report(c.report)
    held = f"; held back: {', '.join(map(str, c.held_back))}" if c.held_back else "; none held back"
    yield escape(f"batches used: {', '.join(map(str, c.batches))}{held}")
    yield parameter_table(c.parameters, c.resamples, "batches")
    yield from _gain_table(c)
    yield from _residual_tables(c)
    if len(c.correlation):
        yield correlation_table(c.correlation)


def correlation_table(correlation: pd.DataFrame) -> Table:
    """Rank correlation of fitted parameters."""
    table = new_table("Rank correlation of the estimates over the bootstrap", "", *correlation.columns)
    for name, row in correlation.iterrows():
        table.add_row(str(name), *(f"{v:+.2f}" for v in row))
    return table


def parameter_table(parameters: Sequence[Estimate], resamples: tuple[int, int], over: str) -> Table:
    """Parameters with intervals of a bootstrap ``over`` batches or set-ups."""
    done, drawn = resamples
    title = f"Parameters (95 % CI: {done} of {drawn} bootstrap resamples of {over})"
    table = new_table(title, "parameter", "unit", "value", "std. error", "95 % CI", left=2)
    table.caption = "fixed: set, not fitted; sources stand in the parameter file"
    for p in parameters:
        error = number(p.standard_error, 2) if p.standard_error is not None else "fixed"
        interval = f"{number(p.ci95[0], 3)} .. {number(p.ci95[1], 3)}" if p.ci95 is not None else ""
        table.add_row(p.name, escape(p.unit), number(p.value), error, interval)
    return table


def _gain_table(c: PressCalibration) -> Iterator[RenderableType]:
    if not c.gains:
        yield "Gains: too few moves of fill depth and gap in the start-ups to measure them"
        return
    o = c.operating_point
    title = f"Open-loop gains at fill {o['fill']:.2f} mm, gap {o['gap']:.2f} mm, force {o['force']:.2f} kN"
    table = new_table(
        title, "gain", "unit", "measured", "95 % CI", "model", "95 % CI", "model against measured", left=2
    )
    for g in c.gains:
        table.add_row(*gain_cells(g))
    table.add_row("dln F/dln mass", "1", "", "", f"{c.mass_gain:.2f}", "", "")
    yield table
    if len(c.gain_variants):
        low, high = np.percentile(c.gain_variants, [25, 75], axis=0)
        yield (
            f"measured over {len(c.gain_variants)} other selections of start-up samples, middle half: fill "
            f"{low[0]:+.2f} .. {high[0]:+.2f}, gap {low[1]:+.2f} .. {high[1]:+.2f} kN/mm"
        )
    if c.gains_within_runs is not None:
        fill, gap = c.gains_within_runs
        yield f"measured from moves without a stop in between: fill {fill:+.2f}, gap {gap:+.2f} kN/mm"


def gain_cells(g: GainEstimate) -> tuple[str, ...]:
    """Name, unit, measured and model gain with their intervals, and the deviation."""
    cells = (f"{g.measured:+.2f}", _interval(g.measured_ci95), f"{g.model:+.2f}", _interval(g.model_ci95))
    return (g.name, g.unit, *cells, f"{100 * g.deviation:+.0f} %")


def _interval(ci: tuple[float, float]) -> str:
    return f"{ci[0]:+.2f} .. {ci[1]:+.2f}" if all(map(math.isfinite, ci)) else "-"


def _residual_tables(c: PressCalibration) -> Iterator[RenderableType]:
    r = c.residuals
    table = new_table("Residuals of the start-up plateaus' force (model - measured)", "", "value")
    table.add_row("plateaus", str(r.count))
    table.add_row("RMSE, one density a run (as fitted)", f"{r.rmse:.3f} kN")
    table.add_row("robust standard deviation (1.48 median |error|)", f"{r.robust_sd:.3f} kN")
    table.add_row("bias", f"{r.bias:+.3f} kN")
    table.add_row("lag-1 autocorrelation within batches", f"{r.lag1:+.2f}")
    table.add_row("RMSE, one density a batch", f"{r.rmse_batch_density:.3f} kN")
    table.add_row("RMSE, one density for all", f"{r.rmse_common_density:.3f} kN")
    yield table
    by_batch = new_table("Residuals by batch", "batch", "plateaus", "RMSE [kN]", "bias [kN]")
    for batch, row in r.by_batch.iterrows():
        by_batch.add_row(str(batch), f"{row.plateaus:.0f}", f"{row.rmse:.2f}", f"{row.bias:+.2f}")
    yield by_batch


def replay_report(replay: Replay) -> Iterator[RenderableType]:
    """All tables of a replay."""
    yield from data_report(replay.report)
    if replay.seen:
        yield f"the calibration saw these batches: {', '.join(map(str, replay.seen))}; their errors are no test"
    for phase in PHASES:
        pooled = replay.pooled[replay.pooled.phase == phase]
        count = int(pooled.samples.max())
        title = f"Error of the predicted force, {phase}, {len(replay.traces)} batches, {count} samples"
        table = new_table(title, "mode", "RMSE [kN]", "RMSE [%]", "bias [kN]")
        for mode in MODES:
            row = pooled[pooled["mode"] == mode].iloc[0]
            table.add_row(mode, f"{row.rmse:.3f}", f"{row.percent:.1f}", f"{row.bias:+.2f}")
        yield table
        scores = replay.scores[replay.scores.phase == phase].pivot(index="batch", columns="mode", values="rmse")
        by_batch = new_table(f"RMSE [kN] by batch, {phase}", "batch", *MODES)
        for batch in replay.traces:
            by_batch.add_row(str(batch), *(number(float(scores[mode][batch]), 3) for mode in MODES))
        yield by_batch
    moves = replay.moves
    if len(moves):
        model = float(((moves.predicted - moves.measured) ** 2).mean() ** 0.5)
        none = float((moves.measured**2).mean() ** 0.5)
        yield (
            f"{len(moves)} moves of fill depth or gap in the start-ups: RMSE of the predicted change of force "
            f"{model:.2f} kN; of the guess 'no change' {none:.2f} kN"
        )


def lot_report(rows: Sequence[LotComparison]) -> Iterator[RenderableType]:
    """The lot statistics beside the reference's."""
    table = new_table(
        "Raw-material lots in this data", "quantity", "unit", "lots", "mean", "RSD [%]", "min", "max", left=2
    )
    names = ("lots", "mean", "RSD [%]", "RSD here", "differs [s.e.]", "agrees")
    compared = new_table("The statistics that the scenarios quote", "quantity", *names)
    for row in rows:
        f, r = row.found, row.reference
        table.add_row(
            f.name,
            f.unit,
            str(f.lots),
            *(number(v, 4) for v in (f.mean, f.rsd, f.minimum, f.maximum)),
        )
        compared.add_row(
            f.name,
            str(r.lots or "-"),
            *(number(v, 4) for v in (r.mean, r.rsd, f.rsd)),
            f"{row.deviation_rsd:+.1f}",
            "yes" if row.agrees else "NO",
        )
    yield table
    yield compared
    inconsistent = sum(r.found.inconsistent for r in rows)
    yield (
        "Each lot counts once, with the median of its batches' entries; "
        f"{inconsistent} entries are of lots whose batches disagree. s.e.: standard error of the RSD over these lots; "
        "'agrees': mean and RSD within two standard errors of the reference that the scenarios quote."
    )
