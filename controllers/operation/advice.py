"""Advisory mode: recommendations that wait for a person's answer, in a file or at a prompt."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from controllers.operation.law import Plan
from controllers.operation.rules import AdvisoryRules
from cosim.component import FloatArray

#: What may be answered. ``release`` hands the inputs back to the loops below.
ANSWERS = ("accept", "reject", "release")


@dataclass(frozen=True)
class Recommendation:
    """Inputs that are recommended, shape (m,), in place of those that were in force; times in s."""

    number: int
    time: float
    expires: float
    before: FloatArray
    inputs: FloatArray


#: Asks a person at once; None: no answer yet.
Ask = Callable[[Recommendation], str | None]


class Advisor:
    """Makes recommendations, and knows which one was accepted.

    There is one open recommendation at a time. It is accepted, rejected, or expires; after a rejection nothing is
    recommended for as long as a recommendation would have been open. What is accepted stays in force until something
    else is accepted, the inputs are released, or the mode changes.

    Args:
        rules: times and the least move.
        ranges: of the inputs, shape (m,).
    """

    def __init__(self, rules: AdvisoryRules, ranges: FloatArray) -> None:
        self._rules, self._least = rules, rules.least * ranges
        self.open: Recommendation | None = None
        self.accepted: FloatArray | None = None
        self.number = 0
        self.ask: Ask | None = None
        self._quiet_until = -math.inf
        self._waiting: dict[int, str] = {}

    def clear(self) -> None:
        """The mode has changed: nothing is open, nothing accepted."""
        self.open, self.accepted, self._quiet_until = None, None, -math.inf
        self._waiting = {}

    def update(
        self, time: float, plan: Plan | None, previous: FloatArray, answers: list[tuple[int, str]]
    ) -> list[dict[str, Any]]:
        """One period; what happened, for the record.

        Args:
            time: in s.
            plan: of this step, None where there is none worth following.
            previous: inputs in force.
            answers: that came since the last period.
        """
        events: list[dict[str, Any]] = []
        for number, answer in answers:
            if answer == "release" and self.accepted is not None:
                self.accepted = None
                events.append({"what": "released", "number": number})
            elif number >= self.number and answer in ANSWERS:
                self._waiting[number] = answer  # it may be for one that is made after a checkpoint
        self._decide(time, events)
        if self.open is not None and time >= self.open.expires:
            events.append({"what": "expired", "number": self.open.number})
            self.open = None
        if self.open is None and plan is not None and time >= self._quiet_until:
            self._open(time, plan, previous, events)
            self._decide(time, events)
        if self.open is not None and self.ask is not None:
            said = self.ask(self.open)
            if said is not None:
                self._waiting[self.open.number] = said
                self._decide(time, events)
        return events

    def _open(self, time: float, plan: Plan, previous: FloatArray, events: list[dict[str, Any]]) -> None:
        stage = min(int(np.searchsorted(plan.ends, self._rules.ahead - 1e-9, side="left")), len(plan.ends) - 1)
        wanted = plan.inputs[stage]
        held = previous if self.accepted is None else self.accepted
        if np.all(np.abs(wanted - held) <= self._least):
            return
        self.number += 1
        self._waiting = {n: a for n, a in self._waiting.items() if n >= self.number}
        self.open = Recommendation(self.number, time, time + self._rules.expires, held.copy(), wanted.copy())
        events.append({"what": "recommended", "number": self.number, "inputs": wanted.tolist()})

    def _decide(self, time: float, events: list[dict[str, Any]]) -> None:
        if self.open is None or (answer := self._waiting.pop(self.open.number, None)) is None:
            return
        if answer == "accept":
            self.accepted = self.open.inputs
            events.append({"what": "accepted", "number": self.open.number})
        else:
            self._quiet_until = time + self._rules.expires
            events.append({"what": "rejected", "number": self.open.number})
        self.open = None

    def snapshot(self) -> dict[str, Any]:
        """What it remembers."""
        r = self.open
        return {
            "number": self.number,
            "accepted": None if self.accepted is None else self.accepted.copy(),
            "quiet_until": self._quiet_until,
            "open": None if r is None else {**vars(r)},
        }

    def recall(self, snapshot: Mapping[str, Any]) -> None:
        """Remember what `snapshot` gave."""
        self.number, self.accepted = snapshot["number"], snapshot["accepted"]
        self._quiet_until = snapshot["quiet_until"]
        self.open = None if snapshot["open"] is None else Recommendation(**snapshot["open"])


class AnswerFile:
    """Answers that are appended to a file, one JSON object a line: ``{"number": 3, "answer": "accept"}``.

    Args:
        file: need not exist.
        offset: bytes that were read before.
    """

    def __init__(self, file: Path, offset: int = 0) -> None:
        self.file, self.offset = file, offset

    def poll(self) -> list[tuple[int, str]]:
        """What was appended since; lines that say nothing useful are passed over, one that is not whole yet waits."""
        try:
            if self.file.stat().st_size <= self.offset:
                return []
            with self.file.open("rb") as stream:
                stream.seek(self.offset)
                data = stream.read()
        except OSError:
            return []
        whole, newline, _ = data.rpartition(b"\n")
        self.offset += len(whole) + len(newline)
        found = []
        for line in whole.splitlines():
            try:
                entry = json.loads(line)
                found.append((int(entry.get("number", 0)), str(entry["answer"])))
            except (ValueError, KeyError, TypeError, AttributeError):
                continue
        return found
