"""The one exception type whose text is meant for the user: what is wrong, where, and the cure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class GalenicError(Exception):
    """An error that the user can act on.

    Args:
        message: what is wrong, in one or two sentences.
        cure: what to do about it.
        file: the file at fault, where there is one.
        line: the line in that file, counted from 1.
    """

    def __init__(
        self, message: str, *, cure: str = "", file: str | Path | None = None, line: int | None = None
    ) -> None:
        self.message = message
        self.cure = cure
        self.file = Path(file) if file is not None else None
        self.line = line
        super().__init__(str(self))

    @property
    def where(self) -> str:
        """``file:line``, ``file``, or an empty string."""
        if self.file is None:
            return ""
        return f"{self.file}:{self.line}" if self.line is not None else str(self.file)

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.file is not None else self.message
        return f"{text}\n  cure: {self.cure}" if self.cure else text


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint that names the closest known names, for the ``cure`` of an error about an unknown one."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(f"'{c}'" for c in close) + "?"
    shown = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
    return f"known names: {shown}" if known else "there are no known names"
