"""Writes signals to disk while a run goes on, so that memory stays flat and a crash keeps what was computed.

Rows are collected in a block of memory. A full block becomes a sealed part; a block that fills slowly is shown to
readers as a tail every few seconds, see `cosim.parts`. The metadata are written first with ``complete: false``, and
again at the end.
"""

from __future__ import annotations

import time as clock
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cosim.component import FloatArray
from cosim.interrupts import deferred_interrupt
from cosim.parts import FORMAT, clear, connect, part_file, sealed_parts, write_metadata, write_part

if TYPE_CHECKING:
    import duckdb

#: What a part holds: much where rows are narrow, for a file has its price; of wide rows what memory has room for.
_BLOCK_BYTES, _LEAST_ROWS, _MOST_ROWS = 16 * 2**20, 1024, 65536
_TAIL_INTERVAL = 2.0  # s
#: A tail may cost a fiftieth of the processor's time.
_TAIL_PAUSE = 50.0


@dataclass(frozen=True)
class Selection:
    """Signals that are recorded together.

    Args:
        units: the signals in column order, with their units.
        columns: where each stands in the vector of signals, shape (len(units),).
        every: communication steps from row to row; the first row is at t = 0.
    """

    units: Mapping[str, str]
    columns: npt.NDArray[np.int64]
    every: int = 1


