"""What an `.ssd` says, as blocks: systems within systems, and the components in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cosim.ssp.package import Package, open_package
from cosim.ssp.parameters import Assignment, read_bindings, transformation, unit_named
from cosim.ssp.units import Unit, defined_units
from cosim.ssp.xml_tree import Element

NAMESPACE = "http://ssp-standard.org/SSP1/SystemStructureDescription"
_FMU = "application/x-fmu-sharedlibrary"
_SSD, _SSP = "application/x-ssp-definition", "application/x-ssp-package"
_DEEPEST, _MOST_BLOCKS = 50, 100_000
#: kinds of connectors from which, seen from outside, values come; the others take them
_GIVING, _TAKING = {"output", "calculatedParameter", "constant", "local"}, {"input", "parameter", "structuralParameter"}
_OPEN = {"inout", "unspecified"}
_BESIDE_TYPE = {"ConnectorGeometry", "Annotations", "Dimension", "MetaData", "Signature"}


@dataclass(frozen=True)
class Connector:
    """A connector of a block; a unit of None is the variable's own."""

    name: str
    kind: str
    type: str
    unit: Unit | None
    element: Element


@dataclass(frozen=True)
class Connection:
    """A connection within a system, in the direction of the values; an end's block of None is the system itself."""

    source: tuple[str | None, str]
    target: tuple[str | None, str]
    factor: float
    offset: float
    convert_units: bool
    element: Element


@dataclass
class Block:
    """A system, or a component with its FMU.

    Args:
        name: its name in the system around it.
        element: where it is said.
        fmu: a component's file; None of a system, and of a component without implementation.
        interface: which interface of the FMU is asked for: ``any``, ``CoSimulation``, ``ModelExchange``.
    """

    name: str
    element: Element
    connectors: dict[str, Connector]
    assignments: list[Assignment]
    fmu: Path | None = None
    interface: str = "any"
    children: dict[str, Block] = field(default_factory=dict)
    connections: list[Connection] = field(default_factory=list)

    def components(self, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Block]]:
        """Path and block of each component in this system, at any depth."""
        for name, child in self.children.items():
            if child.fmu is not None:
                yield (*above, name), child
            yield from child.components((*above, name))


def read_structure(package: Package) -> tuple[Element, Block]:
    """The root element and the outermost system of a package.

    Raises:
        GalenicError: something is missing, wrong, or not supported, with file, line and cure.
    """
    root = package.xml(package.structure)
    return root, _Reader(package, root, _Budget(_MOST_BLOCKS)).system()


@dataclass
class _Budget:
    """How many more blocks may be made: systems that instantiate each other twice would grow without end."""

    left: int

    def spend(self, element: Element) -> None:
        self.left -= 1
        if self.left < 0:
            raise element.error(
                f"there are more than {_MOST_BLOCKS:,} systems and components", "do they refer in a ring?"
            )


