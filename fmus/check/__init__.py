"""Checking an FMU file, from any tool, before it is handed to another one.

- `check_fmu`: all verdicts on one file.
- `Verdict`, `Outcome`: one check and what it found.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fmus.check.file import check_fmu
    from fmus.check.verdict import Outcome, Verdict

__all__ = ["Outcome", "Verdict", "check_fmu"]

# dozens of checking processes import this package, and not what starts them
_LAZY = {"check_fmu": "fmus.check.file", "Outcome": "fmus.check.verdict", "Verdict": "fmus.check.verdict"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'fmus.check' has no attribute '{name}'")
