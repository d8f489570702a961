"""Finds controller classes: by entry point, or in a Python file of the user's own."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import sys
import tomllib
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from fmus.errors import GalenicError, nearest

GROUP = "galenic.controllers"


def controller_types() -> dict[str, str]:
    """Names of the known controller types and where each is found (``module:Class``)."""
    found = _of_source_checkout()
    found.update({point.name: point.value for point in importlib.metadata.entry_points(group=GROUP)})
    return found


def find_controller(kind: str, directory: Path) -> Any:
    """The controller class for a scenario's ``type``.

    Args:
        kind: an entry point's name such as ``mpc``, or ``file.py:Class`` relative to ``directory``.
        directory: the scenario's folder.

    Raises:
        GalenicError: there is no such type, file or class, or it cannot be imported.
    """
    file, colon, class_name = kind.rpartition(":")
    if colon and file.endswith(".py"):
        return _class_of(_load_file(directory / Path(file).expanduser()), class_name, kind)
    known = controller_types()
    if kind not in known:
        raise GalenicError(
            f"unknown controller type '{kind}'", cure=f"{nearest(kind, known)} Your own is 'file.py:Class'."
        )
    module_name, _, class_name = known[kind].partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise GalenicError(
            f"controller type '{kind}' cannot be imported: {error}", cure=f"install the package that has {module_name}"
        ) from error
    return _class_of(module, class_name, kind)


def _class_of(module: ModuleType, class_name: str, kind: str) -> Any:
    found = getattr(module, class_name, None)
    if not isinstance(found, type):
        classes = [name for name, value in vars(module).items() if isinstance(value, type)]
        raise GalenicError(f"'{kind}': there is no class '{class_name}'", cure=nearest(class_name, classes))
    missing = [name for name in ("from_config", "do_step") if not callable(getattr(found, name, None))]
    if missing:
        raise GalenicError(
            f"'{kind}' is not a controller: it has no {' and no '.join(missing)}",
            cure="write a class that fulfils cosim.Controller",
        )
    return found


def _load_file(file: Path) -> ModuleType:
    if not file.is_file():
        raise GalenicError(f"there is no controller file {file}", cure="check the path, relative to the scenario")
    spec = importlib.util.spec_from_file_location(f"galenic_user_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # dataclasses and pickling look a class's module up by name
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        line = error.lineno if isinstance(error, SyntaxError) else _line_in(file, error)
        raise GalenicError(
            f"{type(error).__name__}: {error}", cure="correct the controller's file", file=file, line=line
        ) from error
    return module


def _line_in(file: Path, error: BaseException) -> int | None:
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == file]
    return lines[-1] if lines else None


def _of_source_checkout() -> dict[str, str]:
    """The entry points of a checkout that was not installed."""
    project = Path(__file__).resolve().parent.parent / "pyproject.toml"
    try:
        table = tomllib.loads(project.read_text(encoding="utf-8"))
        return dict(table["project"]["entry-points"][GROUP])
    except (OSError, KeyError, ValueError):
        return {}
