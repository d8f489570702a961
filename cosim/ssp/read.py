"""An `.ssp`, or an `.ssd` in its folder, as the source of a scenario.

What comes out is what a scenario file would contain: nested systems are flattened, components are FMU files with
parameters and start values, and the lines of errors are those of the files in the archive.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from cosim.component import KeyPath
from cosim.fmi.description import TAGS
from cosim.fmu_archive import open_archive
from cosim.fmu_component import FmuComponent
from cosim.ssp import flatten
from cosim.ssp.flatten import Flat, Flattened, Given
from cosim.ssp.package import Package, open_package
from cosim.ssp.structure import read_structure
from cosim.ssp.units import Unit, fmu_units, known_unit
from cosim.ssp.xml_tree import Element
from cosim.yaml_lines import Source, parse_yaml
from fmus.errors import GalenicError
from fmus.quantity import conversion

#: Type of the annotation that names what SSP has no words for, and where it is kept.
ANNOTATION = "galenic.scenario"
KEPT = "resources/galenic"
_INTERFACES: dict[str, str] = {tag: name for name, tag in TAGS.items()}
_STEPS = 500  # of a run whose file says nothing about steps
_CLOSE = 1e-12


@dataclass(frozen=True)
class SspFile:
    """What an `.ssp` says.

    Args:
        source: the scenario that it amounts to.
        title: its name and description.
        unused: parameter values that no variable takes, with their place; the standard lets them pass.
        notes: what was assumed because the file does not say it.
    """

    source: Source
    title: str
    unused: list[str]
    notes: list[str]


def read_ssp(file: Path) -> SspFile:
    """Read a system of SSP 1.0 or 2.0.

    Args:
        file: an `.ssp`, or an `.ssd` with its resources beside it.

    Raises:
        GalenicError: it is damaged, unsafe, wrong or beyond what a scenario can say; with the file in the archive and
            the line.
    """
    package = open_package(file)
    return _Reader(package, file).read()


class _Fmu:
    """What is asked of an FMU while its system is read."""

    def __init__(self, file: Path, name: str, element: Element) -> None:
        try:
            archive = open_archive(file, to_run=False)
        except GalenicError as error:
            raise element.error(error.message, error.cure) from error
        self.description = archive.description
        self._component = FmuComponent(name, archive)

    @cached_property
    def _units(self) -> dict[str, Unit]:
        return fmu_units(self.description)

    @cached_property
    def _variables(self) -> dict[str, Any]:
        return {variable.name: variable for variable in self.description.modelVariables}

    def unit(self, name: str) -> Unit | None:
        unit = self.unit_name(name)
        return None if unit is None else self._units.get(unit) or known_unit(unit)

    def unit_name(self, name: str) -> str | None:
        variable = self._variables.get(name)
        if variable is None:
            return None
        return variable.unit or getattr(variable.declaredType, "unit", None) or None

    def elements(self, name: str) -> tuple[str, ...]:
        """The names of a variable's scalars; the name itself where there is no such variable."""
        variable = self._component.description.variables.get(name)
        return (name,) if variable is None else variable.elements

    def section(self, name: str) -> str | None:
        """Where a scenario has a value for a variable; None where there is no such variable or it takes none."""
        component = self._component
        if name in component.variables("parameter") or name in component.texts("parameter", "structuralParameter"):
            return "parameters"
        takes = name in component.variables("input", "output", "local") and component.settable(name)
        return "start" if takes or name in component.texts("input") else None

    def value(self, name: str, given: Given) -> float | str:
        """A given value as a scenario has it: enumerations as numbers."""
        if not isinstance(given.value, str) or (given.kind == "string" and self._variables[name].type == "String"):
            return given.value
        items = getattr(self._variables[name].declaredType, "items", None) or ()
        for item in items:
            if item.name == given.value:
                return float(item.value)
        what = "text" if given.kind == "string" else f"the item '{given.value}'"
        raise given.element.error(f"'{name}' cannot be given {what}", "remove the value, or give a number")

    @property
    def step_size(self) -> float | None:
        """The step size that the FMU recommends."""
        experiment = self.description.defaultExperiment
        text = None if experiment is None else getattr(experiment, "stepSize", None)
        return None if text in (None, "") else float(text)


