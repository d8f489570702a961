"""Checking an FMU file, from any tool, before it is handed to another one.

- `check_fmu`: all verdicts on one file.
- `Verdict`, `Outcome`: one check and what it found.
"""

from __future__ import annotations

from fmus.check.file import check_fmu
from fmus.check.verdict import Outcome, Verdict

__all__ = ["Outcome", "Verdict", "check_fmu"]
