"""Scenarios by name: those that come with Galenic, and files anywhere."""

from __future__ import annotations

from pathlib import Path

import cosim
from cosim.extends import read_extended
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


def load_scenario(name: str | Path) -> Scenario:
    """Find, read and check a scenario.

    Args:
        name: path of a YAML file or of an SSP (`cosim.ssp.read`), or the name of a scenario that comes with Galenic.

    Raises:
        GalenicError: with file, line and cure.
    """
    file = find_scenario(name)
    source = read_extended(file, find_scenario)
    return Scenario.from_source(source, file.resolve().parent, file.stem)
