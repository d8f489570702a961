"""Start-up phases of a press: which samples show its open-loop behaviour, and the gains that they show.

In production a loop holds the force with the fill depth, so the gains cannot be seen there. While a press is set up,
all tablets go to waste, the loop is open and the operator moves fill depth and gap by hand.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import least_squares

from twin.plant_data import DataReport

FloatArray = npt.NDArray[np.float64]

#: a larger move between two plateaus is not a small change about one operating point, mm
MAX_MOVE = 0.6
#: residual of a force difference from which it counts as an outlier, kN
OUTLIER = 0.3
#: production means are taken over batches with at least this many samples
MIN_PRODUCTION_SAMPLES = 100
_SETTLING_SAMPLES = 3
_MIN_PRODUCTION_SPEED = 90.0  # 1000 tablets/h
_MAX_PRODUCTION_WASTE = 100.0  # tablets in 10 s
_MIN_MOVES = 6


@dataclass(frozen=True)
class Selection:
    """Which samples of a start-up count; the thresholds were chosen among `SELECTION_VARIANTS`.

    Attributes:
        max_srel: relative standard deviation of the force in a revolution from which the dies are not filled evenly, %.
        min_waste: tablets to waste in 10 s below which the press is not yet, or no longer, being set up at speed.
        settled: samples after a stop or gap that are left out.
        max_move: largest change of fill depth or gap between plateaus that counts as small, mm.
        within_runs: whether only moves without a stop in between count.
    """

    max_srel: float = 8.0
    min_waste: float = 250.0
    settled: int = 1
    max_move: float = MAX_MOVE
    within_runs: bool = False


#: selections that are as defensible as the default; the spread of their gains is part of what is not known
SELECTION_VARIANTS = tuple(
    Selection(srel, waste, settled, move)
    for srel in (5.0, 8.0, 15.0)
    for waste in (0.0, 250.0)
    for settled in (1, 2)
    for move in (0.3, 0.6, 1.0)
)


@dataclass(frozen=True)
class MeasuredGains:
    """Open-loop gains of the main compression force, measured without a model.

    Attributes:
        fill: dF/d fill depth, kN/mm.
        gap: dF/d gap, kN/mm.
        fill_ci, gap_ci: 95 % intervals of the bootstrap over batches.
        moves: force differences used.
        batches: batches that they are from.
    """

    fill: float
    gap: float
    fill_ci: tuple[float, float]
    gap_ci: tuple[float, float]
    moves: int
    batches: int


def mark_phases(series: pd.DataFrame) -> pd.DataFrame:
    """Add ``started`` (tablets are kept), ``wasted`` (tablets to waste since the sample before) and ``plateau``.

    A batch has started once ``produced`` was above 0 or the waste counter, having counted, is back at 0: in some
    batches the counters are reset in production.
    """
    out = series.copy()
    by_batch = out.groupby("batch")
    out["wasted"] = by_batch.waste.diff().fillna(0.0)
    reset = (by_batch.waste.cummax() > 0) & (out.waste == 0)
    out["started"] = (by_batch.produced.cummax() > 0) | reset
    out["started"] = out.groupby("batch").started.cummax()
    moved = (out.tbl_fill != out.tbl_fill.shift()) | (out.cyl_main != out.cyl_main.shift())
    out["plateau"] = (moved | out.new_run).cumsum()
    return out


def _select(
    marked: pd.DataFrame, purpose: str, reasons: dict[str, pd.Series], report: DataReport | None
) -> pd.DataFrame:
    keep = pd.Series(True, index=marked.index)
    excluded = {}
    for reason, mask in reasons.items():
        hit = keep & mask.fillna(False)
        excluded[reason] = int(hit.sum())
        keep &= ~hit
    if report is not None:
        report.used[purpose] = int(keep.sum())
        report.excluded[purpose] = excluded
    return marked[keep]


def select_startup(
    marked: pd.DataFrame,
    report: DataReport | None = None,
    batches: Collection[int] | None = None,
    selection: Selection | None = None,
) -> pd.DataFrame:
    """The samples of the start-up phases, of a frame from `mark_phases`.

    Args:
        marked: the samples.
        report: where used and excluded rows are counted.
        batches: which batches to use; the others are counted as held back.
        selection: the thresholds.
    """
    s = selection or Selection()
    reasons = {
        "batch held back": _held_back(marked, batches),
        "stopped (speed 0)": ~marked.running,
        "blank cell": marked.missing,
        "frozen record": marked.frozen,
        "production (loop closed)": marked.started,
        "no force": marked.main_comp <= 0,
        "first sample after a stop or gap": marked.sample_of_run < s.settled,
        f"force scatter in a revolution {s.max_srel:g} % or more": marked.SREL.ge(s.max_srel),
        f"{s.min_waste:g} or fewer tablets to waste in 10 s": marked.wasted <= s.min_waste,
    }
    return _select(marked, "start-up", reasons, report)


def _held_back(marked: pd.DataFrame, batches: Collection[int] | None) -> pd.Series[bool]:
    if batches is None:
        return pd.Series(False, index=marked.index)
    return ~marked.batch.isin(batches)


def select_production(
    marked: pd.DataFrame, report: DataReport | None = None, batches: Collection[int] | None = None
) -> pd.DataFrame:
    """The samples of steady production; arguments as of `select_startup`."""
    reasons = {
        "batch held back": _held_back(marked, batches),
        "stopped (speed 0)": ~marked.running,
        "blank cell": marked.missing,
        "frozen record": marked.frozen,
        "start-up": ~marked.started,
        "no force": marked.main_comp <= 0,
        "first 30 s after a stop or gap": marked.sample_of_run < _SETTLING_SAMPLES,
        "below 90 000 tablets/h": marked.tbl_speed <= _MIN_PRODUCTION_SPEED,
        "tablets to waste": marked.wasted.abs() >= _MAX_PRODUCTION_WASTE,
    }
    return _select(marked, "production", reasons, report)


def plateaus(startup: pd.DataFrame) -> pd.DataFrame:
    """One row for each stretch of a run at one fill depth and gap.

    Columns: ``batch``, ``run``, ``fill`` mm, ``gap`` mm, ``speed`` 1/h, ``force`` kN (median), ``samples``, ``time``.
    """
    return (
        startup.groupby("plateau")
        .agg(
            batch=("batch", "first"),
            run=("run", "first"),
            fill=("tbl_fill", "first"),
            gap=("cyl_main", "first"),
            speed=("tbl_speed", lambda v: 1e3 * float(v.median())),
            force=("main_comp", "median"),
            samples=("batch", "size"),
            time=("timestamp", "first"),
        )
        .reset_index(drop=True)
    )


def production_means(production: pd.DataFrame) -> pd.DataFrame:
    """Means of each batch's production, index ``batch``: ``fill``, ``gap`` mm, ``speed`` 1/h, ``force`` kN."""
    means = production.groupby("batch").agg(
        fill=("tbl_fill", "mean"),
        gap=("cyl_main", "mean"),
        speed=("tbl_speed", lambda v: 1e3 * float(v.mean())),
        force=("main_comp", "mean"),
        samples=("batch", "size"),
    )
    return means[means.samples > MIN_PRODUCTION_SAMPLES]


