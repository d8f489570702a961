"""What one check found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

_SHOWN = 4


class Outcome(StrEnum):
    """How a check ended. A warning is allowed by the standard, but some tool or user will stumble over it."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Verdict:
    """One check and what it found. ``interface`` is the one that it is about, empty for the whole file."""

    check: str
    outcome: Outcome
    found: str
    interface: str = ""

    def of(self, interface: str) -> Verdict:
        """The same, about one interface."""
        return replace(self, interface=interface)

    @classmethod
    def ok(cls, check: str, found: str) -> Verdict:
        """What was asked for is there."""
        return cls(check, Outcome.OK, found)

    @classmethod
    def skipped(cls, check: str, why: str) -> Verdict:
        """Not checked, and why."""
        return cls(check, Outcome.SKIPPED, f"not checked: {why}")

    @classmethod
    def judged(cls, check: str, failures: Sequence[str], warnings: Sequence[str], fine: str) -> Verdict:
        """Failed if there are failures, a warning if there are warnings, else ok."""
        if failures:
            return cls(check, Outcome.FAILED, shortened([*failures, *warnings]))
        if warnings:
            return cls(check, Outcome.WARNING, shortened(warnings))
        return cls.ok(check, fine)


def shortened(items: Sequence[str], separator: str = "; ") -> str:
    """The first items, and how many more there are."""
    rest = len(items) - _SHOWN
    return separator.join(items[:_SHOWN]) + (f"{separator}and {rest} more" if rest > 0 else "")
