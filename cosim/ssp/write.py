"""A scenario as an SSP archive: the system for every tool, and what SSP has no words for beside it, for ours."""

from __future__ import annotations

import importlib.metadata
import io
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

import yaml

from cosim.assembly import build_component
from cosim.component import Port
from cosim.fmi.description import TAGS, Variable
from cosim.fmi.variables import FmuVariables
from cosim.python_files import split_name
from cosim.scenario import Scenario
from cosim.ssp.arrays import Joint, joints
from cosim.ssp.package import STRUCTURE
from cosim.ssp.read import ANNOTATION, KEPT
from cosim.wiring import Link, Wiring
from fmus.errors import GalenicError
from fmus.quantity import BASE_UNITS, base_unit

VERSIONS = ("1.0", "2.0")
#: The values of all components in one set, which nothing in the archive refers to: for tools that take one by hand.
ALL_PARAMETERS = "resources/all_parameters.ssv"
_PREFIX = "http://ssp-standard.org/SSP1/SystemStructure"
_SSD, _SSC, _SSV = f"{_PREFIX}Description", f"{_PREFIX}Common", f"{_PREFIX}ParameterValues"
_OSP = "http://opensimulationplatform.com/SSP/OSPAnnotations"
_OWN = "urn:galenic:ssp"
_TYPES = {"real": "Real", "integer": "Integer", "boolean": "Boolean"}
#: what an `.ssd` says of a component and of a connection; other keys are kept beside
_SAID = {"unit", "fmu", "parameters", "parameter_file", "start", "interface"}
_SAID_OF_CONNECTION = {"from", "to", "factor", "offset", "convert_units"}
_WITH_FILES = ("controllers", "kpis")


def write_ssp(
    scenario: Scenario,
    file: Path,
    *,
    version: str = "1.0",
    fmu_of: Callable[[str], Path] | None = None,
) -> list[str]:
    """Write a scenario's system as an `.ssp`.

    Every tool gets the components with their FMUs, parameters and start values, the connections, start and stop time.
    Where a connection changes a value, or its unit, the `.ssd` says the whole change as a linear transformation and
    suppresses the conversion of units, so that tools without such a conversion are right too. Only inputs that are
    connected have connectors: the others keep their start values, also in tools that set every connector they see.

    Args:
        scenario: the scenario.
        file: the archive to write.
        version: of SSP, one of `VERSIONS`.
        fmu_of: the FMU of a component that is a unit, by the component's name; without it one for this platform.

    Returns:
        What the reader of the file should know, a sentence each.

    Raises:
        GalenicError: the scenario's system cannot be built, or the file cannot be written.
    """
    if version not in VERSIONS:
        raise GalenicError(f"there is no export to SSP {version}", cure=f"one of {', '.join(VERSIONS)}")
    return _Writer(scenario, version, fmu_of).write(file)


