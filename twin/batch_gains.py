"""Gains of a press that the batches of a product show, without a model.

Within a batch a loop holds the force with the fill depth, and so holds the mass; the fill depth then answers to the
powder's density, and its effect on the force cannot be seen. Two things can:

- **Gap.** From batch to batch of one set-up the operator moves the gap to correct the hardness, and fill depth is set
  anew until the weight is on target. The force changes at constant mass, and as the gap does not change the mass, this
  is the open-loop gain dF/d gap. Only differences between batches of one set-up count: another press or tooling shifts
  the zero of the gap by as much as a batch moves it, and a regression over all batches shows a third of the gain.
- **Mass.** Tablets of one revolution differ in mass, and their forces differ with it, faster than any loop:
  SREL / weight RSD is d ln F / d ln m, a little more where punches differ in length too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from twin.press_strength import Tabletability, log_trend, with_strength
from twin.startup import estimate_gains

#: fewer moves than this tell no gain
MIN_MOVES = 6
_SMALL_MOVE = 0.02  # mm
#: a bootstrap over so few set-ups tells nothing
FEW_SETUPS = 2


@dataclass(frozen=True)
class BatchGains:
    """What a product's batches show; NaN where they are too few.

    Attributes:
        gap: dF/d gap, kN/mm.
        mass: d ln F/d ln m, median of SREL / weight RSD.
        exponent: d ln(tensile strength)/d ln F from batch to batch of a set-up.
    """

    gap: float
    mass: float
    exponent: float


def batch_moves(frame: pd.DataFrame) -> pd.DataFrame:
    """Differences from one batch to the next of a set-up, index: the later batch.

    Columns: ``setup``, ``gap`` mm, ``force`` kN, ``log_force``, ``log_strength``, ``log_weight`` (differences).

    Args:
        frame: as of `BatchData.frame`.
    """
    known = with_strength(frame)
    values = frame[["gap", "force"]].assign(
        log_force=np.log(frame.force),
        log_strength=np.log(known.strength).reindex(frame.index),
        log_weight=np.log(frame.weight),
    )
    moves = values.groupby(frame.setup).diff()
    moves["setup"] = frame.setup
    return moves[moves.gap.notna()]


def measure_batch_gains(frame: pd.DataFrame) -> BatchGains:
    """The gains that a frame as of `BatchData.frame` shows."""
    moves = batch_moves(frame)
    enough = len(moves) >= MIN_MOVES and float(moves.gap.abs().max()) > 1e-6
    gap = float(estimate_gains(moves, ("gap",))[0]) if enough else float("nan")
    scatter = frame[(frame.srel > 0) & (frame.weight_rsd > 0)]
    return BatchGains(gap, float((scatter.srel / scatter.weight_rsd).median()), strength_trend(moves).exponent)


def regression_over_all(frame: pd.DataFrame) -> tuple[float, float]:
    """(dF/d fill, dF/d gap) in kN/mm of a plain regression over all batches; loop and set-ups make it meaningless."""
    columns = np.column_stack([np.ones(len(frame)), frame.fill, frame.gap])
    slopes = np.linalg.lstsq(columns, frame.force.to_numpy(dtype=float), rcond=None)[0]
    return float(slopes[1]), float(slopes[2])


def gap_gain_variants(frame: pd.DataFrame) -> dict[str, float]:
    """dF/d gap in kN/mm measured in other ways that are as defensible; their spread is part of what is not known."""
    moves = batch_moves(frame)
    if len(moves) < MIN_MOVES:
        return {}
    scatter = float((frame.srel / frame.weight_rsd).median())
    by_mass = scatter * float(frame.force.mean()) * moves.log_weight.fillna(0.0)
    centred = frame[["gap", "force"]] - frame.groupby("setup")[["gap", "force"]].transform("mean")
    variants = {
        "least squares": moves,
        "less what the laboratory's weights changed": moves.assign(force=moves.force - by_mass),
        "moves above 0.02 mm": moves[moves.gap.abs() > _SMALL_MOVE],
        "against the set-up's mean": centred,
    }
    return {name: _slope(v) for name, v in variants.items() if float(v.gap.abs().max()) > 1e-6}


def _slope(moves: pd.DataFrame) -> float:
    return float((moves.gap * moves.force).sum() / (moves.gap**2).sum())


def strength_trend(moves: pd.DataFrame) -> Tabletability:
    """How strength follows force between the batches of a set-up.

    Between set-ups and lots the operator trades force for tabletability, so that the hardness stays on target and a
    regression over all batches shows nothing.
    """
    known = moves.dropna(subset=["log_force", "log_strength"])
    return log_trend(known.log_force, known.log_strength)


def resample_setups(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Set-ups drawn with replacement until there are as many batches as before, each with all its batches."""
    groups = [group for _, group in frame.groupby("setup")]
    parts: list[pd.DataFrame] = []
    count = 0
    while count < len(frame):
        part = groups[int(rng.integers(len(groups)))]
        parts.append(part.assign(setup=len(parts)))
        count += len(part)
    return pd.concat(parts)


def bootstrap_gains(frame: pd.DataFrame, resamples: int, seed: int = 0) -> pd.DataFrame:
    """Gains of each resample of set-ups, one row each: ``gap``, ``mass``, ``exponent``; none of one or two set-ups."""
    if frame.setup.nunique() <= FEW_SETUPS:
        resamples = 0
    rng = np.random.default_rng(seed)
    rows = [vars(measure_batch_gains(resample_setups(frame, rng))) for _ in range(resamples)]
    return pd.DataFrame(rows, columns=["gap", "mass", "exponent"])
