"""Unit operations: their equations, one file each, and what turns equations into an FMU.

- `UnitModel`, `Role`: how a unit operation is written down.
- `unit_names`, `unit_model`: the shipped models and a user's own.
- `build_fmu`: a model compiled to a self-contained FMI 2.0 Co-Simulation FMU.
- `GalenicError`: an error with file, line and cure.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fmus.errors import GalenicError, nearest

if TYPE_CHECKING:
    from fmus.export import build_fmu
    from fmus.library import unit_model, unit_names
    from fmus.model import Role, UnitModel

__all__ = ["GalenicError", "Role", "UnitModel", "build_fmu", "nearest", "unit_model", "unit_names"]

# CasADi takes a third of a second to import; `galenic --help` must not wait for it
_LAZY = {
    "build_fmu": "fmus.export",
    "unit_model": "fmus.library",
    "unit_names": "fmus.library",
    "Role": "fmus.model",
    "UnitModel": "fmus.model",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'fmus' has no attribute '{name}'")
