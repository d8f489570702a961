"""Short names of signals, for ports and for people."""

from __future__ import annotations

from collections.abc import Sequence


def label_of(signal: str) -> str:
    """The last name of a signal: ``label_claim`` of ``press.label_claim``."""
    return signal.rsplit(".", 1)[-1]


def labels_of(signals: Sequence[str]) -> list[str]:
    """The last names of signals; the whole name where two would be the same."""
    last = [label_of(signal) for signal in signals]
    return [short if last.count(short) == 1 else whole for short, whole in zip(last, signals, strict=True)]
