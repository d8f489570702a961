"""SUNDIALS' CVODE, as FMPy ships it: stiff, error-controlled, with roots (Hindmarsh et al., ACM TOMS 31, 2005)."""

from __future__ import annotations

import ctypes as c
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from cosim.component import FloatArray

#: (time, address of the states, address to write to) -> 0, positive where a shorter step may do
Evaluate = Callable[[float, int, int], int]

_BDF, _ONE_STEP = 2, 2
_ROOT_RETURN = 2
_P, _D = c.c_void_p, c.c_double
_RHS = c.CFUNCTYPE(c.c_int, _D, _P, _P, _P)
_ROOTS = c.CFUNCTYPE(c.c_int, _D, _P, _P, _P)
_ERRORS = c.CFUNCTYPE(None, c.c_int, c.c_char_p, c.c_char_p, c.c_char_p, c.c_int, _P, _P)
#: absolute tolerance as a share of the relative one times the nominal value, as FMI 2.0, 2.2.7 suggests
ABSOLUTE = 0.01

_PROTOTYPES: dict[str, tuple[str, Any, tuple[Any, ...]]] = {
    "SUNContext_Create": ("core", c.c_int, (c.c_int, c.POINTER(_P))),
    "SUNContext_Free": ("core", c.c_int, (c.POINTER(_P),)),
    "SUNContext_ClearErrHandlers": ("core", c.c_int, (_P,)),
    "SUNContext_PushErrHandler": ("core", c.c_int, (_P, _ERRORS, _P)),
    "N_VGetArrayPointer": ("core", _P, (_P,)),
    "N_VNew_Serial": ("nvecserial", _P, (c.c_int64, _P)),
    "N_VDestroy": ("core", None, (_P,)),
    "SUNDenseMatrix": ("sunmatrixdense", _P, (c.c_int64, c.c_int64, _P)),
    "SUNMatDestroy": ("core", None, (_P,)),
    "SUNLinSol_Dense": ("sunlinsoldense", _P, (_P, _P, _P)),
    "SUNLinSolFree": ("core", c.c_int, (_P,)),
    "CVodeCreate": ("cvode", _P, (c.c_int, _P)),
    "CVodeInit": ("cvode", c.c_int, (_P, _RHS, _D, _P)),
    "CVodeSVtolerances": ("cvode", c.c_int, (_P, _D, _P)),
    "CVodeRootInit": ("cvode", c.c_int, (_P, c.c_int, _ROOTS)),
    "CVodeSetNoInactiveRootWarn": ("cvode", c.c_int, (_P,)),
    "CVodeSetLinearSolver": ("cvode", c.c_int, (_P, _P, _P)),
    "CVodeSetStopTime": ("cvode", c.c_int, (_P, _D)),
    "CVode": ("cvode", c.c_int, (_P, _D, _P, c.POINTER(_D), c.c_int)),
    "CVodeGetDky": ("cvode", c.c_int, (_P, _D, c.c_int, _P)),
    "CVodeFree": ("cvode", None, (c.POINTER(_P),)),
}


class SolverError(Exception):
    """The solver cannot go on; the text says why."""


@cache
def available() -> bool:
    """Whether CVODE is there for this platform. FMPy has it for Linux and Windows on x86-64, and macOS on arm64."""
    try:
        _functions()
    except OSError:
        return False
    return True


@cache
def _functions() -> dict[str, Any]:
    from fmpy.sundials import libraries

    found: dict[str, Any] = {}
    for name, (library, result, arguments) in _PROTOTYPES.items():
        function = getattr(libraries, f"sundials_{library}")[name]
        function.restype, function.argtypes = result, arguments
        found[name] = function
    return found


