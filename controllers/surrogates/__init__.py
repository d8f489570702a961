"""Surrogates: models small enough to compute with in every step of a controller, each in a file.

- `model`: what every kind gives: a process in discrete time, its error, its training `domain`. `files`: reading one.
- Kind ``mechanistic``: `equations` composes a scenario's units along its connections, `reduction` makes it small,
  `mechanistic` reads how from a file (`section`).
- Kind ``linear``: `controllers.surrogate`.
"""

from controllers.surrogates.files import load_model
from controllers.surrogates.model import HorizonError, SurrogateModel

__all__ = ["HorizonError", "SurrogateModel", "load_model"]
