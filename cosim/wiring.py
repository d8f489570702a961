"""What drives what: connections, measurements and controllers as source, target, factor and offset.

Everything that can be wrong with a connection is found here, before anything runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from cosim.assembly import difference
from cosim.component import Controller, KeyPath, Port, Ported
from cosim.scenario import ConnectionSpec, Scenario
from fmus.errors import GalenicError, nearest
from fmus.quantity import conversion

#: A value of one kind passes unchanged into any that stands to its right.
_LOSSLESS = ("boolean", "integer", "real")


@dataclass(frozen=True)
class Link:
    """``target = factor * source + offset``; a source of None is written from outside (a disturbance)."""

    source: str | None
    target: str
    factor: float
    offset: float
    path: KeyPath
    lagged: bool = False


class Wiring:
    """The signals of a system, and the links between them.

    Args:
        scenario: for the places of errors.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self.inputs: dict[str, dict[str, Port]] = {}
        self.outputs: dict[str, dict[str, Port]] = {}
        self.links: dict[str, Link] = {}
        self._why_not: dict[str, Callable[[str], str | None]] = {}

    def add(self, component: Ported, why_not: Callable[[str], str | None] = lambda _: None) -> None:
        """Make a component's ports known.

        Args:
            component: with its ports.
            why_not: tells of a variable that is no port why it is none; None where there is no such variable.
        """
        self._why_not[component.name] = why_not
        self.inputs[component.name] = {port.name: port for port in component.inputs}
        self.outputs[component.name] = {port.name: port for port in component.outputs}

    def port(self, signal: str, path: KeyPath = ()) -> Port:
        """The port behind a signal. Raises GalenicError with the nearest names."""
        name, variable = self._split(signal, path)
        found = self.outputs[name].get(variable) or self.inputs[name].get(variable)
        if found is None:
            raise self._unknown(name, variable, [*self.outputs[name], *self.inputs[name]], path)
        return found

    def connect(self, spec: ConnectionSpec, path: KeyPath) -> None:
        """A connection of the scenario: variable to variable, or all below a prefix to all below another."""
        (source, source_variable), (target, target_variable) = (
            self._split(side, path) for side in (spec.source, spec.target)
        )
        outputs, inputs = self.outputs[source], self.inputs[target]
        if source_variable in outputs and target_variable in inputs:
            self.link(f"{source}.{source_variable}", f"{target}.{target_variable}", path, spec)
            return
        offered, wanted = _below(source_variable, outputs), _below(target_variable, inputs)
        if not offered and source_variable not in outputs:
            raise self._not_an("output", source, source_variable, path)
        if not wanted and target_variable not in inputs:
            raise self._not_an("input", target, target_variable, path)
        if not offered or not wanted:
            raise self._scenario.error(
                path,
                f"'{spec.text}' joins one variable and a group",
                "connect a variable to a variable, or group to group",
            )
        if not spec.plain:
            raise self._scenario.error(
                path, f"'{spec.text}' changes the values of a whole group", "connect its variables one by one"
            )
        if missing := [suffix for suffix in wanted if suffix not in offered]:
            raise self._scenario.error(
                path,
                f"'{source}.{source_variable}' has no variable for '{target}.{target_variable}.{missing[0]}'",
                f"it offers {', '.join(offered)}; connect the variables one by one",
            )
        for suffix in wanted:
            self.link(f"{source}.{source_variable}.{suffix}", f"{target}.{target_variable}.{suffix}", path, spec)

    def link(self, source: str, target: str, path: KeyPath, change: ConnectionSpec | None = None) -> None:
        """Let a signal drive an input, converting its unit, then applying the factor and offset of ``change``.

        Raises:
            GalenicError: an unknown signal, a target that is no input or is driven already, or incompatible units.
        """
        source_port = self.port(source, path)
        target_port = self.claim(target, path)
        if change is not None and _LOSSLESS.index(source_port.kind) > _LOSSLESS.index(target_port.kind):
            raise self._scenario.error(
                path,
                f"'{source}' is {source_port.kind} and would lose its value in '{target}', which is {target_port.kind}",
                "connect variables of one type; a boolean may drive an integer or a real, an integer a real",
            )
        try:
            converts = change is None or change.convert_units
            factor, offset = conversion(source_port.unit, target_port.unit) if converts else (1.0, 0.0)
        except GalenicError as error:
            raise self._scenario.error(
                path,
                f"'{source}' in {source_port.unit} cannot drive '{target}' in {target_port.unit}: "
                f"{'the dimensions differ' if 'dimensions' in error.message else error.message}",
                "connect variables of the same dimension; units are converted",
            ) from error
        if change is not None and (change.factor != 1.0 or change.offset != 0.0):
            if target_port.kind != "real":
                raise self._scenario.error(
                    path, f"'{target}' is {target_port.kind}, which takes no factor or offset", "connect it as it is"
                )
            shift = difference(self._scenario, (*path, "offset"), change.offset, target_port.unit)
            factor, offset = change.factor * factor, change.factor * offset + shift
        lagged = change is not None and change.lagged
        self.links[target] = Link(source, target, factor, offset, path, lagged)

    def claim(self, target: str, path: KeyPath) -> Port:
        """Mark an input as driven, and return its port. Raises where it is no input, or is driven already."""
        name, variable = self._split(target, path)
        if variable not in self.inputs[name]:
            raise self._not_an("input", name, variable, path)
        if (other := self.links.get(target)) is not None:
            line = self._scenario.line(other.path)
            by = f"'{other.source}'" if other.source else "a disturbance"
            raise self._scenario.error(
                path,
                f"'{target}' is driven already, by {by}" + (f" in line {line}" if line else ""),
                "an input has one driver: remove one, or let one controller supervise the other",
            )
        self.links[target] = Link(None, target, 1.0, 0.0, path)
        return self.inputs[name][variable]

    def connect_controllers(self, controllers: Sequence[Controller], removed: Iterable[str] = ()) -> None:
        """Connect what the controllers read and write, a supervisor above the controllers that it supervises."""
        by_name = {controller.name: controller for controller in controllers}
        for controller in controllers:
            path: KeyPath = ("controllers", controller.name)
            for name in controller.supervises:
                if name not in by_name and name not in removed:
                    raise self._scenario.error(
                        (*path, "supervises"), f"there is no controller '{name}' to supervise", nearest(name, by_name)
                    )
            for port, signal in zip(controller.inputs, controller.reads, strict=True):
                if signal is not None:
                    self.link(signal, f"{controller.name}.{port.name}", path)
        writers: dict[str, list[tuple[Controller, str]]] = {}
        for controller in controllers:
            for port, target in zip(controller.outputs, controller.writes, strict=True):
                if target is not None:
                    writers.setdefault(target, []).append((controller, port.name))
        taken: set[tuple[str, str]] = set()
        for target, pair in writers.items():
            if len(pair) == 2:
                first, second = pair
                for upper, lower in ((first, second), (second, first)):
                    if lower[0].name in upper[0].supervises:
                        self._supervise(target, upper, lower)
                        taken.add((upper[0].name, lower[0].name))
                        break
                else:
                    self._link_all(target, pair)
            else:
                self._link_all(target, pair)
        for upper_controller in controllers:
            for name in upper_controller.supervises:
                if name in by_name and (upper_controller.name, name) not in taken:
                    raise self._scenario.error(
                        ("controllers", upper_controller.name, "supervises"),
                        f"'{upper_controller.name}' supervises '{name}' but drives none of its targets",
                        f"let both write the same input ('{name}' writes {_listed(by_name[name].writes)})",
                    )

    def _link_all(self, target: str, writers: Sequence[tuple[Controller, str]]) -> None:
        for controller, port in writers:
            self.link(f"{controller.name}.{port}", target, ("controllers", controller.name))

    def _supervise(self, target: str, upper: tuple[Controller, str], lower: tuple[Controller, str]) -> None:
        (supervisor, output), (supervised, lower_output) = upper, lower
        path: KeyPath = ("controllers", supervisor.name)
        needs = (
            (self.outputs, supervisor, "active"),
            (self.inputs, supervisor, f"fallback.{target}"),
            (self.inputs, supervised, f"track.{lower_output}"),
            (self.inputs, supervised, "track.active"),
        )
        for ports, controller, name in needs:
            if name not in ports[controller.name]:
                raise self._scenario.error(
                    path,
                    f"'{supervisor.name}' cannot supervise '{supervised.name}': "
                    f"'{controller.name}' has no port '{name}'",
                    "supervise a controller that can follow another, such as type pi or ratio",
                )
        self.link(f"{supervisor.name}.{output}", target, path)
        self.link(f"{supervised.name}.{lower_output}", f"{supervisor.name}.fallback.{target}", path)
        self.link(f"{supervisor.name}.{output}", f"{supervised.name}.track.{lower_output}", path)
        active = f"{supervised.name}.track.active"
        if (known := self.links.get(active)) is None or known.source != f"{supervisor.name}.active":
            self.link(f"{supervisor.name}.active", active, path)

    def _split(self, signal: str, path: KeyPath) -> tuple[str, str]:
        name, dot, variable = signal.partition(".")
        if not dot or not variable:
            raise self._scenario.error(path, f"'{signal}' is not a signal", "write component.variable")
        while name not in self.outputs and "." in variable:  # a component of a nested system has dots in its name
            more, _, variable = variable.partition(".")
            name = f"{name}.{more}"
        if name not in self.outputs:
            name = signal.partition(".")[0]
        if name not in self.outputs:
            raise self._scenario.error(path, f"there is no component '{name}'", nearest(name, self.outputs))
        return name, variable

    def _unknown(self, name: str, variable: str, known: Iterable[str], path: KeyPath) -> GalenicError:
        reason = self._why_not[name](variable)
        message = f"'{name}' has no variable '{variable}'" if reason is None else f"'{name}': {reason}"
        return self._scenario.error(path, message, nearest(variable, known))

    def _not_an(self, direction: str, name: str, variable: str, path: KeyPath) -> GalenicError:
        """The error for a variable that is not of the direction that its side of the arrow needs."""
        right, wrong = (self.inputs, self.outputs) if direction == "input" else (self.outputs, self.inputs)
        if variable in wrong[name] or _below(variable, wrong[name]):
            actual = "an output" if direction == "input" else "an input"
            side = "right" if direction == "input" else "left"
            return self._scenario.error(
                path,
                f"'{name}.{variable}' is {actual}, which cannot stand on the {side} of an arrow",
                f"connect output -> input; {direction}s of '{name}': {nearest(variable, right[name])}",
            )
        bundles = {known[: known.rfind(".")] for known in right[name] if "." in known}
        return self._unknown(name, variable, [*right[name], *bundles], path)


def _below(prefix: str, ports: Iterable[str]) -> dict[str, str]:
    """The suffixes of the ports below a prefix."""
    return {name[len(prefix) + 1 :]: name for name in ports if name.startswith(prefix + ".")}


def _listed(signals: Sequence[str | None]) -> str:
    return ", ".join(signal for signal in signals if signal is not None) or "none"
