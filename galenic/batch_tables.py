"""What `galenic calibrate` and `replay` print for a product that is told batch by batch."""

from __future__ import annotations

import math
from collections.abc import Iterator

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from galenic.calibration_tables import correlation_table, gain_cells, new_table, parameter_table
from galenic.tables import number
from twin.batch_calibration import BatchCalibration
from twin.batch_replay import NAIVE, QUANTITIES, SCOPES, BatchReplay
from twin.csv_table import shown_values


def batch_calibration_report(c: BatchCalibration) -> Iterator[RenderableType]:
    """All tables of a calibration on batches."""
    setups = c.frame.setup.nunique()
    used = c.frame[c.frame.used]
    yield (
        f"Product {c.product}: {len(c.frame)} batches in {setups} set-ups; the first {len(c.batches)} in time "
        f"({_months(c, held=False)}, {used.setup.nunique()} set-ups) calibrate, {len(c.held_back)} are held back"
        + (f" ({_months(c, held=True)})" if c.held_back else "")
    )
    for batch, name in c.left_out.items():
        yield f"note: batch {batch} has no {name}; left out"
    yield parameter_table(c.parameters, c.resamples, "set-ups")
    yield _gain_table(c)
    if c.gap_gain_variants:
        told = "; ".join(f"{name} {value:+.2f}" for name, value in c.gap_gain_variants.items())
        yield escape(f"dF/d gap measured in other ways: {told} kN/mm")
    fill, gap = c.regression
    yield (
        f"a regression of the force over all batches used would give dF/d fill {fill:+.2f} and dF/d gap {gap:+.2f} "
        "kN/mm: the loop hides the one, the zeros of the set-ups the other"
    )
    yield (
        f"strength follows force with exponent {c.trend.exponent:.2f} +- {c.trend.standard_error:.2f} from batch to "
        f"batch of a set-up, {c.trend_over_all.exponent:.2f} +- {c.trend_over_all.standard_error:.2f} over all used"
    )
    yield _statistics_table(c)
    if len(c.zeros) > 1:
        spread = float(c.zeros.std())
        force = abs(spread * c.gains[1].model)
        yield (
            f"{len(c.zeros)} set-ups differ in the zero of the gap by {spread:.3f} mm (standard deviation), "
            f"which is {force:.2f} kN or {100.0 * force / c.operating_point['force']:.0f} % of the force"
        )
    yield _sensitivity_table(c)
    if len(c.correlation):
        yield correlation_table(c.correlation)


def _months(c: BatchCalibration, *, held: bool) -> str:
    months = c.frame.month[~c.frame.used if held else c.frame.used]
    return f"{months.min():%Y-%m} to {months.max():%Y-%m}"


def _gain_table(c: BatchCalibration) -> Table:
    o = c.operating_point
    title = f"Gains at fill {o['fill']:.2f} mm, gap {o['gap']:.2f} mm, force {o['force']:.2f} kN"
    table = new_table(
        title, "gain", "unit", "measured", "95 % CI", "model", "95 % CI", "model against measured", left=2
    )
    for g in c.gains:
        table.add_row(*gain_cells(g))
    moves = int(c.moves.used.sum())
    for g in c.later:
        name, *cells = gain_cells(g)
        table.add_row(f"{name}, batches held back", *cells)
    table.caption = (
        f"gap: {moves} changes from batch to batch of a set-up ({len(c.moves) - moves} held back), fitted. Mass: "
        "median of SREL / weight RSD, not fitted; fill depth: what that means for the fill depth (the loop hides it)."
    )
    return table


def _statistics_table(c: BatchCalibration) -> Table:
    s = c.statistics
    title = (
        "Batch means, measured and of the model with the weight on target; from the strength on at the recorded force"
    )
    names = ("", "unit", "measured", "model", "differs", "later measured", "later model", "differs")
    table = new_table(title, *names, left=2)
    for row in s.to_dict("records"):
        cells = []
        for prefix in ("", "later_"):
            measured, model = float(row[f"{prefix}measured"]), float(row[f"{prefix}model"])
            if math.isfinite(measured):
                cells += [number(measured, 4), number(model, 4), f"{100 * (model / measured - 1):+.1f} %"]
            else:
                cells += ["-", "-", "-"]
        table.add_row(str(row["quantity"]) + ("" if row["fitted"] else " (not fitted)"), str(row["unit"]), *cells)
    rsd = c.frame.weight_rsd
    table.caption = (
        f"{c.statistics.batches.iloc[0]} and {c.statistics.later_batches.iloc[0]} batches; mean weight "
        f"{c.operating_point['weight']:.2f} mg, median weight RSD {rsd[c.frame.used].median():.2f} %"
    )
    return table


def _sensitivity_table(c: BatchCalibration) -> Table:
    title = "The same fit at other yield pressures: what the batches cannot tell"
    names = ("yield pressure", "cup volume", "stiffness", "dF/d fill", "dF/d gap", "dln F/dln mass")
    table = new_table(title, *names, left=0)
    for pressure, *values in c.sensitivity.to_numpy(dtype=float).tolist():
        cells = [number(v, 3) if math.isfinite(v) else "no fit" for v in values]
        table.add_row(f"{pressure:g} MPa", *cells)
    table.caption = "mm3, kN/mm, kN/mm, kN/mm, 1"
    return table


def batch_replay_report(replay: BatchReplay) -> Iterator[RenderableType]:
    """All tables of a replay of batches."""
    if replay.seen:
        yield f"the calibration saw these batches: {shown_values(replay.seen, 40)}; their errors are no test"
    for scope in SCOPES:
        own = replay.scores[(replay.scores.scope == scope)]
        title = f"Error of the prediction one batch ahead, product {replay.product}, {scope}"
        names = ("quantity", "mode", "batches", "RMSE", "RMSE [%]", "bias", "nearer than")
        table = new_table(title, *names, left=2)
        for row in own.to_dict("records"):
            quantity, mode, count = str(row["quantity"]), str(row["mode"]), str(row["batches"])
            told = f"{NAIVE[mode]} in {row['better']} of {count}" if mode in NAIVE else ""
            cells = (f"{row['rmse']:.3g} {QUANTITIES[quantity]}", f"{row['percent']:.1f}", f"{row['bias']:+.2g}", told)
            table.add_row(quantity, escape(mode), count, *cells)
        yield table
