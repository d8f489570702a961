"""What only the training of data-driven models needs."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from fmus.errors import GalenicError


def scikit_learn(part: str) -> Any:
    """A module of scikit-learn. Raises GalenicError where it is not installed."""
    try:
        return import_module(f"sklearn.{part}")
    except ModuleNotFoundError as error:
        raise GalenicError(
            "training a data-driven surrogate needs scikit-learn, which is not installed",
            cure="pip install 'galenic[identify]'; methods era, arx, subspace and mechanistic do without it",
        ) from error
