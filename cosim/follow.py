"""Following a run while it goes on: what was added to its results since the last look."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cosim.component import FloatArray
from cosim.parts import readable_files
from cosim.result_query import Column, Group, Rows, query
from cosim.results import Results
from fmus.errors import GalenicError


@dataclass(frozen=True)
class NewRows:
    """Rows of one group.

    Args:
        signals: of the group, those that are followed.
        times: in s, shape (n,).
        values: shape (n, len(signals)).
        written: when the last of them came to the disk, in s of the system's clock.
    """

    signals: tuple[str, ...]
    times: FloatArray
    values: FloatArray
    written: float


class Follower:
    """Reads a run's signals in pieces, each row once. A file that was read whole is not opened again.

    Args:
        folder: of the run.
        signals: names; recorded ones.

    Raises:
        GalenicError: the folder holds no results, or a signal was not recorded.
    """

    def __init__(self, folder: Path, signals: Sequence[str]) -> None:
        self.results = Results.open(folder)
        self._started = self.results.metadata.get("started")
        wanted = set(signals)
        self._groups = [
            _Followed(group, tuple(name for name in group.signals if name in wanted))
            for group in self.results.groups_of(signals)
        ]

    @property
    def same_run(self) -> bool:
        """Whether the folder still holds the run that it held at first."""
        return self.results.metadata.get("started") == self._started

    def poll(self) -> list[NewRows]:
        """The rows that came since the last call, by group; ``results`` is read again."""
        self.results = Results.open(self.results.folder)
        return [rows for group in self._groups if len((rows := group.poll(self.results)).times)]


class _Followed:
    def __init__(self, group: Group, signals: tuple[str, ...]) -> None:
        self._group, self._signals = group, signals
        self._columns = [Column(signal, f"c{number}") for number, signal in enumerate(signals)]
        self._parts_read = 0
        self._last = -math.inf

    def poll(self, results: Results) -> NewRows:
        import duckdb

        number = self._group.number
        files = readable_files(results.folder, number)
        sealed = len(files) - ("tail-" in files[-1].name) if files else 0
        step = float(results.metadata.get("step_size") or 0.0)
        rows = Rows(start=self._last + 0.5 * step if math.isfinite(self._last) else None)
        nothing = NewRows(self._signals, np.zeros(0), np.zeros((0, len(self._signals))), 0.0)
        if not (unread := files[self._parts_read :]):
            return nothing
        try:
            written = unread[-1].stat().st_mtime
            with duckdb.connect() as connection:
                text = query([self._group], {number: unread}, self._columns, rows)
                data = connection.execute(text).fetchnumpy()
        except FileNotFoundError:
            return nothing  # sealed at that moment; the next look sees it
        except duckdb.Error as error:
            if len(unread) + self._parts_read == sealed:
                raise GalenicError(
                    f"the results in {results.folder} are damaged: {str(error).splitlines()[0]}", cure="run it again"
                ) from error
            return nothing  # replaced at that moment
        times = np.asarray(data["time"], dtype=np.float64)
        values = np.array([data[column.name] for column in self._columns], dtype=np.float64)
        self._parts_read = sealed
        if len(times):
            self._last = float(times[-1])
        return NewRows(self._signals, times, values.reshape(len(self._columns), -1).T, written)
