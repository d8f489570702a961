"""Results without a simulation: signals that are known functions of time, recorded in groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from cosim import Results
from cosim.recorder import Recorder, Selection


def value(position: int, time: float) -> float:
    """The value of the signal at ``position`` of the vector; no two rows or signals share one."""
    return 1000.0 * position + time


def recorder(
    folder: Path,
    groups: Sequence[tuple[Mapping[str, str], int]],
    step: float = 1.0,
    rows_per_part: int = 10,
    **metadata: object,
) -> Recorder:
    """A recorder of groups ``(units, every)``; the vector has their signals one after the other."""
    selections, begin = [], 0
    for units, every in groups:
        selections.append(Selection(units, np.arange(begin, begin + len(units)), every))
        begin += len(units)
    return Recorder(folder, selections, {"step_size": step, **metadata}, rows_per_part)


def feed(into: Recorder, steps: range, step: float = 1.0) -> None:
    """Record these steps."""
    width = sum(len(group.columns) for group in into.groups)
    for k in steps:
        into.record(k, k * step, np.array([value(position, k * step) for position in range(width)]))


def record(
    folder: Path,
    groups: Sequence[tuple[Mapping[str, str], int]],
    rows: int = 61,
    step: float = 1.0,
    rows_per_part: int = 10,
) -> Results:
    """A complete run of ``rows`` rows, the first at t = 0."""
    into = recorder(folder, groups, step, rows_per_part)
    feed(into, range(rows), step)
    into.close(True)
    return Results.open(folder)
