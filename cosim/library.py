"""Scenarios by name: those that come with Galenic, and files anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cosim
from cosim.extends import read_extended
from cosim.overrides import overridden
from cosim.scenario import Scenario
from fmus.errors import GalenicError, nearest


def scenario_names() -> list[str]:
    """Names of the scenarios that come with Galenic."""
    return sorted(file.stem for file in _shipped().glob("*.yaml"))


def _shipped() -> Path:
    # beside the packages, in a source checkout as in an installation
    return Path(cosim.__file__).resolve().parent.parent / "scenarios"


def find_scenario(name: str | Path) -> Path:
    """The file of a scenario: an existing path, else the name of one that comes with Galenic.

    Raises:
        GalenicError: neither; the cure names what there is.
    """
    path = Path(name).expanduser()
    try:
        if path.is_file():
            return path
    except (OSError, ValueError):
        pass
    text = str(name)
    if text in scenario_names():
        return _shipped() / f"{text}.yaml"
    if path.suffix.lower() in {".yaml", ".yml", ".ssp", ".ssd"} or len(path.parts) > 1:
        raise GalenicError("there is no such scenario file", cure=nearest(path.stem, scenario_names()), file=text)
    cure = f"{nearest(text, scenario_names())} A path to a .yaml or .ssp file also does."
    raise GalenicError(f"there is no scenario '{text}'", cure=cure)


def load_scenario(name: str | Path, overrides: Sequence[str] = ()) -> Scenario:
    """Find, read and check a scenario.

    Args:
        name: path of a YAML file or of an SSP (`cosim.ssp.read`), or the name of a scenario that comes with Galenic.
        overrides: values beside the file's, such as ``granulator.screw_speed=700rpm`` (`cosim.overrides`).

    Raises:
        GalenicError: with file, line and cure.
    """
    file = find_scenario(name)
    source = read_extended(file, find_scenario)
    folder = file.resolve().parent
    if overrides:
        # a component's own file tells what its variables are
        def section_of(component: str, variable: str) -> str:
            from cosim.assembly import section_of as find

            return find(Scenario.from_source(source, folder, file.stem), component, variable)

        return Scenario.from_source(
            overridden(source, overrides, list(Scenario.model_fields), section_of), folder, file.stem
        )
    return Scenario.from_source(source, folder, file.stem)
