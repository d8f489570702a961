"""Names of what stands in a Python file: ``my_mill.py:my_mill``."""

from __future__ import annotations

import re
from collections.abc import Callable

# a Windows path has a colon of its own, before the file's name
_NAMED = re.compile(r"(?P<file>.+\.py)(?P<member>:\w+)?")


def split_name(text: str) -> tuple[str, str] | None:
    """The file and ``":member"`` (or nothing) of a name; None where the text names no Python file."""
    match = _NAMED.fullmatch(text)
    return None if match is None else (match["file"], match["member"] or "")


def with_file(text: str, change: Callable[[str], str]) -> str:
    """The name with its file changed; a text that names no Python file as it is."""
    parts = split_name(text)
    return text if parts is None else change(parts[0]) + parts[1]
