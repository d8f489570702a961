"""The calls to an FMI 3.0 instance."""

from __future__ import annotations

import ctypes as c
from collections.abc import Callable, Sequence
from typing import Any

from fmus.check.calls import Calls, EventInfo, StepEnd, doubles, from_type, of_type, references
from fmus.check.job import MODEL_EXCHANGE, Variable
from fmus.check.library import Library
from fmus.check.prototypes import FMI3_TYPES, INTERMEDIATE_UPDATE

#: time, whether values may be read, whether an early return is possible -> whether to return early
IntermediateUpdate = Callable[[float, bool, bool], bool]


class Fmi3(Calls):
    """FMI 3.0. ``on_update`` is called inside a communication step."""

    names: dict[str, str] = {}  # noqa: RUF012 - a table

    def __init__(
        self,
        library: Library,
        name: str,
        token: str | None,
        *,
        on_update: IntermediateUpdate | None = None,
        **options: bool,
    ) -> None:
        self._on_update = on_update
        self._update = INTERMEDIATE_UPDATE(self._intermediate) if on_update else None
        super().__init__(library, name, token, **options)

    def instantiate_name(self) -> str:
        """See `Calls`."""
        return f"fmi3Instantiate{'ModelExchange' if self.job.interface == MODEL_EXCHANGE else 'CoSimulation'}"

    def _instantiate(self, name: bytes, token: bytes, **options: bool) -> int | None:
        event_mode, early_return = options.get("event_mode", False), options.get("early_return", False)
        function = self.library.function(self.instantiate_name().removeprefix("fmi3"))
        function.restype = c.c_void_p
        self.library.mark(self.instantiate_name())
        common = (name, token, self.job.resources.encode() or None, False, False)
        logger = c.cast(self.library.logger, c.c_void_p)
        if self.job.interface == MODEL_EXCHANGE:
            made = function(*common, None, logger)
        else:
            wanted = [v.reference for v in self.job.variables if v.intermediate] if self._update else []
            update = c.cast(self._update, c.c_void_p) if self._update else None
            listed = references(wanted) if wanted else None
            made = function(*common, event_mode, early_return, listed, len(wanted), None, logger, update)
        return made if made is None else int(made)

    def instantiates(self, interface: str) -> bool:
        """Whether the binary gives an instance of this interface."""
        name = f"Instantiate{interface.replace(' ', '').replace('-', '')}"
        function = self.library.function(name)
        function.restype = c.c_void_p
        self.library.mark(f"fmi3{name}")
        common = (b"another", self.job.token.encode(), self.job.resources.encode() or None, False, False)
        logger = c.cast(self.library.logger, c.c_void_p)
        more = {"ModelExchange": (), "CoSimulation": (False, False, None, 0)}.get(name.removeprefix("Instantiate"), ())
        callbacks = {"ModelExchange": 0, "CoSimulation": 1}.get(name.removeprefix("Instantiate"), 3)
        return bool(function(*common, *more, None, logger, *[None] * callbacks))

    def enter_initialization(self) -> None:
        """See `Calls`."""
        self.need("EnterInitializationMode", False, 0.0, self.job.start, False, 0.0)

    def try_read(self, kind: str, references_: Sequence[int], size: int) -> tuple[int, list[Any]]:
        """See `Calls`."""
        kind = self.type_name(kind)
        buffer = (FMI3_TYPES[kind] * max(size, 1))()
        listed, count = references(references_), len(references_)
        if kind == "Clock":
            return self.call("GetClock", listed, count, buffer), list(buffer[:size])
        if kind == "Binary":
            sizes = (c.c_size_t * max(size, 1))()
            status = self.call("GetBinary", listed, count, sizes, buffer, size)
            return status, [c.string_at(x, n) if x else b"" for x, n in zip(buffer[:size], sizes, strict=False)]
        status = self.call(f"Get{kind}", listed, count, buffer, size)
        return status, [from_type(kind, x) for x in buffer[:size]]

    def try_write(self, kind: str, references_: Sequence[int], values: Sequence[Any]) -> int:
        """See `Calls`."""
        kind = self.type_name(kind)
        listed, count, size = references(references_), len(references_), len(values)
        if kind == "Binary":
            held = [c.create_string_buffer(x, max(len(x), 1)) for x in values]
            pointers = (c.c_void_p * max(size, 1))(*(c.addressof(x) for x in held))
            return self.call("SetBinary", listed, count, (c.c_size_t * max(size, 1))(*map(len, values)), pointers, size)
        buffer = (FMI3_TYPES[kind] * max(size, 1))(*(of_type(kind, x) for x in values))
        if kind == "Clock":
            return self.call("SetClock", listed, count, buffer)
        return self.call(f"Set{kind}", listed, count, buffer, size)

    def type_name(self, kind: str) -> str:
        """See `Calls`."""
        return "Int64" if kind == "Enumeration" else kind

    def try_step(self, time: float, size: float) -> tuple[int, StepEnd]:
        """See `Calls`."""
        event, terminate, early = c.c_bool(False), c.c_bool(False), c.c_bool(False)
        reached = c.c_double(time + size)
        status = self.call(
            "DoStep", time, size, True, c.byref(event), c.byref(terminate), c.byref(early), c.byref(reached)
        )
        # an FMU with an internal step may be ahead or behind; only an early return moves the communication point
        at = reached.value if early.value else time + size
        return status, StepEnd(at, event.value, terminate.value, early.value)

    def update_discrete_states(self) -> EventInfo:
        """See `Calls`."""
        flags = [c.c_bool(False) for _ in range(5)]
        time = c.c_double(0.0)
        self.need("UpdateDiscreteStates", *map(c.byref, flags), c.byref(time))
        again, terminate, nominals, states, defined = (bool(f.value) for f in flags)
        return EventInfo(again, terminate, nominals, states, time.value if defined else None)

    def completed_integrator_step(self) -> tuple[bool, bool]:
        """See `Calls`."""
        event, terminate = c.c_bool(False), c.c_bool(False)
        self.need("CompletedIntegratorStep", True, c.byref(event), c.byref(terminate))
        return event.value, terminate.value

    def directional(self, unknowns: Sequence[Variable], knowns: Sequence[Variable], seed: list[float]) -> list[float]:
        """See `Calls`."""
        return self._derivative("GetDirectionalDerivative", unknowns, knowns, seed, sum(v.size for v in unknowns))

    def adjoint(self, unknowns: Sequence[Variable], knowns: Sequence[Variable], seed: list[float]) -> list[float]:
        """What ``seed`` on the unknowns makes on the knowns, element by element."""
        return self._derivative("GetAdjointDerivative", unknowns, knowns, seed, sum(v.size for v in knowns))

    def count(self, what: str) -> int:
        """fmi3GetNumberOf<what>."""
        number = c.c_size_t(0)
        self.need(f"GetNumberOf{what}", c.byref(number))
        return number.value

    def _derivative(
        self, name: str, unknowns: Sequence[Variable], knowns: Sequence[Variable], seed: list[float], size: int
    ) -> list[float]:
        result = doubles(size)
        self.need(
            name,
            references([v.reference for v in unknowns]),
            len(unknowns),
            references([v.reference for v in knowns]),
            len(knowns),
            doubles(seed),
            len(seed),
            result,
            size,
        )
        return list(result[:size])

    def _intermediate(
        self,
        _environment: int,
        time: float,
        _set_requested: bool,
        get_allowed: bool,
        _finished: bool,
        can_return: bool,
        requested: Any,
        return_time: Any,
    ) -> None:
        wanted = self._on_update is not None and self._on_update(time, get_allowed, can_return)
        requested[0], return_time[0] = wanted, time