def force_moves(steps: pd.DataFrame, max_move: float = MAX_MOVE, *, within_runs: bool = False) -> pd.DataFrame:
    """Differences between consecutive plateaus of a batch: ``batch``, ``fill``, ``gap``, ``force``."""
    moves = steps.groupby("batch")[["fill", "gap", "force"]].diff()
    moves["batch"] = steps.batch
    if within_runs:
        moves = moves[steps.run == steps.run.shift()]
    moves = moves.dropna()
    small = (moves.fill.abs() <= max_move) & (moves.gap.abs() <= max_move)
    return moves[small & (moves.fill.abs() + moves.gap.abs() > 1e-6)]


def estimate_gains(moves: pd.DataFrame, columns: Sequence[str] = ("fill", "gap")) -> FloatArray:
    """Change of ``force`` per change of each column, without intercept, robust to outliers, shape (columns,).

    With the default columns: (dF/d fill, dF/d gap) in kN/mm of dF = a dfill + b dgap.
    """
    a = moves[list(columns)].to_numpy(dtype=float)
    y = moves["force"].to_numpy(dtype=float)
    start = np.linalg.lstsq(a, y, rcond=None)[0]

    def residuals(b: FloatArray) -> FloatArray:
        return np.asarray(a @ b - y, dtype=float)

    def slopes(_: FloatArray) -> FloatArray:
        return a

    result = least_squares(residuals, start, jac=slopes, loss="soft_l1", f_scale=OUTLIER)
    return np.asarray(result.x, dtype=float)


def measure_gains(steps: pd.DataFrame, resamples: int = 1000, seed: int = 0) -> MeasuredGains | None:
    """Gains with a bootstrap over batches; None where there are too few moves to tell.

    Args:
        steps: frame of `plateaus`.
        resamples: bootstrap resamples.
        seed: of the resampling.
    """
    moves = force_moves(steps)
    if len(moves) < _MIN_MOVES or np.linalg.matrix_rank(moves[["fill", "gap"]].to_numpy()) < 2:
        return None
    best = estimate_gains(moves)
    groups = [group for _, group in moves.groupby("batch")]
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(resamples):
        sample = pd.concat([groups[i] for i in rng.integers(len(groups), size=len(groups))])
        if np.linalg.matrix_rank(sample[["fill", "gap"]].to_numpy()) == 2:
            drawn.append(estimate_gains(sample))
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0) if drawn else (np.full(2, np.nan), np.full(2, np.nan))
    return MeasuredGains(
        float(best[0]),
        float(best[1]),
        (float(low[0]), float(high[0])),
        (float(low[1]), float(high[1])),
        len(moves),
        len(groups),
    )


def gains_of_selection(
    marked: pd.DataFrame, selection: Selection, batches: Collection[int] | None = None
) -> FloatArray | None:
    """(dF/d fill, dF/d gap) in kN/mm of one selection, shape (2,), or None where it leaves too few moves."""
    steps = plateaus(select_startup(marked, None, batches, selection))
    moves = force_moves(steps, selection.max_move, within_runs=selection.within_runs)
    if len(moves) < _MIN_MOVES or np.linalg.matrix_rank(moves[["fill", "gap"]].to_numpy()) < 2:
        return None
    return estimate_gains(moves)


def gain_variants(marked: pd.DataFrame, batches: Collection[int] | None = None) -> FloatArray:
    """The gains of each of `SELECTION_VARIANTS` that leaves enough moves, shape (variants, 2)."""
    found = [gains_of_selection(marked, selection, batches) for selection in SELECTION_VARIANTS]
    return np.array([gains for gains in found if gains is not None]).reshape(-1, 2)
