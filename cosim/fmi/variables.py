"""The variables of an FMU as ports: which can be connected, which take a value, and why not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from cosim.component import FloatArray, Kind, Port
from cosim.fmi.access import in_order
from cosim.fmi.description import REALS, Interface, Value, Variable, describe
from cosim.fmi.feedthrough import feedthrough
from cosim.fmu_archive import FmuArchive
from fmus.errors import GalenicError


class FmuVariables:
    """One interface of an FMU, its variables seen as ports; an array is a port for each element.

    Args:
        name: the component's name in the system.
        archive: the checked FMU file.
        values: parameters and start values, by the name of a scalar or of a String or Binary variable.
        locate: turns an error into one with file and line of the component in the scenario.
        interface: which interface to use; None: Co-Simulation if there, else Model Exchange.

    Raises:
        GalenicError: the FMU has no such interface, or an array would be too large.
    """

    def __init__(
        self,
        name: str,
        archive: FmuArchive,
        values: Mapping[str, Value] | None,
        locate: Callable[[GalenicError], GalenicError],
        interface: Interface | None,
    ) -> None:
        self.name = name
        self.archive = archive
        self.values = dict(values or {})
        self._locate = locate
        try:
            self.description = describe(archive.description, archive.attributes, interface, self.values)
        except GalenicError as error:
            raise locate(GalenicError(f"{archive.file}: {error.message}", cure=error.cure)) from error
        self.interface: Interface = self.description.interface
        self.can = self.description.can
        self.input_variables = self._connectable("input")
        self.output_variables = self._connectable("output")
        self.inputs = self._ports(self.input_variables)
        self.outputs = self._ports(self.output_variables)
        always = self.description.dependencies
        self.feedthrough = feedthrough(self.output_variables, self.input_variables, always)
        self.feedthrough_declared = all(always.get(v.name) is not None for v in self.output_variables)
        self.input_values: FloatArray = np.array([port.start or 0.0 for port in self.inputs])
        self.output_values: FloatArray = np.zeros(len(self.outputs))

    def bind(self, input_values: FloatArray, output_values: FloatArray) -> None:
        """Work on these arrays; the start values move into them."""
        input_values[:] = self.input_values
        self.input_values, self.output_values = input_values, output_values

    @property
    def can_save_state(self) -> bool:
        """Whether the FMU says that its state can be taken and restored; `verify_state` finds out."""
        return self.can.save_state

    @property
    def can_serialize_state(self) -> bool:
        """Whether the FMU says that its state can be kept beyond this process."""
        return self.can.save_state and self.can.serialize_state

    @property
    def provides_directional_derivative(self) -> bool:
        """Whether the FMU has derivatives of its own."""
        return self.can.directional_derivative

    @property
    def once_per_process(self) -> bool:
        """Whether the FMU allows one instance in a process."""
        return self.can.once_per_process

    @property
    def can_variable_step(self) -> bool:
        """Whether the FMU takes communication steps of any size."""
        return self.can.variable_step

    def variable(self, name: str) -> Port:
        """Any numeric scalar of the FMU as a port, whatever its causality. Raises KeyError."""
        variable, place = self.description.places[name]
        if not variable.numeric:
            raise KeyError(name)
        return self._port(variable, place)

    def variables(self, *causalities: str) -> list[str]:
        """Names of the numeric scalars of these causalities; structural parameters count as parameters."""
        wanted = {*causalities, *(("structuralParameter",) if "parameter" in causalities else ())}
        chosen = (v for v in self.description.variables.values() if v.causality in wanted and v.numeric)
        return [name for v in chosen for name in v.elements]

    def texts(self, *causalities: str) -> list[str]:
        """Names of the String and Binary variables of these causalities, which can be given values as text."""
        wanted = {"String", "Binary"}
        return [v.name for v in self.description.variables.values() if v.causality in causalities and v.type in wanted]

    def settable(self, name: str) -> bool:
        """Whether a start value may be given to the variable."""
        return self.description.places[name][0].settable

    def why_not_connectable(self, name: str) -> str | None:
        """Why a variable cannot be connected, in words for people; None if it can, or if there is no such variable."""
        whole = self.description.variables.get(name)
        variable = whole if whole is not None else self.description.places.get(name, (None, 0))[0]
        if variable is None:
            return None
        if variable in self.input_variables or variable in self.output_variables:
            if whole is None or not variable.shape:
                return None
            shown = f", such as '{variable.elements[0]}'" if variable.elements else "; it has none now"
            return f"'{name}' is an array: connect its elements{shown}"
        if variable.type in {"String", "Binary"}:
            return f"'{name}' is of type {variable.type}, and only numbers and truth values can be connected"
        if variable.type == "Clock" or variable.clocked:
            return f"'{name}' belongs to a clock, and clocks cannot be connected"
        if variable.alias:
            return f"'{name}' is another name of an input: connect that"
        return f"'{name}' is a {variable.causality}, neither an input nor an output"

    def _connectable(self, causality: str) -> list[Variable]:
        chosen = (
            v
            for v in self.description.variables.values()
            if v.causality == causality and v.numeric and not v.clocked and not (v.alias and causality == "input")
        )
        return in_order(self.description.version, chosen)

    def _ports(self, variables: Sequence[Variable]) -> tuple[Port, ...]:
        return tuple(self._port(v, place) for v in variables for place in range(v.size))

    def _port(self, variable: Variable, place: int) -> Port:
        name = variable.elements[place]
        start = self.values.get(name, variable.start[place] if variable.start is not None else None)
        number = float(start) if isinstance(start, int | float) else None
        kind: Kind = "boolean" if variable.type == "Boolean" else "real" if variable.type in REALS else "integer"
        return Port(name, variable.unit, number, variable.low, variable.high, variable.description, kind)
