"""An FMI 2.0 Co-Simulation FMU as a component.

FMPy reads, unpacks and loads the FMU; the step itself is three native calls on buffers that exist already: set all
inputs, ``fmi2DoStep``, get all outputs.
"""

from __future__ import annotations

import ctypes
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from cosim.component import FloatArray, Kind, Port
from cosim.fmu_archive import FmuArchive, load_library
from cosim.fmu_log import FmuLog
from fmus.errors import GalenicError

_KINDS: dict[str, Kind] = {"Real": "real", "Integer": "integer", "Enumeration": "integer", "Boolean": "boolean"}
_STATUS = ("fmi2OK", "fmi2Warning", "fmi2Discard", "fmi2Error", "fmi2Fatal", "fmi2Pending")
_SHOWN_MESSAGES = 3


class FmuComponent:
    """One instance of an FMU.

    Args:
        name: the component's name in the system.
        archive: the checked FMU file.
        values: parameters and start values that differ from the FMU's own, in the variables' units; the caller has
            checked that they may be set.
        locate: turns an error into one with file and line of the component in the scenario.
    """

    def __init__(
        self,
        name: str,
        archive: FmuArchive,
        values: Mapping[str, float] | None = None,
        locate: Callable[[GalenicError], GalenicError] = lambda error: error,
    ) -> None:
        self.name = name
        self.archive = archive
        self.values = dict(values or {})
        self._locate = locate
        self._variables = {v.name: v for v in archive.description.modelVariables if v.type in _KINDS}
        self.inputs = self._ports("input")
        self.outputs = self._ports("output")
        self.input_values = np.array([port.start or 0.0 for port in self.inputs])
        self.output_values = np.zeros(len(self.outputs))
        self._log = FmuLog()
        self._fmu: Any = None
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._fatal = False

    def variable(self, name: str) -> Port:
        """Any variable of the FMU as a port, whatever its causality. Raises KeyError."""
        return self._port(self._variables[name])

    def variables(self, *causalities: str) -> list[str]:
        """Names of the variables of these causalities."""
        return [name for name, v in self._variables.items() if v.causality in causalities]

    def settable(self, name: str) -> bool:
        """Whether a start value may be given to the variable."""
        variable = self._variables[name]
        if variable.variability == "constant":
            return False
        return variable.causality in {"input", "parameter"} or variable.initial in {"exact", "approx"}

    def bind(self, input_values: FloatArray, output_values: FloatArray) -> None:
        """Work on these arrays; the start values move into them."""
        input_values[:] = self.input_values
        self.input_values, self.output_values = input_values, output_values

    def initialize(self, start_time: float) -> None:
        """Load and instantiate the FMU, set parameters and the present inputs, initialise it, read its outputs.

        Raises:
            GalenicError: the binary does not load, or the FMU refuses a value or fails to initialise.
        """
        try:
            self._load()
            fmu = self._fmu
            with np.errstate(all="ignore"):
                self._during("fmi2SetupExperiment", fmu.setupExperiment, startTime=start_time)
                self._set(self.values)
                self._during("fmi2EnterInitializationMode", fmu.enterInitializationMode)
                present = zip(self.inputs, self.input_values.tolist(), strict=True)
                self._set({port.name: value for port, value in present if port.start is not None or value != 0.0})
                self._during("fmi2ExitInitializationMode", fmu.exitInitializationMode)
            self._set_inputs, self._get_outputs = self._accessors()
            self._step, self._instance = fmu.dll["fmi2DoStep"], ctypes.c_void_p(fmu.component)
            self._step.argtypes = (ctypes.c_void_p, ctypes.c_double, ctypes.c_double, ctypes.c_int)
            for function, arguments in self._get_outputs:
                self._check(function(*arguments), "reading the outputs", start_time)
            self._spread_outputs()
        except GalenicError as error:
            self.terminate()
            raise self._locate(error) from error
        except BaseException:
            self.terminate()
            raise
        self.do_step = self._compiled_step()  # type: ignore[assignment, method-assign]

    def do_step(self, communication_point: float, step_size: float) -> None:  # noqa: ARG002
        """Set the inputs, advance, get the outputs.

        Raises:
            GalenicError: the FMU reports an error; names the component, the time and the FMU's last messages.
        """
        raise GalenicError(f"component '{self.name}' is not initialised", cure="call initialize first")

    def terminate(self) -> None:
        """Terminate and free the instance, unload the library, remove the unpacked files."""
        fmu, self._fmu = self._fmu, None
        with suppress(AttributeError):
            del self.do_step  # the bound step refers to the freed instance
        if fmu is not None:
            if fmu.component is not None and not self._fatal:
                with suppress(Exception):
                    fmu.terminate()
                with suppress(Exception):
                    fmu.fmi2FreeInstance(fmu.component)
            fmu.component = None
            with suppress(Exception):
                fmu.freeLibrary()
        self._log.close()
        directory, self._directory = self._directory, None
        if directory is not None:
            directory.cleanup()

    # ---- description -------------------------------------------------------------------------------------------

    def _ports(self, causality: str) -> tuple[Port, ...]:
        """The ports of one causality: reals, then integers, then booleans, each block contiguous in the values."""
        ports = [self._port(v) for v in self._variables.values() if v.causality == causality]
        order: tuple[Kind, ...] = ("real", "integer", "boolean")
        return tuple(sorted(ports, key=lambda port: order.index(port.kind)))

    def _port(self, variable: Any) -> Port:
        unit = variable.unit or getattr(variable.declaredType, "unit", None) or "1"
        start = self.values.get(variable.name)
        if start is None and variable.start is not None:
            start = _number(variable.start)
        low, high = (None if bound is None else float(bound) for bound in (variable.min, variable.max))
        return Port(variable.name, unit, start, low, high, variable.description or "", _KINDS[variable.type])

    # ---- native side -------------------------------------------------------------------------------------------

    def _load(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="galenic-", ignore_cleanup_errors=True)
        fmu = self._fmu = load_library(self.archive, Path(self._directory.name), self.name)
        self._during("fmi2Instantiate", fmu.instantiate, callbacks=self._log.callbacks())

    def _set(self, values: Mapping[str, float]) -> None:
        """Set variables by name, each value in the variable's unit."""
        for name, value in values.items():
            variable = self._variables[name]
            kind = _KINDS[variable.type]
            setter = {"real": "setReal", "integer": "setInteger", "boolean": "setBoolean"}[kind]
            exact = value if kind == "real" else round(value)
            what = f"setting '{name}' to {exact:g}"
            self._during(what, getattr(self._fmu, setter), [variable.valueReference], [exact])

    def _during(self, what: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        try:
            function(*args, **kwargs)
        except Exception as error:
            self._fatal = getattr(error, "status", 0) == 4
            status = _status_name(getattr(error, "status", None))
            raise GalenicError(
                f"component '{self.name}' failed during initialisation ({what}{status}){self._last_messages()}",
                cure="check the component's parameters and start values",
            ) from error

    def _accessors(self) -> tuple[list[tuple[Any, Any]], list[tuple[Any, Any]]]:
        """(native function, ready arguments) for each kind of input and output that the FMU has."""
        self._buffers: list[tuple[str, slice, Any]] = []
        setters = self._access("Set", self.inputs, self.input_values)
        getters = self._access("Get", self.outputs, self.output_values)
        return setters, getters

    def _access(self, verb: str, ports: Sequence[Port], values: FloatArray) -> list[tuple[Any, Any]]:
        calls = []
        for kind, suffix in (("real", "Real"), ("integer", "Integer"), ("boolean", "Boolean")):
            indices = [i for i, port in enumerate(ports) if port.kind == kind]
            if not indices:
                continue
            block = slice(indices[0], indices[-1] + 1)
            count = len(indices)
            references = (ctypes.c_uint * count)(*(self._variables[ports[i].name].valueReference for i in indices))
            if kind == "real":
                buffer = values[block]
            else:
                buffer = np.zeros(count, dtype=np.int32)
                self._buffers.append((verb, block, buffer))
            function = self._fmu.dll[f"fmi2{verb}{suffix}"]
            function.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)
            arguments = (
                ctypes.c_void_p(self._fmu.component),
                ctypes.cast(references, ctypes.c_void_p),
                ctypes.c_size_t(count),
                ctypes.c_void_p(buffer.ctypes.data),
            )
            calls.append((function, arguments))
            self._keep = (*getattr(self, "_keep", ()), references, buffer)
        return calls

    def _spread_outputs(self) -> None:
        for verb, block, buffer in self._buffers:
            if verb == "Get":
                self.output_values[block] = buffer

    def _gather_inputs(self) -> None:
        for verb, block, buffer in self._buffers:
            if verb == "Set":
                np.rint(self.input_values[block], casting="unsafe", out=buffer)

    def _compiled_step(self) -> Callable[[float, float], None]:
        """The step with everything that it needs in local variables."""
        step, instance, check = self._step, self._instance, self._check
        setters, getters = tuple(self._set_inputs), tuple(self._get_outputs)
        has_integers = bool(self._buffers)

        def general(t: float, h: float) -> None:
            if has_integers:
                self._gather_inputs()
            for function, arguments in setters:
                if (status := function(*arguments)) > 1:
                    check(status, "setting the inputs", t)
            if (status := step(instance, t, h, 1)) > 1:
                check(status, "fmi2DoStep", t)
            for function, arguments in getters:
                if (status := function(*arguments)) > 1:
                    check(status, "reading the outputs", t)
            if has_integers:
                self._spread_outputs()

        if has_integers or len(setters) != 1 or len(getters) != 1:
            return general
        (set_real, (_, in_refs, in_count, in_data)), (get_real, (_, out_refs, out_count, out_data)) = *setters, *getters

        def reals_only(t: float, h: float) -> None:
            if (status := set_real(instance, in_refs, in_count, in_data)) > 1:
                check(status, "setting the inputs", t)
            if (status := step(instance, t, h, 1)) > 1:
                check(status, "fmi2DoStep", t)
            if (status := get_real(instance, out_refs, out_count, out_data)) > 1:
                check(status, "reading the outputs", t)

        return reals_only

    def _check(self, status: int, what: str, t: float) -> None:
        if status > 1:
            self._fatal = status == 4
            raise self._locate(
                GalenicError(
                    f"component '{self.name}' failed at t = {t:.6g} s ({what}{_status_name(status)})"
                    f"{self._last_messages()}",
                    cure="look at the component's inputs just before; the results up to here are kept",
                )
            )

    def _last_messages(self) -> str:
        serious = [text for status, text in self._log.messages if status > 0] or [
            text for _, text in self._log.messages
        ]
        return "; it says: " + " | ".join(serious[-_SHOWN_MESSAGES:]) if serious else ""


def _status_name(status: int | None) -> str:
    if status is None:
        return ""
    return f": {_STATUS[status]}" if 0 <= status < len(_STATUS) else f": status {status}"


def _number(text: str) -> float | None:
    if text in {"true", "false"}:
        return 1.0 if text == "true" else 0.0
    try:
        return float(text)
    except ValueError:
        return None