class _Writer:
    def __init__(self, scenario: Scenario, version: str, fmu_of: Callable[[str], Path] | None) -> None:
        self.scenario, self.version = scenario, version
        self.components = {name: build_component(scenario, name, scenario.seed, {}) for name in scenario.components}
        self.links = component_links(scenario, self.components.values())
        self.owners = {
            f"{name}.{port.name}": (name, port.name)
            for name, component in self.components.items()
            for port in (*component.inputs, *component.outputs)
        }
        scalars = [Joint(link, None) for link in self.links]
        self.joints = scalars if version == "1.0" else joints(self.links, self._element)
        self.entries: dict[str, bytes] = {}
        self.sources: dict[str, str] = {}
        for name, component in self.components.items():
            unit = scenario.components[name].unit is not None
            fmu = fmu_of(name) if unit and fmu_of is not None else component.archive.file
            self.sources[name] = self._add(f"resources/{fmu.name}", fmu.read_bytes())

    def write(self, file: Path) -> list[str]:
        from fmus.export import write_atomically

        structure = self._structure()
        entries = {STRUCTURE: structure, **self.entries}
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in entries.items():
                # a fixed date: the same scenario gives the same bytes
                entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
                entry.compress_type = zipfile.ZIP_STORED if name.endswith(".fmu") else zipfile.ZIP_DEFLATED
                entry.external_attr = 0o644 << 16
                archive.writestr(entry, content)
        try:
            write_atomically(file, buffer.getvalue())
        except OSError as error:
            raise GalenicError(
                f"'{file}' cannot be written: {error.strerror or error}", cure="check the folder"
            ) from error
        return self._notes()

    def _add(self, name: str, content: bytes) -> str:
        """Add a file under this name, or with a number where another one has it; the name."""
        stem, dot, suffix = name.rpartition(".")
        number, free = 2, name
        while self.entries.setdefault(free, content) != content:
            free, number = f"{stem}_{number}{dot}{suffix}", number + 1
        return free

    def _notes(self) -> list[str]:
        notes = []
        sections = {
            name: len(getattr(self.scenario, name, ()))
            for name in ("sensors", "disturbances", "controllers", "actions")
        }
        counted = [f"{n} {name if n > 1 else name[:-1]}" for name, n in sections.items() if n]
        if counted:
            listed = " and ".join(filter(None, (", ".join(counted[:-1]), counted[-1])))
            notes.append(
                f"SSP has no words for {listed}: 'galenic run' finds them in {KEPT}/, other tools run in open loop."
            )
        new = [name for name, component in self.components.items() if component.description.version == 3]
        if new and self.version == "1.0":
            notes.append(
                f"SSP 1.0 knows no FMI 3.0 ({', '.join(new)}): for other tools export FMI 2.0 FMUs, or SSP 2.0."
            )
        elif any(joint.arrays is None and self._element(joint.link.target) for joint in self.joints):
            notes.append("Single elements of arrays are connected, which other tools may not find.")
        return notes

    # ---- the structure -----------------------------------------------------------------------------------------

    def _structure(self) -> bytes:
        scenario = self.scenario
        root = ET.Element(f"{{{_SSD}}}SystemStructureDescription", {"version": self.version, "name": scenario.name})
        root.set("generationTool", f"Galenic {importlib.metadata.version('galenic')}")
        if scenario.description:
            root.set("description", scenario.description)
        system = ET.SubElement(root, f"{{{_SSD}}}System", {"name": scenario.name})
        elements = ET.SubElement(system, f"{{{_SSD}}}Elements")
        units: set[str] = set()
        everything: dict[str, tuple[Port | None, Any]] = {}
        for position, (name, component) in enumerate(self.components.items()):
            values = {key: (_port(component, key), value) for key, value in component.values.items()}
            everything |= {f"{name}.{key}": entry for key, entry in values.items()}
            elements.append(self._component(position, component, values, units))
        if everything:
            self.entries[ALL_PARAMETERS] = self._parameter_set(everything)
        if self.joints:
            connections = ET.SubElement(system, f"{{{_SSD}}}Connections")
            connections.extend(self._connection(joint) for joint in self.joints)
        if units:
            _add_units(root, _SSD, units)
        self._experiment(root)
        self._keep(root)
        return _xml(root, (_SSD, "ssd"), (_SSC, "ssc"), (_OSP, "osp"), (_OWN, "galenic"))

    def _component(
        self, position: int, component: FmuVariables, values: Mapping[str, tuple[Port | None, Any]], units: set[str]
    ) -> ET.Element:
        name = component.name
        element = ET.Element(f"{{{_SSD}}}Component", {"name": name, "type": "application/x-fmu-sharedlibrary"})
        element.set("source", quote(self.sources[name]))
        element.set("implementation", TAGS[component.interface])
        connected = {self._end(joint) for joint in self.joints}
        connectors: dict[str, ET.Element] = {}
        for kind, ports in (("input", component.inputs), ("output", component.outputs)):
            for port in ports:
                title: str = port.name
                shape: tuple[int, ...] = ()
                element_of = self._element(f"{name}.{title}") if self.version != "1.0" else None
                if element_of is not None and (kind == "output" or (name, element_of[0].name) in connected):
                    title, shape = element_of[0].name, element_of[0].shape
                if title in connectors or (kind == "input" and (name, title) not in connected):
                    continue
                connector = connectors[title] = ET.Element(f"{{{_SSD}}}Connector", {"name": title, "kind": kind})
                if port.description:
                    connector.set("description", port.description)
                _type(connector, _SSC, port, units)
                for size in shape:
                    ET.SubElement(connector, f"{{{_SSC}}}Dimension", {"size": str(size)})
        if connectors:
            ET.SubElement(element, f"{{{_SSD}}}Connectors").extend(connectors.values())
        row, column = divmod(position, 6)
        corner = {"x1": 40 * column, "y1": -40 * row, "x2": 40 * column + 25, "y2": 25 - 40 * row}
        ET.SubElement(element, f"{{{_SSD}}}ElementGeometry", {key: str(value) for key, value in corner.items()})
        if values:
            source = self._add(f"resources/{name}.ssv", self._parameter_set(values))
            bindings = ET.SubElement(element, f"{{{_SSD}}}ParameterBindings")
            ET.SubElement(bindings, f"{{{_SSD}}}ParameterBinding", {"source": quote(source)})
        return element

    def _connection(self, joint: Joint) -> ET.Element:
        link = joint.link
        assert link.source is not None, "only connections are written"
        start, end = (self.owners[signal] for signal in (link.source, link.target))
        names = joint.arrays or (start[1], end[1])
        ends = {"startElement": start[0], "startConnector": names[0], "endElement": end[0], "endConnector": names[1]}
        element = ET.Element(f"{{{_SSD}}}Connection", ends)
        if (link.factor, link.offset) != (1.0, 0.0) or not self._spec(link).convert_units:
            element.set("suppressUnitConversion", "true")
            # both always: there are readers for whom a missing factor is 0
            change = {"factor": repr(link.factor), "offset": repr(link.offset)}
            ET.SubElement(element, f"{{{_SSC}}}LinearTransformation", change)
        return element

    def _end(self, joint: Joint) -> tuple[str, str]:
        """Component and connector of a connection's target."""
        name, port = self.owners[joint.link.target]
        return name, port if joint.arrays is None else joint.arrays[1]

    def _element(self, signal: str) -> tuple[Variable, int] | None:
        """The array that a signal is an element of, and which one; None for a scalar."""
        name, port = self.owners[signal]
        variable, place = self.components[name].description.places[port]
        return (variable, place) if variable.shape else None

    def _spec(self, link: Link) -> Any:
        return self.scenario.connections[int(link.path[1])]

    def _parameter_set(self, values: Mapping[str, tuple[Port | None, Any]]) -> bytes:
        """A parameter set; a port of None is that of a text."""
        root = ET.Element(f"{{{_SSV}}}ParameterSet", {"version": self.version, "name": self.scenario.name})
        parameters = ET.SubElement(root, f"{{{_SSV}}}Parameters")
        units: set[str] = set()
        for name, (port, value) in values.items():
            parameter = ET.SubElement(parameters, f"{{{_SSV}}}Parameter", {"name": name})
            if port is None:
                ET.SubElement(parameter, f"{{{_SSV}}}String", {"value": str(value)})
            else:
                number = {"real": repr(float(value)), "integer": str(round(value)), "boolean": str(bool(value)).lower()}
                _type(parameter, _SSV, port, units).set("value", number[port.kind])
        if units:
            _add_units(root, _SSV, units)
        return _xml(root, (_SSV, "ssv"), (_SSC, "ssc"))

    def _experiment(self, root: ET.Element) -> None:
        stop = {"startTime": "0.0", "stopTime": repr(self.scenario.duration)}
        experiment = ET.SubElement(root, f"{{{_SSD}}}DefaultExperiment", stop)
        # SSP has no step size of its own; this annotation is read by libcosim and by ourselves
        annotations = ET.SubElement(experiment, f"{{{_SSD}}}Annotations")
        annotation = ET.SubElement(annotations, f"{{{_SSC}}}Annotation", {"type": "com.opensimulationplatform"})
        algorithm = ET.SubElement(annotation, f"{{{_OSP}}}Algorithm")
        step = {"baseStepSize": repr(self.scenario.communication_step)}
        ET.SubElement(algorithm, f"{{{_OSP}}}FixedStepAlgorithm", step)

    # ---- what SSP has no words for -----------------------------------------------------------------------------

    def _keep(self, root: ET.Element) -> None:
        kept = self.scenario.model_dump(
            by_alias=True, exclude_defaults=True, exclude={"scenario", "description", "duration", "communication_step"}
        )
        for section in _WITH_FILES:
            if section in kept:
                kept[section] = self._with_files(kept[section])
        components = {name: _other_keys(spec) for name, spec in kept.pop("components").items()}
        kept["components"] = {name: spec for name, spec in components.items() if spec}
        kept.pop("connections", None)
        kept["connections"] = list(self._kept_connections())
        kept = {key: value for key, value in kept.items() if value not in ({}, [])}
        if not kept:
            return
        head = "# What SSP has no words for, of the scenario beside; 'galenic run' on the archive puts it back.\n"
        text = head + yaml.safe_dump(kept, sort_keys=False, allow_unicode=True)
        source = self._add(f"{KEPT}/scenario.yaml", text.encode())
        annotations = ET.SubElement(root, f"{{{_SSD}}}Annotations")
        annotation = ET.SubElement(annotations, f"{{{_SSC}}}Annotation", {"type": ANNOTATION})
        ET.SubElement(annotation, f"{{{_OWN}}}Scenario", {"source": quote(source)})

    def _kept_connections(self) -> Iterable[dict[str, Any]]:
        for link in self.links:
            said = self._spec(link).model_dump(by_alias=True, exclude_defaults=True)
            more = {key: value for key, value in said.items() if key not in _SAID_OF_CONNECTION}
            if more:
                yield {"from": link.source, "to": link.target, **more}

    def _with_files(self, data: Any) -> Any:
        """``data`` with the files that it names taken along; also the file of ``type: my_controller.py:Class``."""
        if isinstance(data, Mapping):
            return {key: self._with_files(value) for key, value in data.items()}
        if isinstance(data, list | tuple):
            return [self._with_files(value) for value in data]
        if not isinstance(data, str):
            return data
        name, member = split_name(data) or (data, "")
        file = self.scenario.resolve(name)
        try:
            if not file.suffix or not file.is_file():
                return data
            content = file.read_bytes()
        except (OSError, ValueError):
            return data
        beside = PurePosixPath(name)
        kept = file.name if beside.is_absolute() or ".." in beside.parts or "\\" in name else str(beside)
        return self._add(f"{KEPT}/{kept}", content) + member


