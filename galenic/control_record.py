"""Reading what predictive controllers recorded of each step, see `controllers.operation.record`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controllers.operation.record import SCHEMA, record_file
from cosim.parts import RECORDS
from fmus.errors import GalenicError, nearest


@dataclass(frozen=True)
class ControlRecord:
    """The record of one controller in a run.

    Attributes:
        file: with one step a line.
        header: names, units, bounds and limits; see `controllers.operation.record`.
    """

    file: Path
    header: dict[str, Any]

    @classmethod
    def open(cls, run: Path, controller: str | None = None) -> ControlRecord:
        """Find the record of a controller; it need not be named where there is one.

        Raises:
            GalenicError: there is no such folder, none of that name, there are several, or it is of another version.
        """
        if not run.is_dir():
            beside = [f.name for f in run.parent.iterdir() if f.is_dir()] if run.parent.is_dir() else []
            raise GalenicError(
                f"there is no folder '{run}'",
                cure=f"give a run's folder, or none for the newest below ./runs; {nearest(run.name, beside)}",
            )
        folder = run / RECORDS
        names = controllers_of(run)
        if not names:
            raise GalenicError(
                f"{run} has no record of a predictive controller",
                cure="run a scenario with a controller of type mpc, and without 'operation: {record: false}'",
            )
        if controller is None and len(names) > 1:
            raise GalenicError(f"several controllers were recorded: {', '.join(names)}", cure="choose by --controller")
        name = names[0] if controller is None else controller
        if name not in names:
            raise GalenicError(f"there is no record of a controller '{name}'", cure=nearest(name, names))
        file = record_file(folder, name)
        try:
            with file.open(encoding="utf-8") as stream:
                header = json.loads(stream.readline())
        except (OSError, ValueError) as error:
            raise GalenicError(
                f"the record cannot be read: {error}", cure="run the scenario again", file=file
            ) from error
        if header.get("record") != SCHEMA:
            raise GalenicError(
                f"this record is of the format '{header.get('record')}', not {SCHEMA}",
                cure="run the scenario again with this version",
                file=file,
            )
        return cls(file, header)

    def steps(self) -> Iterator[dict[str, Any]]:
        """The steps in order; a last line that is not whole yet is left out."""
        with self.file.open(encoding="utf-8") as stream:
            stream.readline()
            for number, line in enumerate(stream, start=2):
                if not line.endswith("\n"):
                    return
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise GalenicError(
                        f"this line is no step: {error}", cure="run the scenario again", file=self.file, line=number
                    ) from error


def controllers_of(run: Path) -> list[str]:
    """The controllers that a run recorded."""
    found = (run / RECORDS).glob("*.jsonl")
    return sorted(file.stem for file in found if not file.stem.endswith(".answers"))