class _Reader:
    def __init__(self, package: Package, file: Path) -> None:
        self.package, self.file = package, file
        self.root, self.outermost = read_structure(package)
        self._fmus: dict[flatten.Path, _Fmu] = {}
        self.flat = Flattened(self.outermost, self._fmu_unit)
        self.names = _names(self.flat.components)
        self.unused = [f"{a.name} ({a.element.file}:{a.element.line})" for a in self.flat.unused]
        self.notes: list[str] = []
        self.lines: dict[Path, dict[KeyPath, int]] = {}

    def read(self) -> SspFile:
        if not self.flat.components:
            raise self.root.error("this system has no components", "add FMUs to it")
        kept = self._kept()
        duration = self._duration()
        data: dict[str, Any] = {
            "scenario": "galenic/1",
            "description": self.root.attributes.get("description")
            or self.outermost.element.attributes.get("description", ""),
            "duration": duration,
            "communication_step": self._communication_step(duration),
            "components": {self.names[path]: self._component(path) for path in self.flat.components},
            "connections": self._connections(),
        }
        for key, value in kept.data.items():
            if key == "components":
                for name, more in value.items():
                    _merge(data["components"][name], more)
            elif key == "connections":
                _merge_connections(data["connections"], value)
            else:
                data[key] = value
        text = f"# {self.file.name} as a scenario\n" + yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
        title = self.root.attributes.get("name") or self.outermost.name
        return SspFile(self._source(data, text, kept), title, self.unused, self.notes)

    # ---- parts -------------------------------------------------------------------------------------------------

    def _fmu(self, path: flatten.Path) -> _Fmu:
        if path not in self._fmus:
            block = self.outermost
            for name in path:
                block = block.children[name]
            assert block.fmu is not None, "only components are asked for"
            self._fmus[path] = _Fmu(block.fmu, path[-1], block.element)
        return self._fmus[path]

    def _fmu_unit(self, path: flatten.Path, name: str) -> Unit | None:
        return self._fmu(path).unit(name)

    def _component(self, path: flatten.Path) -> dict[str, Any]:
        block, fmu, name = self.flat.components[path], self._fmu(path), self.names[path]
        key: KeyPath = ("components", name)
        self._note_line(key, block.element)
        data: dict[str, Any] = {"fmu": str(block.fmu)}
        if block.interface != "any":
            data["interface"] = _INTERFACES.get(block.interface, block.interface)
        for (owner, variable), given in self.flat.values.items():
            if owner != path:
                continue
            section = fmu.section(variable)
            if section is None:
                self.unused.append(f"{name}.{variable} ({given.element.file}:{given.element.line})")
                continue
            data.setdefault(section, {})[variable] = fmu.value(variable, given)
            self._note_line((*key, section, variable), given.element)
        return data

    def _connections(self) -> list[Any]:
        written: list[Any] = []
        for flat in self.flat.connections:
            kind = self.flat.block(flat.target[0]).connectors[flat.target[1]].kind
            if flat.source is None:
                continue
            if kind not in {"input", "inout", "unspecified"}:
                raise flat.element.error(
                    f"'{'.'.join(flat.target[0])}.{flat.target[1]}' is a {kind}, which an output cannot drive",
                    "give the parameter a value instead",
                )
            for source, target in self._elements(flat, flat.source):
                self._note_line(("connections", len(written)), flat.element)
                written.append(self._connection(flat, source, target))
        return written

    def _elements(self, flat: Flat, start: flatten.Place) -> Iterable[tuple[str, str]]:
        """The signals that are joined: two, or element by element those of two arrays."""
        (source_path, source), (target_path, target) = start, flat.target
        names = [self._fmu(path).elements(name) for path, name in (start, flat.target)]
        if len(names[0]) != len(names[1]):
            raise flat.element.error(
                f"'{source}' has {len(names[0])} elements, '{target}' has {len(names[1])}",
                "connect arrays of one shape",
            )
        for here, there in zip(*names, strict=True):
            yield f"{self.names[source_path]}.{here}", f"{self.names[target_path]}.{there}"

    def _connection(self, flat: Flat, source: str, target: str) -> Any:
        assert flat.source is not None, "open ends are left out"
        ends = {"from": source, "to": target}
        text = f"{source} -> {target}"
        by_name = self._by_name(flat.source, flat.target)
        if by_name is not None and _same(by_name, (flat.factor, flat.offset)):
            return text if re.fullmatch(r"\S+ -> \S+", text) else ends
        change = {"factor": flat.factor, "offset": flat.offset}
        return ends | change if by_name == (1.0, 0.0) else ends | change | {"convert_units": False}

    def _by_name(self, source: flatten.Place, target: flatten.Place) -> tuple[float, float] | None:
        """The conversion that a scenario does from the units' names alone, None where it would refuse."""
        units = [self._fmu(path).unit_name(name) or "1" for path, name in (source, target)]
        try:
            return conversion(*units)
        except GalenicError:
            return None

    # ---- time --------------------------------------------------------------------------------------------------

    def _duration(self) -> float:
        experiment = self.root.child("DefaultExperiment")
        start = 0.0 if experiment is None else experiment.number("startTime", 0.0)
        if start != 0.0:
            assert experiment is not None, "only it has a start time"
            raise experiment.error(f"the system starts at {start:g} s; a run starts at 0", 'write startTime="0"')
        if experiment is None or "stopTime" not in experiment.attributes:
            self.notes.append("The file does not say how long to run: 1 s. --duration gives another time.")
            return 1.0
        duration = experiment.number("stopTime")
        if duration <= 0.0:
            raise experiment.error(f"stopTime is {duration:g} s", "give a time after the start")
        self._note_line(("duration",), experiment)
        return duration

    def _communication_step(self, duration: float) -> float:
        """What the file's master, else the FMUs recommend, else a share of the duration; a whole part of it."""
        wanted = self._master_step()
        if wanted is None:
            steps = [step for path in self.flat.components if (step := self._fmu(path).step_size) and step > 0.0]
            wanted = min(steps, default=duration / _STEPS)
            said = "the FMUs recommend" if steps else f"1/{_STEPS} of the duration"
            self.notes.append(
                f"The file does not say how often components exchange values: every {wanted:g} s, {said}."
            )
        count = max(1, math.ceil(duration / wanted - 1e-6))
        return wanted if abs(duration / wanted - count) <= 1e-6 else duration / count

    def _master_step(self) -> float | None:
        """The step size of a fixed-step master, which tools keep in annotations."""
        for owner in (self.root.child("DefaultExperiment"), self.root.child("System"), self.root):
            for annotation in () if owner is None else owner.below("Annotations"):
                for element in annotation.walk():
                    for key in ("baseStepSize", "stepSize") if element.tag.startswith("FixedStep") else ():
                        if key in element.attributes and (step := element.number(key)) > 0.0:
                            return step
        return None

    # ---- what SSP has no words for -----------------------------------------------------------------------------

    def _kept(self) -> Source:
        """Sensors, controllers and all else that our own files keep beside the system; empty for others' files."""
        for annotation in self.root.below("Annotations", "Annotation"):
            if annotation.attributes.get("type") == ANNOTATION:
                uri = next((e.required("source") for e in annotation.children), "")
                file = self.package.file(uri, annotation)
                try:
                    text = file.read_text(encoding="utf-8")
                except (OSError, UnicodeDecodeError) as error:
                    raise annotation.error(f"'{uri}' cannot be read: {error}", "export the scenario again") from error
                source = parse_yaml(text, self.package.shown_file(uri))
                components = source.data.get("components", {}) if isinstance(source.data, Mapping) else None
                if not isinstance(components, Mapping) or not all(isinstance(c, Mapping) for c in components.values()):
                    raise source.error((), "this is not what was kept of a scenario", "export the scenario again")
                unknown = set(components) - set(self.names.values())
                if unknown:
                    name = min(unknown)
                    raise source.error(("components", name), f"the system has no component '{name}'", "remove it here")
                data = _with_folder(source.data, lambda name: str(self.package.folder / name))
                return Source(data, source.file, text, source.lines)
        return Source({})

    # ---- places ------------------------------------------------------------------------------------------------

    def _note_line(self, path: KeyPath, element: Element) -> None:
        self.lines.setdefault(element.file, {})[path] = element.line

    def _source(self, data: dict[str, Any], text: str, kept: Source) -> Source:
        """One source whose paths are located in the files where they stand, the structure's before all others'."""
        structure = self.root.file
        self._note_line((), self.root)
        kept_lines = {path: line for path, line in kept.lines.items() if path}
        chain: Source | None = Source({}, kept.file, "", kept_lines) if kept.file is not None else None
        for file, lines in sorted(self.lines.items(), key=lambda item: item[0] == structure):
            chain = Source({}, file, "", lines, base=chain)
        return Source(data, self.file, text, base=chain)


