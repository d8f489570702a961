"""Finding unit models: the shipped ones by name, a user's own by path or entry point."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

from fmus.errors import GalenicError, nearest
from fmus.model import UnitModel

#: the entry-point group under which other packages offer unit models
GROUP = "galenic.units"


def unit_names() -> list[str]:
    """The names of the shipped unit models and of those that installed packages offer."""
    shipped = [p.stem for p in (Path(__file__).parent / "units").glob("*.py") if p.stem != "__init__"]
    return sorted({*shipped, *(e.name for e in entry_points(group=GROUP))})


def unit_model(name: str) -> UnitModel:
    """The unit model ``name``: a shipped or offered one, ``file.py``, or ``file.py:function``.

    Raises:
        GalenicError: there is none of that name, or what was found is no unit model.
    """
    if ".py" in name:
        return _from_file(name)
    if name not in unit_names():
        raise GalenicError(f"there is no unit model '{name}'", cure=nearest(name, unit_names()))
    for entry in entry_points(group=GROUP):
        if entry.name == name:
            return _checked(entry.load(), name)
    return _checked(getattr(importlib.import_module(f"fmus.units.{name}"), name), name)


def _from_file(name: str) -> UnitModel:
    path_text, _, function = name.partition(".py")
    path = Path(path_text + ".py")
    function = function.lstrip(":") or path.stem
    if not path.is_file():
        raise GalenicError(f"there is no file '{path}'", cure="give the path of a Python file with a unit model")
    spec = importlib.util.spec_from_file_location(f"galenic_unit_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise GalenicError(f"'{path}' cannot be loaded as Python")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise GalenicError(f"'{path}' raises {type(error).__name__}: {error}", file=path) from error
    if not hasattr(module, function):
        raise GalenicError(
            f"'{path}' defines no function '{function}'", cure=nearest(function, vars(module)), file=path
        )
    return _checked(getattr(module, function), name)


def _checked(build: Callable[[], object], name: str) -> UnitModel:
    model = build() if callable(build) else build
    if not isinstance(model, UnitModel):
        raise GalenicError(f"'{name}' returns {type(model).__name__}, not a UnitModel")
    return model
