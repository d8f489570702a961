"""Nested systems as one: from which component's output each component's input comes, and what happens on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cosim.ssp.parameters import Assignment
from cosim.ssp.structure import Block, Connection, Connector
from cosim.ssp.units import Unit, conversion
from cosim.ssp.xml_tree import Element

#: a block by the names on the way to it, and one of its connectors
Path = tuple[str, ...]
Place = tuple[Path, str]
#: The unit of a component's variable in its FMU, None where it has none. It goes before what the description says.
FmuUnit = Callable[[Path, str], Unit | None]


@dataclass(frozen=True)
class Flat:
    """``target = factor * source + offset``, all units converted; between two components.

    Args:
        source: an output; None where an open connector of the outermost system drives the target.
        element: the connection that reaches the target.
        passed: connectors of systems on the way, with factor and offset from there to the target.
        plain: whether nothing was changed on the way but units.
    """

    source: Place | None
    target: Place
    factor: float
    offset: float
    element: Element
    passed: tuple[tuple[Place, float, float], ...]
    plain: bool


@dataclass(frozen=True)
class Given:
    """A value for a variable of a component, in the unit that its FMU has for it."""

    value: float | str
    kind: str
    element: Element


class Flattened:
    """The components of a system at any depth, what connects them and the values they are given.

    Args:
        outermost: the system.
        fmu_unit: finds units where the description has none.

    Raises:
        GalenicError: an input with two drivers, connections in a ring, units that do not fit.
    """

    def __init__(self, outermost: Block, fmu_unit: FmuUnit) -> None:
        self._outermost, self._fmu_unit = outermost, fmu_unit
        self.components: dict[Path, Block] = dict(outermost.components())
        self._drivers: dict[Place, tuple[Place, Connection]] = {}
        self._collect(outermost, ())
        self.connections: list[Flat] = [self._trace(p) for p in self._drivers if p[0] in self.components]
        self.values: dict[Place, Given] = {}
        self.unused: list[Assignment] = []
        self._assign_all(outermost, ())

    def block(self, path: Path) -> Block:
        """The block at a path."""
        block = self._outermost
        for name in path:
            block = block.children[name]
        return block

    # ---- connections -------------------------------------------------------------------------------------------

    def _collect(self, block: Block, path: Path) -> None:
        for connection in block.connections:
            (source_owner, source), (target_owner, target) = connection.source, connection.target
            place = ((*path, target_owner) if target_owner else path, target)
            if place in self._drivers:
                line = self._drivers[place][1].element.line
                raise connection.element.error(
                    f"'{target_owner or block.name}.{target}' is driven already, in line {line}",
                    "remove one of the two",
                )
            self._drivers[place] = (((*path, source_owner) if source_owner else path, source), connection)
        for name, child in block.children.items():
            self._collect(child, (*path, name))

    def _trace(self, target: Place) -> Flat:
        """Back from a component's input, through connectors of systems, to a component's output or an open end."""
        hops: list[tuple[Place, Connection]] = []
        place = target
        while place in self._drivers and (not hops or place[0] not in self.components):
            source, connection = self._drivers[place]
            if source in (p for p, _ in hops):
                raise connection.element.error(
                    f"connections in a ring, through '{_shown(source)}'", "remove one of them"
                )
            hops.append((source, connection))
            place = source
        ends_at_component = place[0] in self.components
        unit = self._unit(place)
        factor, offset, plain = 1.0, 0.0, True
        onward: list[tuple[float, float]] = []  # each hop's own factor and offset, from the source on
        passed: list[Place] = []
        for (source, connection), following in zip(
            reversed(hops), [*(h[0] for h in hops[-2::-1]), target], strict=True
        ):
            if source[0] not in self.components:
                passed.append(source)
            here = self._unit(following)
            a, b = self._hop(connection, unit, here)
            onward.append((a, b))
            factor, offset = a * factor, a * offset + b
            plain = plain and connection.convert_units and (connection.factor, connection.offset) == (1.0, 0.0)
            # a connector of a system without a unit hands on what it gets
            unit = here or unit
        after = onward[len(onward) - len(passed) :] if passed else []
        return Flat(
            source=place if ends_at_component else None,
            target=target,
            factor=factor,
            offset=offset,
            element=hops[0][1].element,
            passed=tuple((p, *_together(after[i:])) for i, p in enumerate(passed)),
            plain=plain,
        )

    def _hop(self, connection: Connection, source: Unit | None, target: Unit | None) -> tuple[float, float]:
        converted = conversion(source, target) if connection.convert_units else (1.0, 0.0)
        if converted is None:
            assert source is not None, "an unknown unit converts to any"
            assert target is not None, "an unknown unit converts to any"
            raise connection.element.error(
                f"'{source.name}' cannot be converted to '{target.name}': their dimensions differ",
                "connect variables of the same dimension, or set suppressUnitConversion",
            )
        a, b = converted
        return connection.factor * a, connection.factor * b + connection.offset

    def _unit(self, place: Place) -> Unit | None:
        path, name = place
        if path in self.components and (unit := self._fmu_unit(path, name)) is not None:
            return unit
        connector: Connector | None = self.block(path).connectors.get(name)
        return None if connector is None else connector.unit

    # ---- values ------------------------------------------------------------------------------------------------

    def _assign_all(self, block: Block, path: Path) -> None:
        # what stands further out, or later, goes before
        for name, child in block.children.items():
            self._assign_all(child, (*path, name))
        for assignment in block.assignments:
            if not self._assign(assignment, assignment.name, block, path):
                self.unused.append(assignment)

    def _assign(self, assignment: Assignment, name: str, block: Block, path: Path) -> bool:
        """Give a value to all that has this name in a block; whether there was any."""
        if block.fmu is not None:
            given = self._given(assignment, self._unit((path, name)), 1.0, 0.0)
            self.values[path, name] = given
            return True
        used = False
        if name in block.connectors:
            for flat in self.connections:
                for place, factor, offset in flat.passed:
                    if place == (path, name):
                        unit = self._unit(place) or self._unit(flat.target)
                        self.values[flat.target] = self._given(assignment, unit, factor, offset)
                        used = True
        for child_name, child in block.children.items():
            if name.startswith(f"{child_name}."):
                used |= self._assign(assignment, name[len(child_name) + 1 :], child, (*path, child_name))
        return used

    def _given(self, assignment: Assignment, unit: Unit | None, factor: float, offset: float) -> Given:
        """The value after conversion, the assignment's own transformation and that of the way to the variable."""
        value = assignment.value
        if not isinstance(value, str):
            converted = conversion(assignment.unit, unit) if assignment.convert_units else (1.0, 0.0)
            if converted is None:
                assert assignment.unit is not None, "an unknown unit converts to any"
                assert unit is not None, "an unknown unit converts to any"
                raise assignment.element.error(
                    f"'{assignment.name}' in {assignment.unit.name} cannot be converted to {unit.name}",
                    "give it in a unit of the same dimension",
                )
            a, b = converted
            value = assignment.factor * (a * value + b) + assignment.offset
            value = factor * value + offset
        return Given(value, assignment.kind, assignment.element)


def _together(hops: list[tuple[float, float]]) -> tuple[float, float]:
    factor, offset = 1.0, 0.0
    for a, b in hops:
        factor, offset = a * factor, a * offset + b
    return factor, offset


def _shown(place: Place) -> str:
    return ".".join((*place[0], place[1]))