class _Reader:
    """Reads one `.ssd`; those that it refers to have readers of their own."""

    def __init__(self, package: Package, root: Element, budget: _Budget, depth: int = 0) -> None:
        self.package, self.root, self.budget, self.depth = package, root, budget, depth
        if root.tag != "SystemStructureDescription" or root.namespace != NAMESPACE:
            raise root.error("this is no system structure description of SSP 1.0 or 2.0", "export the system again")
        version = root.attributes.get("version", "")
        if version.partition(".")[0] not in {"1", "2"}:
            raise root.error(f"SSP version '{version}' is not known", "export it as SSP 1.0 or 2.0")
        self.units = defined_units(root)

    def system(self) -> Block:
        element = self.root.child("System")
        if element is None:
            raise self.root.error("there is no <System>", "export the system again")
        return self._system(element, self.depth)

    def _system(self, element: Element, depth: int) -> Block:
        if depth > _DEEPEST:
            raise element.error(f"systems are nested deeper than {_DEEPEST} levels", "does a system contain itself?")
        for dictionary in element.below("SignalDictionaries", "SignalDictionary"):
            raise dictionary.error("signal dictionaries cannot be read", "connect the components directly")
        block = self._block(element)
        for child in element.below("Elements"):
            for part in child.children:
                if part.tag == "SignalDictionaryReference":
                    raise part.error("signal dictionaries cannot be read", "connect the components directly")
                if part.tag not in {"System", "Component"}:
                    continue
                name = part.required("name")
                if name in block.children:
                    raise part.error(f"'{name}' stands twice in this system", "rename one of them")
                made = self._system(part, depth + 1) if part.tag == "System" else self._component(part, depth + 1)
                block.children[name] = made
        block.connections = [self._connection(c, block) for c in element.below("Connections", "Connection")]
        return block

    def _block(self, element: Element) -> Block:
        self.budget.spend(element)
        connectors = {}
        for connector in element.below("Connectors", "Connector"):
            name = connector.required("name")
            kind = connector.required("kind")
            if kind not in _GIVING | _TAKING | _OPEN:
                raise connector.error(f"'{kind}' is not a kind of connector", "write input or output, for example")
            if name in connectors:
                raise connector.error(f"the connector '{name}' stands twice", "rename one of them")
            typed = next((c for c in connector.children if c.tag not in _BESIDE_TYPE), None)
            unit = None if typed is None else unit_named(typed, self.units)
            connectors[name] = Connector(name, kind, "" if typed is None else typed.tag, unit, connector)
        return Block(element.required("name"), element, connectors, read_bindings(element, self.package))

    def _component(self, element: Element, depth: int) -> Block:
        kind = element.attributes.get("type", _FMU)
        source = element.attributes.get("source")
        if kind in {_SSD, _SSP} and source is not None:
            return self._referenced(element, kind, source, depth)
        if kind != _FMU:
            raise element.error(f"a component of type '{kind}' cannot run", "replace it by an FMU")
        block = self._block(element)
        if source is None:
            raise element.error(f"'{block.name}' has no FMU", 'add source="resources/NAME.fmu"')
        block.fmu = self.package.file(source, element)
        block.interface = element.attributes.get("implementation", "any")
        return block

    def _referenced(self, element: Element, kind: str, source: str, depth: int) -> Block:
        """A component that is a system: of this file, of another `.ssd`, or of an `.ssp`."""
        uri, _, fragment = source.partition("#")
        if not uri:
            inner = next(
                (e for e in self.root.walk() if e.attributes.get("id") == fragment and e.tag == "System"), None
            )
            if inner is None:
                raise element.error(f"there is no system with id '{fragment}'", "correct the source")
            block = self._system(inner, depth)
        else:
            file = self.package.file(uri, element)
            if kind == _SSP:
                unpacked = open_package(file)
                package = Package(unpacked.folder, self.package.shown_file(uri), fragment or unpacked.structure)
            else:
                package = Package(file.parent, self.package.shown_file(uri).parent, file.name)
            block = _Reader(package, package.xml(package.structure, element), self.budget, depth).system()
        outside = self._block(element)
        block.name = outside.name
        block.assignments += outside.assignments  # as if they came last in the system itself
        return block

    def _connection(self, element: Element, block: Block) -> Connection:
        ends = []
        for side in ("start", "end"):
            if f"{side}Indices" in element.attributes:
                raise element.error("single elements of arrays cannot be connected", "connect whole variables")
            owner, name = element.attributes.get(f"{side}Element") or None, element.required(f"{side}Connector")
            if owner is not None and owner not in block.children:
                raise element.error(f"there is no element '{owner}' in '{block.name}'", "correct the name")
            connector = (block if owner is None else block.children[owner]).connectors.get(name)
            if connector is None:
                raise element.error(f"'{owner or block.name}' has no connector '{name}'", "add it, or correct the name")
            # what a system takes it gives to its own elements
            gives = connector.kind in (_GIVING if owner is not None else _TAKING)
            ends.append(((owner, name), None if connector.kind in _OPEN else gives))
        (start, start_gives), (end, end_gives) = ends
        if start_gives is not None and start_gives == end_gives:
            both = "values come from both ends" if start_gives else "both ends take values"
            raise element.error(f"a connection where {both}", "connect an output to an input")
        forward = start_gives if start_gives is not None else not end_gives
        factor, offset = transformation(element)
        source, target = (start, end) if forward else (end, start)
        return Connection(source, target, factor, offset, not element.truth("suppressUnitConversion", False), element)
