"""A scenario's predictive controller as an FMU that needs Python, through PythonFMU: any law, any engine."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from controllers.mpc import MPCController
from controllers.nonlinear.engines import ENGINES
from cosim.python_fmu.component import texts_in
from cosim.python_fmu.export import wanted_controller, write_python_fmu
from cosim.scenario import Scenario
from cosim.system import System
from cosim.yaml_lines import read_yaml
from fmus.errors import GalenicError, nearest

_CLASS = Path(__file__).with_name("python_controller.py")
#: Packages that an engine needs beside those of Galenic.
_NEEDS = {"do_mpc": ("do-mpc>=5.0",)}


def build_python_variant(
    scenario: Scenario,
    system: System,
    controller: MPCController,
    name: str,
    directory: str | Path,
    *,
    engine: str | None = None,
    platforms: Iterable[str] | None = None,
) -> Path:
    """Write ``<name>.fmu`` (FMI 2.0) and return its path.

    Args:
        scenario: that has the controller.
        system: built from it.
        controller: one of the system's.
        name: of the FMU.
        directory: where it is written.
        engine: in place of the section's, one of `controllers.nonlinear.engines.ENGINES`; the law has to be nonlinear.
        platforms: FMI's names; without them, all that PythonFMU has a library for.

    Raises:
        GalenicError: PythonFMU or do-mpc is missing, an unknown engine, or a law that has no engines.
    """
    section: dict[str, Any] = dict(scenario.controllers[controller.name])
    section.pop("supervises", None)
    section["operation"] = {**section.get("operation", {}), "record": False}
    if engine is not None:
        if engine not in ENGINES:
            raise GalenicError(f"--engine: there is no engine '{engine}'", cure=nearest(engine, ENGINES))
        if "model" not in section:
            raise GalenicError(
                "--engine: a linear law (surrogate:) has no engines", cure="leave --engine out, or give it a 'model:'"
            )
        section["engine"] = engine
    wanted = wanted_controller(
        scenario,
        system,
        name,
        file=_CLASS,
        class_name="PredictiveController",
        config=section,
        requires=_NEEDS.get(str(section.get("engine", "")), ()),
        files=[str(file) for file in _files(section, scenario.directory)],
    )
    try:
        return write_python_fmu(wanted, directory, platforms)
    except GalenicError as error:
        raise scenario.located(
            ("controllers", controller.name), GalenicError(error.message, cure=error.cure)
        ) from error


def _files(value: Any, folder: Path, known: frozenset[Path] = frozenset()) -> list[Path]:
    """The files that texts name, from ``folder``, and those that YAML among them names: a model and what it is of."""
    found: list[Path] = []
    for text in texts_in(value):
        file = (folder / text).resolve() if text.strip() and "\n" not in text else folder
        if file in known or file in found or not file.is_file():
            continue
        found.append(file)
        if file.suffix in (".yaml", ".yml"):
            found += _files(read_yaml(file).data, file.parent, known | set(found))
    return found