class Cvode:
    """The solution of ``states' = rhs(t, states)`` from one starting point on, with the roots of ``indicators``.

    Args:
        time: where it starts, in s.
        states: shape (n,); may be empty.
        nominals: shape (n,), the states' orders of magnitude.
        rhs: writes the derivatives.
        indicators: writes the event indicators.
        count: number of event indicators.
        tolerance: relative tolerance.

    Raises:
        OSError: it is not there for this platform; see `available`.
    """

    def __init__(
        self,
        time: float,
        states: FloatArray,
        nominals: FloatArray,
        rhs: Evaluate,
        indicators: Evaluate,
        count: int,
        tolerance: float,
    ) -> None:
        f = self._f = _functions()
        self.time = time
        self._error: BaseException | None = None
        self._text = ""
        self._size = max(len(states), 1)  # CVODE wants a state: one that rests
        self._data: dict[int, int] = {}
        self._evaluate = (rhs if len(states) else _rest, indicators)
        # callbacks live as long as the solver
        self._callbacks = (_RHS(self._rhs), _ROOTS(self._roots), _ERRORS(self._keep_error))
        context = self._context = _P(None)
        self._vectors: list[int] = []
        self._matrix = self._solver = None
        self._memory = _P(None)
        self._check(f["SUNContext_Create"](0, c.byref(context)))
        f["SUNContext_ClearErrHandlers"](context)
        f["SUNContext_PushErrHandler"](context, self._callbacks[2], None)
        self._y, self._between, absolute = (self._vector() for _ in range(3))
        self.states = self._view(self._y)[: len(states)]
        self._view(self._y)[:] = 1.0
        self.states[:] = states
        self._view(absolute)[:] = 1.0
        self._view(absolute)[: len(states)] = ABSOLUTE * tolerance * np.where(nominals > 0.0, nominals, 1.0)
        self._memory = _P(f["CVodeCreate"](_BDF, context))
        self._check(f["CVodeInit"](self._memory, self._callbacks[0], time, self._y))
        self._check(f["CVodeSVtolerances"](self._memory, tolerance, absolute))
        if count:
            self._check(f["CVodeRootInit"](self._memory, count, self._callbacks[1]))
            self._check(f["CVodeSetNoInactiveRootWarn"](self._memory))
        self._matrix = f["SUNDenseMatrix"](self._size, self._size, context)
        self._solver = f["SUNLinSol_Dense"](self._y, self._matrix, context)
        self._check(f["CVodeSetLinearSolver"](self._memory, self._solver, self._matrix))

    def step(self, end: float) -> bool:
        """One step of its own choice, not beyond ``end``; sets ``time`` and ``states``.

        Returns:
            Whether it stopped at a root of an indicator.

        Raises:
            SolverError: it cannot go on.
            BaseException: whatever ``rhs`` or ``indicators`` raised.
        """
        f = self._f
        reached = _D(self.time)
        self._check(f["CVodeSetStopTime"](self._memory, end))
        flag = int(f["CVode"](self._memory, end, self._y, c.byref(reached), _ONE_STEP))
        self._check(min(flag, 0))
        self.time = reached.value
        return flag == _ROOT_RETURN

    def between(self, time: float) -> FloatArray:
        """The states at a time within the last step, interpolated."""
        self._check(self._f["CVodeGetDky"](self._memory, time, 0, self._between))
        return self._view(self._between)[: len(self.states)].copy()

    def free(self) -> None:
        """Free the solver's memory. May be called twice."""
        f = self._f
        if self._memory.value:
            f["CVodeFree"](c.byref(self._memory))
            self._memory = _P(None)
        if self._solver:
            f["SUNLinSolFree"](self._solver)
        if self._matrix:
            f["SUNMatDestroy"](self._matrix)
        self._solver = self._matrix = None
        self.states = self.states.copy()
        while self._vectors:
            f["N_VDestroy"](self._vectors.pop())
        if self._context.value:
            f["SUNContext_Free"](c.byref(self._context))
            self._context = _P(None)

    def _vector(self) -> int:
        made = int(self._f["N_VNew_Serial"](self._size, self._context))
        self._vectors.append(made)
        return made

    def _pointer(self, vector: int) -> int:
        """Where a vector has its values; CVODE uses the same vectors again and again."""
        found = self._data.get(vector)
        if found is None:
            found = self._data[vector] = int(self._f["N_VGetArrayPointer"](vector))
        return found

    def _view(self, vector: int) -> FloatArray:
        data = c.cast(self._pointer(vector), c.POINTER(c.c_double))
        return np.ctypeslib.as_array(data, (self._size,))

    def _rhs(self, time: float, states: int, out: int, _data: int) -> int:
        try:
            return self._evaluate[0](time, self._pointer(states), self._pointer(out))
        except BaseException as error:
            self._error = error
            return -1

    def _roots(self, time: float, states: int, out: int, _data: int) -> int:
        try:
            return self._evaluate[1](time, self._pointer(states), out)
        except BaseException as error:
            self._error = error
            return -1

    def _keep_error(
        self, _line: int, _function: bytes, _file: bytes, text: bytes, _code: int, _data: int, _context: int
    ) -> None:
        self._text = (text or b"").decode("utf-8", "replace")

    def _check(self, flag: int) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error
        if flag < 0:
            raise SolverError(f"CVODE stops at t = {self.time:.9g} s: {self._text or f'flag {flag}'}")


def _rest(_time: float, _states: int, out: int) -> int:
    c.c_double.from_address(out).value = 0.0
    return 0
