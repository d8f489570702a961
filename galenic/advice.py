"""Recommendations of a controller in advisory mode: what is open, and a person's answer, by file or at a prompt."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from controllers.operation.record import record_file
from cosim.parts import RECORDS
from fmus.errors import GalenicError
from galenic.explanation_view import number
from galenic.progress import clock_text

if TYPE_CHECKING:
    from controllers.operation.advice import Recommendation
    from cosim import Simulation


@dataclass(frozen=True)
class OpenAdvice:
    """What a controller waits for.

    Attributes:
        controller: its name.
        number: of the recommendation.
        time: when it was made, in s.
        expires: in s.
        inputs: ``name``, ``unit``, ``from`` and ``to`` of each input.
        answers: the file that takes the answer.
    """

    controller: str
    number: int
    time: float
    expires: float
    inputs: list[dict[str, Any]]
    answers: Path


def answers_of(run: Path) -> dict[str, Path]:
    """The controllers in a run that have recommended something, with the file that each reads answers from."""
    found = {}
    for file in sorted((run / RECORDS).glob("*.advice.json")):
        name = file.name.removesuffix(".advice.json")
        content = _read(file)
        found[name] = Path(content["answers"]) if content.get("answers") else record_file(file.parent, name, "answers")
    return found


def open_advice(run: Path) -> list[OpenAdvice]:
    """The open recommendations of a run. Raises GalenicError where a file is damaged."""
    found = []
    for name, answers in answers_of(run).items():
        content = _read(record_file(run / RECORDS, name, "advice"))["open"]
        if content is not None:
            found.append(OpenAdvice(name, answers=answers, **content))
    return found


def _read(file: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise GalenicError(f"the recommendation cannot be read: {error}", cure="try again", file=file) from error
    return content


def answer(file: Path, number: int, what: str) -> None:
    """Append an answer: ``accept``, ``reject`` or ``release``.

    Raises:
        GalenicError: the file cannot be written.
    """
    line = json.dumps({"number": number, "answer": what}) + "\n"
    try:
        with file.open("a", encoding="utf-8", newline="\n") as stream:
            stream.write(line)
    except OSError as error:
        raise GalenicError(f"'{file}' cannot be written: {error.strerror or error}", cure="check the folder") from error


def advice_table(title: str, inputs: list[dict[str, Any]]) -> Table:
    """What is recommended in place of what is in force."""
    table = Table(title=Text(title), title_justify="left", title_style="bold", box=SIMPLE, padding=(0, 1, 0, 0))
    for column in ("input", "unit", "in force", "recommended", "change"):
        table.add_column(column, justify="left" if column == "input" else "right")
    for u in inputs:
        change = u["to"] - u["from"]
        table.add_row(Text(u["name"]), Text(u["unit"]), number(u["from"], 5), number(u["to"], 5), f"{change:+.3g}")
    return table


class Prompt:
    """Asks at the terminal, once for each recommendation; the simulation waits.

    Args:
        controller: its name.
        inputs: names and units.
        console: to ask on.
        read: reads a line; EOFError ends the questions.
    """

    def __init__(
        self, controller: str, inputs: list[tuple[str, str]], console: Console, read: Callable[[], str] = input
    ) -> None:
        self._controller, self._inputs, self._console, self._read = controller, inputs, console, read
        self._asked = 0
        self._over = False

    def __call__(self, recommendation: Recommendation) -> str | None:
        """The answer; None to leave it open."""
        if self._over or recommendation.number <= self._asked:
            return None
        self._asked = recommendation.number
        r = recommendation
        rows = [
            {"name": name, "unit": unit, "from": float(a), "to": float(b)}
            for (name, unit), a, b in zip(self._inputs, r.before, r.inputs, strict=True)
        ]
        title = f"{self._controller} at {clock_text(r.time)} recommends (number {r.number})"
        self._console.print(advice_table(title, rows))
        while True:
            self._console.print("Accept (a), reject (r), or leave it open (Enter)? ", end="", markup=False)
            try:
                said = self._read().strip().lower()
            except EOFError:
                self._over = True
                return None
            if said in ("", "a", "accept", "r", "reject"):
                return {"": None, "a": "accept", "r": "reject"}[said[:1]]


def ask_at_prompt(simulation: Simulation, console: Console) -> None:
    """Put all predictive controllers of a simulation into advisory mode, each asking at the terminal.

    Raises:
        GalenicError: there is none.
    """
    from controllers.mpc import MPCController
    from controllers.operation.reasons import Mode

    found = [c for c in simulation.system.controllers.values() if isinstance(c, MPCController)]
    if not found:
        raise GalenicError(
            f"'{simulation.scenario.name}' has no predictive controller that could advise",
            cure="leave --advise out, or add a controller of type mpc",
        )
    for controller in found:
        simulation.set(f"{controller.name}.mode", float(Mode.ADVISORY))
        controller.ask_with(Prompt(controller.name, [(u.name, u.unit) for u in controller.law.inputs], console))