class RecordingGroup:
    """Signals that are recorded together, in a block that either `record` or the native kernel fills.

    Args:
        folder: where to.
        number: place among the groups of the run; it names the files.
        selection: what is recorded.
        connection: writes the parts.
        rows_per_part: rows held in memory before they are sealed.

    Attributes:
        columns: positions in the vector of signals, shape (n,), int64.
        every: communication steps from row to row.
        block: rows in memory, C-contiguous, shape (rows, 1 + n): time in s, then the signals.
        row: the next free row of ``block``; always less than its rows.
        rows: rows that are sealed.
    """

    def __init__(
        self,
        folder: Path,
        number: int,
        selection: Selection,
        connection: duckdb.DuckDBPyConnection,
        rows_per_part: int,
    ) -> None:
        self.columns = np.ascontiguousarray(selection.columns, dtype=np.int64)
        self.every = selection.every
        self.units = dict(selection.units)
        self.block: FloatArray = np.zeros((rows_per_part, len(self.units) + 1))
        self.row = 0
        self.rows = 0
        self._folder, self._number, self._part, self._connection = folder, number, 0, connection
        self._names = ["time", *self.units]
        self._tail: Path | None = None
        self._tail_due = clock.monotonic() + _TAIL_INTERVAL

    @property
    def room(self) -> int:
        """Rows that can be written from ``row`` on before `written` is called."""
        return len(self.block) - self.row

    def record(self, time: float, signals: FloatArray) -> None:
        """Keep one row: ``time`` in s, its values from the vector of all signals."""
        row = self.block[self.row]
        row[0] = time
        row[1:] = signals[self.columns]
        self.written(1)

    def written(self, count: int) -> None:
        """Say that ``count`` rows (at most ``room``) were filled; a full block is sealed."""
        self.row += count
        if self.row == len(self.block):
            self.seal()
        elif clock.monotonic() >= self._tail_due:
            self.write_tail()

    def seal(self) -> None:
        """Write the rows in memory as a part; a Ctrl-C takes effect when it is whole."""
        if self.row == 0 and self._part > 0:
            return
        with deferred_interrupt():
            write_part(self._connection, self._file("part"), self._names, self.block[: self.row], self.units)
            self.rows += self.row
            self.row = 0
            self._part += 1
            self._tail_due = clock.monotonic() + _TAIL_INTERVAL
            if self._tail is not None:
                _remove(self._tail)
                self._tail = None

    def state(self) -> dict[str, Any]:
        """What a checkpoint needs to go on from here: parts, rows in them, and the rows in memory."""
        return {"part": self._part, "rows": self.rows, "block": self.block[: self.row].copy()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint in the folder of the run; parts that were sealed after it are removed."""
        for file in sealed_parts(self._folder, self._number)[state["part"] :]:
            file.unlink()
        self._part, self.rows, self.row = state["part"], state["rows"], len(state["block"])
        _remove(self._file("tail"))
        self.block[: self.row] = state["block"]

    def write_tail(self) -> None:
        """Show the rows in memory to readers."""
        began = clock.thread_time()
        file = self._file("tail")
        # PermissionError: on Windows, while somebody reads the tail of before
        with deferred_interrupt(), suppress(PermissionError):
            write_part(self._connection, file, self._names, self.block[: self.row], self.units)
            self._tail = file
        spent = clock.thread_time() - began
        self._tail_due = clock.monotonic() + max(_TAIL_INTERVAL, _TAIL_PAUSE * spent)

    def _file(self, kind: str) -> Path:
        return part_file(self._folder, self._number, self._part, kind)


class Recorder:
    """Records the groups of a run.

    Args:
        folder: where to; earlier results in it are replaced.
        selections: what is recorded, at least one.
        metadata: what else to keep about the run; ``step_size`` (s) gives the groups' intervals.
        rows_per_part: rows of a group held in memory before they are sealed; None for what suits its width.
        resume: the state of an earlier recorder in the same folder, to go on from there.

    Raises:
        GalenicError: the folder cannot be written, or holds something other than results.
    """

    def __init__(
        self,
        folder: Path,
        selections: Sequence[Selection],
        metadata: Mapping[str, Any],
        rows_per_part: int | None = None,
        resume: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = folder
        # now, not when a step should be on time
        self._connection = connect()
        self.groups = [
            RecordingGroup(folder, number, selection, self._connection, rows_per_part or _suitable_rows(selection))
            for number, selection in enumerate(selections)
        ]
        self.metadata = {
            "format": FORMAT,
            "complete": False,
            "rows": 0,
            "units": {name: unit for selection in selections for name, unit in selection.units.items()},
            "groups": [{"every": s.every, "signals": list(s.units)} for s in selections],
            **metadata,
        }
        if resume is None:
            clear(folder)
        else:
            for group, state in zip(self.groups, resume["groups"], strict=True):
                group.restore(state)
        write_metadata(folder, self.metadata)

    def record(self, step: int, time: float, signals: FloatArray) -> None:
        """Keep a row of each group that is due.

        Args:
            step: completed communication steps; 0 for the first row.
            time: simulated time in s.
            signals: the vector of all signals.
        """
        for group in self.groups:
            if step % group.every == 0:
                group.record(time, signals)

    def finish(self, step: int, time: float, signals: FloatArray) -> None:
        """Give each group the run's last row, where its own is not due; so all groups end together."""
        for group in self.groups:
            if step % group.every:
                group.record(time, signals)

    def flush(self) -> None:
        """Show the rows in memory to readers."""
        for group in self.groups:
            if group.row:
                group.write_tail()

    def state(self) -> dict[str, Any]:
        """For a checkpoint; see ``resume``."""
        return {"groups": [group.state() for group in self.groups]}

    def close(self, complete: bool, **metadata: Any) -> None:
        """Seal the last parts and say in the metadata whether the run reached its end."""
        with deferred_interrupt():
            for group in self.groups:
                group.seal()
            self.metadata |= {"complete": complete, "rows": self.groups[0].rows, **metadata}
            write_metadata(self.folder, self.metadata)
            self._connection.close()


def _suitable_rows(selection: Selection) -> int:
    return max(_LEAST_ROWS, min(_MOST_ROWS, _BLOCK_BYTES // (8 * (len(selection.units) + 1))))


def _remove(file: Path) -> None:
    """Remove a void tail; one that another process reads on Windows may stay, readers do not use it."""
    with suppress(PermissionError):
        file.unlink(missing_ok=True)