def _names(components: Iterable[flatten.Path]) -> dict[flatten.Path, str]:
    """A name of its own for each component, as scenarios write names: ``inner.component``."""
    names: dict[flatten.Path, str] = {}
    taken: set[str] = set()
    for path in components:
        parts = [re.sub(r"[^A-Za-z0-9_]", "_", part) or "_" for name in path for part in name.split(".")]
        name = ".".join(part if not part[0].isdigit() else f"_{part}" for part in parts)
        if any(other.startswith(f"{name}.") or name.startswith(f"{other}.") for other in taken):
            name = name.replace(".", "_")
        number, free = 2, name
        while free in taken:
            free, number = f"{name}_{number}", number + 1
        names[path] = free
        taken.add(free)
    return names


def _merge(data: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Put ``more`` into ``data``, sections key by key."""
    for key, value in more.items():
        if isinstance(value, Mapping) and isinstance(data.get(key), dict) and key in {"parameters", "start"}:
            data[key].update(value)
        else:
            data[key] = value


def _merge_connections(connections: list[Any], more: Any) -> None:
    """Give connections the keys that SSP has no words for; those of connections that are gone have no effect."""
    extras = {(e.get("from"), e.get("to")): e for e in more if isinstance(e, Mapping)} if isinstance(more, list) else {}
    for number, connection in enumerate(connections):
        ends = (
            connection
            if isinstance(connection, dict)
            else dict(zip(("from", "to"), connection.split(" -> "), strict=True))
        )
        if extra := extras.get((ends["from"], ends["to"])):
            connections[number] = ends | dict(extra)


def _same(a: tuple[float, float], b: tuple[float, float]) -> bool:
    size = max(1.0, abs(a[1]))
    return math.isclose(a[0], b[0], rel_tol=_CLOSE) and abs(a[1] - b[1]) <= _CLOSE * size


def _with_folder(data: Any, place: Callable[[str], str]) -> Any:
    """``data`` with the names of files that are kept beside it made absolute."""
    if isinstance(data, Mapping):
        return {key: _with_folder(value, place) for key, value in data.items()}
    if isinstance(data, list):
        return [_with_folder(item, place) for item in data]
    if isinstance(data, str) and data.startswith(f"{KEPT}/") and ".." not in data.split("/"):
        return place(data)
    return data
