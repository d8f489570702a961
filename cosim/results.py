"""Reading results back, complete or not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from cosim.parts import FORMAT, METADATA
from fmus.errors import GalenicError, nearest

if TYPE_CHECKING:
    import pandas as pd


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
        except FileNotFoundError as error:
            raise GalenicError(
                f"{folder} holds no results", cure="give the folder of a run, with its metadata.json"
            ) from error
        except (OSError, ValueError) as error:
            raise GalenicError(f"the metadata cannot be read: {error}", cure="run it again", file=file) from error
        if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
            raise GalenicError(
                f"these are not results of the format {FORMAT}", cure="run the scenario again", file=file
            )
        return cls(folder, metadata)

    @property
    def complete(self) -> bool:
        """Whether the run reached its end."""
        return bool(self.metadata["complete"])

    @property
    def units(self) -> dict[str, str]:
        """Unit of each signal."""
        return dict(self.metadata["units"])

    @property
    def signals(self) -> list[str]:
        """The recorded signals."""
        return list(self.metadata["units"])

    @property
    def parts(self) -> list[Path]:
        """The sealed parts in order."""
        return sorted(self.folder.glob("part-*.parquet"))

    def frame(self, signals: Sequence[str] | None = None) -> pd.DataFrame:
        """The signals as a data frame, indexed by ``time`` in s.

        Args:
            signals: which; None for all.

        Raises:
            GalenicError: a signal was not recorded, or a part is damaged.
        """
        import duckdb
        import pandas as pd

        wanted = self.signals if signals is None else list(dict.fromkeys(signals))
        for name in wanted:
            if name not in self.units:
                raise GalenicError(f"'{name}' was not recorded in {self.folder}", cure=nearest(name, self.signals))
        if not self.parts:
            return pd.DataFrame(columns=wanted, index=pd.Index([], name="time", dtype=float), dtype=float)
        columns = ", ".join('"' + name.replace('"', '""') + '"' for name in ("time", *wanted))
        try:
            with duckdb.connect() as connection:
                query = f"SELECT {columns} FROM read_parquet(?) ORDER BY time"
                data = connection.execute(query, [[_literal(part) for part in self.parts]]).fetchnumpy()
        except duckdb.Error as error:
            raise GalenicError(
                f"the results in {self.folder} are damaged: {str(error).splitlines()[0]}", cure="run it again"
            ) from error
        return pd.DataFrame({name: data[name] for name in wanted}, index=pd.Index(data["time"], name="time"))


def _literal(file: Path) -> str:
    """A path in which DuckDB sees no wildcards."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in str(file))