def component_links(scenario: Scenario, components: Iterable[FmuVariables]) -> Sequence[Link]:
    """The connections between components, bundles as single variables, checked. Raises GalenicError with the line."""
    wiring = Wiring(scenario)
    for component in components:
        wiring.add(component)
    for number, spec in enumerate(scenario.connections):
        wiring.connect(spec, ("connections", number))
    return list(wiring.links.values())


def _other_keys(spec: Mapping[str, Any]) -> dict[str, Any]:
    """What an `.ssd` does not say of a component: keys of its own, and values that are drawn."""
    other = {key: value for key, value in spec.items() if key not in _SAID}
    for section in ("parameters", "start"):
        drawn = {key: value for key, value in spec.get(section, {}).items() if isinstance(value, Mapping)}
        if drawn:
            other[section] = drawn
    return other


def _port(component: FmuVariables, name: str) -> Port | None:
    """A variable as a port; None where it is a text."""
    try:
        return component.variable(name)
    except KeyError:
        return None


def _type(owner: ET.Element, namespace: str, port: Port, units: set[str]) -> ET.Element:
    """Add the type of a port, with its unit where it has one that can be defined."""
    typed = ET.SubElement(owner, f"{{{namespace}}}{_TYPES[port.kind]}")
    if port.kind == "real" and port.unit not in ("", "1"):
        try:
            base_unit(port.unit)
        except GalenicError:
            return typed
        typed.set("unit", port.unit)
        units.add(port.unit)
    return typed


def _add_units(root: ET.Element, namespace: str, units: Iterable[str]) -> None:
    group = ET.SubElement(root, f"{{{namespace}}}Units")
    for name in sorted(units):
        base = base_unit(name)
        unit = ET.SubElement(group, f"{{{_SSC}}}Unit", {"name": name})
        exponents = {key: str(base.exponents[key]) for key in BASE_UNITS if base.exponents.get(key)}
        scale = {"factor": base.factor, "offset": base.offset}
        shown = {key: repr(value) for key, value in scale.items() if value != {"factor": 1.0, "offset": 0.0}[key]}
        ET.SubElement(unit, f"{{{_SSC}}}BaseUnit", exponents | shown)


def _xml(root: ET.Element, *prefixes: tuple[str, str]) -> bytes:
    for uri, prefix in prefixes:
        # there are readers that look for the usual prefixes and not for the namespaces
        ET.register_namespace(prefix, uri)
    ET.indent(root)
    content: bytes = ET.tostring(root, encoding="UTF-8", xml_declaration=True)
    return content + b"\n"
