"""Surrogates: models small enough to compute with in every step of a controller, each in a file.

- `model`: what every kind gives: a process in discrete time, its error, its training `domain`. `files`: reading and
  writing one.
- Kind ``mechanistic``: `equations` composes a scenario's units (`unit_equations`) along its connections with its
  `values`, `reduction` makes it small, `mechanistic` reads how from a file (`section`).
- Kind ``linear``: `controllers.surrogates.linear_surrogate`; `linear` makes a process of it, `arx` and
  `subspace` fit one.
- Kinds ``narx`` and ``neural``: `lagged` is the window, `narx` and `neural` the map, `multistep` trains on free runs,
  `data_driven` is the file; `optional` is what only training needs.
- Making one: `training` by a plan, with the runs of `campaign` (`excitation`, `records`) and `validation`; each kind in
  `linear_training`, `mechanistic_training`, `data_driven_training`, on what `training_task` has for all.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from controllers.surrogates.files import load_model
    from controllers.surrogates.model import HorizonError, SurrogateModel

__all__ = ["HorizonError", "SurrogateModel", "load_model"]

_HOME = {"HorizonError": "model", "SurrogateModel": "model", "load_model": "files"}


def __getattr__(name: str) -> Any:
    """Import on first use: the linear MPC needs no other kind of surrogate."""
    if name not in _HOME:
        raise AttributeError(f"module 'controllers.surrogates' has no attribute '{name}'")
    return getattr(import_module(f"controllers.surrogates.{_HOME[name]}"), name)
