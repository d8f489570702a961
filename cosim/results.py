"""Reading results back, complete or not, while a run goes on or later."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from cosim.parts import FORMAT, METADATA, readable_files, sealed_parts
from cosim.result_query import Column, Group, Rows, query
from fmus.errors import GalenicError, nearest
from fmus.quantity import conversion, parse_quantity

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

#: Signals by name or pattern; a mapping gives each the unit to convert it to.
Signals = str | Iterable[str] | Mapping[str, str]
#: A time as a number in s, or text with a unit.
Time = float | str

_T = TypeVar("_T")
#: A reader may meet a file that the run replaces at that moment.
_ATTEMPTS = 5
_PATTERN = frozenset("*?[")


class Results:
    """The results of a run in its folder.

    Args:
        folder: the run's folder.
        metadata: scenario, seed, versions, FMU hashes, ``complete``; see `Simulation`.
    """

    def __init__(self, folder: Path, metadata: dict[str, Any]) -> None:
        self.folder = folder
        self.metadata = metadata

    @classmethod
    def open(cls, folder: Path | str) -> Self:
        """Open a run's folder.

        Raises:
            GalenicError: it is not one.
        """
        folder = Path(folder)
        file = folder / METADATA
        try:
            metadata = json.loads(file.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError) as error:
            said = f"{folder} holds no results" if folder.is_dir() else f"there is no folder '{folder}'"
            raise GalenicError(said, cure="give the folder of a run, with its metadata.json") from error
        except (OSError, ValueError) as error:
            raise GalenicError(f"the metadata cannot be read: {error}", cure="run it again", file=file) from error
        if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
            raise GalenicError(
                f"these are not results of the format {FORMAT}", cure="run the scenario again", file=file
            )
        results = cls(folder, metadata)
        try:
            recorded = {signal for group in results.groups for signal in group.signals}
            if recorded != set(results.units) or not all(group.every >= 1 for group in results.groups):
                raise ValueError("signals and groups do not fit")
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise GalenicError(
                f"the metadata are damaged: {type(error).__name__}: {error}", cure="run it again", file=file
            ) from error
        return results

    @property
    def complete(self) -> bool:
        """Whether the run reached its end."""
        return bool(self.metadata.get("complete"))

    @property
    def closed(self) -> bool:
        """Whether the run has ended, complete or not; one that was killed never says so."""
        return self.complete or "error" in self.metadata

    @property
    def units(self) -> dict[str, str]:
        """Unit of each signal."""
        return dict(self.metadata["units"])

    @property
    def signals(self) -> list[str]:
        """The recorded signals."""
        return list(self.metadata["units"])

    @cached_property
    def groups(self) -> list[Group]:
        """The signals that were recorded together, each group at its own rate."""
        groups = self.metadata.get("groups") or [{"every": 1, "signals": self.signals}]
        return [Group(number, tuple(g["signals"]), int(g["every"])) for number, g in enumerate(groups)]

    @property
    def parts(self) -> list[Path]:
        """The sealed parts in order, group by group."""
        return [part for group in self.groups for part in sealed_parts(self.folder, group.number)]

    def interval(self, signal: str) -> float | None:
        """Simulated time from row to row of a signal in s; None where the run does not say its step."""
        step = self.metadata.get("step_size")
        return None if step is None else float(step) * self.group_of(signal).every

    def group_of(self, signal: str) -> Group:
        """The group in which a signal was recorded. Raises GalenicError where it was not."""
        if signal not in self._homes:
            raise GalenicError(f"'{signal}' was not recorded in {self.folder}", cure=nearest(signal, self.signals))
        return self._homes[signal]

    def groups_of(self, signals: Iterable[str]) -> list[Group]:
        """The groups of several signals, in order; of none the first."""
        found = {self.group_of(signal).number for signal in signals} or {0}
        return [group for group in self.groups if group.number in found]

    def select(self, signals: Signals | None) -> list[str]:
        """The recorded signals that are named or match a pattern such as ``press.*``, in the order asked for.

        Raises:
            GalenicError: a name or pattern fits nothing.
        """
        if signals is None:
            return self.signals
        known = self.signals
        found: dict[str, None] = {}
        for wanted in [signals] if isinstance(signals, str) else signals:
            if wanted in self.metadata["units"]:
                found[wanted] = None
                continue
            matching = [name for name in known if fnmatch.fnmatchcase(name, wanted)] if _PATTERN & set(wanted) else []
            if not matching:
                raise GalenicError(f"'{wanted}' was not recorded in {self.folder}", cure=nearest(wanted, known))
            found.update(dict.fromkeys(matching))
        return list(found)

    def common_end(self, signals: Iterable[str]) -> float:
        """The last time in s at which all of these signals have a row of their own; NaN where there is none."""
        times: set[float] | None = None
        for group in self.groups_of(signals):
            own = set(self.frame(group.signals[:1]).index)
            times = own if times is None else times & own
        return max(times, default=float("nan")) if times else float("nan")

    def frame(
        self,
        signals: Signals | None = None,
        *,
        start: Time | None = None,
        stop: Time | None = None,
        every: Time | None = None,
    ) -> pd.DataFrame:
        """The signals as a data frame, indexed by ``time`` in s; ``frame.attrs["units"]`` has their units.

        Signals that were recorded at one rate have the rows in which they were recorded. Together with others, each
        keeps its last recorded value until its next was due.

        Args:
            signals: names or patterns; None for all; a mapping to units converts: ``{"press.tablet_weight": "g"}``.
            start: the first time, as a number in s or text such as ``"10 min"``.
            stop: the last time.
            every: time from row to row, a multiple of the interval of recording; None for every row.

        Raises:
            GalenicError: a signal was not recorded, a unit does not convert, ``every`` is no multiple, or a part is
                damaged.
        """
        import pandas as pd

        columns, units = self.columns(signals)
        numbered = [Column(c.signal, f"c{n}", c.factor, c.offset) for n, c in enumerate(columns)]

        def fetch(connection: duckdb.DuckDBPyConnection, text: str) -> Any:
            return connection.execute(text).fetchnumpy()

        data = self.ask(numbered, fetch, start=start, stop=stop, every=every)
        names = [column.name for column in columns]
        if data is None:
            frame = pd.DataFrame(columns=names, index=pd.Index([], name="time", dtype=float), dtype=float)
        else:
            values = {name: data[f"c{n}"] for n, name in enumerate(names)}
            frame = pd.DataFrame(values, index=pd.Index(data["time"], name="time"))
        frame.attrs["units"] = units
        return frame

    def ask(
        self,
        columns: Sequence[Column],
        use: Callable[[duckdb.DuckDBPyConnection, str], _T],
        *,
        start: Time | None = None,
        stop: Time | None = None,
        every: Time | None = None,
        groups: Sequence[Group] | None = None,
    ) -> _T | None:
        """Give ``use`` a DuckDB connection and the SQL that reads ``time`` and the columns; again if files changed.

        Args:
            columns: what to read.
            use: what to do with it; may be called more than once.
            start: as in `frame`.
            stop: as in `frame`.
            every: as in `frame`.
            groups: whose times the rows have; None for those of the columns.

        Returns:
            What ``use`` returned; None where nothing is recorded yet.

        Raises:
            GalenicError: as `frame`.
        """
        import duckdb

        if groups is None:
            groups = self.groups_of(column.signal for column in columns)
        rows = self._rows(groups, start, stop, every)
        for attempt in range(_ATTEMPTS):
            files = {group.number: readable_files(self.folder, group.number) for group in groups}
            if not any(files.values()):
                return None
            try:
                with duckdb.connect() as connection:
                    return use(connection, query(groups, files, columns, rows))
            except duckdb.Error as error:
                if attempt < _ATTEMPTS - 1 and any(_is_tail(file) for several in files.values() for file in several):
                    continue
                raise GalenicError(
                    f"the results in {self.folder} are damaged: {str(error).splitlines()[0]}", cure="run it again"
                ) from error
        raise AssertionError("unreachable")

    def to_csv(self, file: Path | str, signals: Signals | None = None, **rows: Time | None) -> Path:
        """Write signals as CSV, each with its unit in the header; see `cosim.result_export.to_csv`."""
        from cosim.result_export import to_csv

        return to_csv(self, Path(file), signals, **rows)

    def to_parquet(self, file: Path | str, signals: Signals | None = None, **rows: Time | None) -> Path:
        """Write signals as one Parquet file; see `cosim.result_export.to_parquet`."""
        from cosim.result_export import to_parquet

        return to_parquet(self, Path(file), signals, **rows)

    def to_mat(self, file: Path | str, signals: Signals | None = None, **rows: Time | None) -> Path:
        """Write signals as a MAT file for MATLAB, Octave or SciPy; see `cosim.result_export.to_mat`."""
        from cosim.result_export import to_mat

        return to_mat(self, Path(file), signals, **rows)

    def columns(self, signals: Signals | None) -> tuple[list[Column], dict[str, str]]:
        """The columns asked for, and the unit of each. Arguments and errors as in `frame`."""
        known = self.metadata["units"]
        if not isinstance(signals, Mapping):
            names = self.select(signals)
            return [Column(name, name) for name in names], {name: known[name] for name in names}
        columns: dict[str, Column] = {}
        units: dict[str, str] = {}
        for pattern, unit in signals.items():
            for name in self.select([pattern]):
                try:
                    factor, offset = conversion(known[name], unit)
                except GalenicError as error:
                    raise GalenicError(f"'{name}': {error.message}", cure=error.cure) from error
                columns[name] = Column(name, name, factor, offset)
                units[name] = unit
        return list(columns.values()), units

    @cached_property
    def _homes(self) -> dict[str, Group]:
        return {signal: group for group in self.groups for signal in group.signals}

    def _rows(self, groups: Sequence[Group], start: Time | None, stop: Time | None, every: Time | None) -> Rows:
        step = float(self.metadata.get("step_size") or 0.0)
        count = 1
        if every is not None:
            if not step:
                raise GalenicError("the run does not say its communication step", cure="leave out 'every'")
            wanted, finest = seconds("every", every), step * min(group.every for group in groups)
            if round(wanted / finest) < 1 or abs(wanted / finest - round(wanted / finest)) > 1e-6:
                raise GalenicError(
                    f"every: {wanted:g} s is not a multiple of the {finest:g} s at which these signals were recorded",
                    cure=f"give a multiple of {finest:g} s",
                )
            count = round(wanted / step)
        first = None if start is None else seconds("start", start)
        last = None if stop is None else seconds("stop", stop)
        return Rows(first, last, count, step)


def seconds(name: str, value: Time) -> float:
    """A time in s. Raises GalenicError that begins with ``name`` where it is none."""
    try:
        return parse_quantity(value, "s")
    except GalenicError as error:
        raise GalenicError(f"{name}: {error.message}", cure="write for example 600 or '10 min'") from error


def _is_tail(file: Path) -> bool:
    return "tail-" in file.name
