"""Error-controlled: Gauss-Seidel in steps as small as the error of the coupling asks for.

Each step is done twice from the same state, once whole and once in two halves, which are kept. With p the order of the
coupling, 1 or with ``extrapolation: 1`` 2, their difference over 2^p - 1 estimates the error of the halves. A step with
too large an error is taken back and repeated with a smaller size; after a good one the next may grow. The tolerance is
that of a step, relative to the largest value of the signal so far; over a run errors add up, so that the error of the
whole goes with the tolerance to the power p/(p + 1). Results are recorded at the communication points, which the steps
always hit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cosim.algorithms import need_rollback
from cosim.algorithms.gauss_seidel import comes_first, target_time
from cosim.algorithms.growth import Point, growth, point_at
from cosim.component import FloatArray
from cosim.kernel.program import Call, Program

if TYPE_CHECKING:
    from cosim.system import System

_SAFETY = 0.9
_GROWTH = 4.0
_SHRINK = 0.2
_FLOOR = 1e-6  # of the communication step: the smallest step where the scenario names none


def program(system: System) -> Program:
    """The whole system as one call."""
    need_rollback(system, list(range(len(system.components))), "the error-controlled algorithm")
    for number, component in enumerate(system.components):
        if not component.can_variable_step:
            raise system.scenario.error(
                ("components", component.name),
                f"'{component.name}' takes steps of one size only (canHandleVariableCommunicationStepSize is not set)",
                "choose 'master: {algorithm: jacobi}'",
            )
        if system.every[number] != 1:
            raise system.scenario.error(
                ("components", component.name, "period"),
                "a component with a period of its own cannot be stepped under error control",
                "leave out the period: the steps are as long as the error allows",
            )
    stepper = ErrorControl(system)
    return Program([Call(stepper.step)], np.zeros(len(system.gather.source)), [stepper])


class ErrorControl:
    """Steps a system with steps of its own.

    Args:
        system: the system.

    Attributes:
        accepted: steps that were kept so far.
        rejected: steps that were taken back.
    """

    def __init__(self, system: System) -> None:
        self._system = system
        settings = system.scenario.master
        self._tolerance = settings.tolerance
        self._smallest = settings.smallest_step or _FLOOR * system.step_size
        self.size = system.step_size
        self.accepted = 0
        self.rejected = 0
        self._largest = np.zeros(system.physical)
        # whole numbers and truth values jump whatever the step; what follows from them is seen in the others
        outputs = [o for _begin, middle, end in system.spans for o in range(middle, end)]
        kept = [o for o in outputs if system.ports[system.names[o]].kind == "real"]
        self._outputs = np.array(kept, dtype=np.intp)
        self._order = 1 + settings.extrapolation
        self._earlier: Point | None = None
        self._wanted, self._first = target_time(system), comes_first(system)

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        counts = {"size": self.size, "accepted": self.accepted, "rejected": self.rejected}
        return {**counts, "largest": self._largest.copy(), "earlier": self._earlier}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self.size, self.accepted, self.rejected = state["size"], state["accepted"], state["rejected"]
        self._largest[:] = state["largest"]
        self._earlier = None if state["earlier"] is None else tuple(state["earlier"])

    def step(self, k: int) -> None:
        """Advance over communication step number ``k``.

        Raises:
            GalenicError: the error stays too large however small the step.
        """
        t, end = k * self._system.step_size, (k + 1) * self._system.step_size
        while t < end:
            remaining = end - t
            pieces = max(1, int(np.ceil(remaining / self.size - 1e-9)))
            size = remaining / pieces
            taken = self._try(t, size)
            t = t + taken if pieces > 1 or taken < size else end

    def _try(self, t: float, size: float) -> float:
        """One step of at most ``size`` from ``t``; returns how far it went."""
        system = self._system
        before = system.signals.copy()
        saved = [component.save_state() for component in system.components]
        try:
            while True:
                self._pass(t, size, self._earlier)
                whole = system.signals[self._outputs].copy()
                self._back(before, saved)
                begin = self._pass(t, 0.5 * size, self._earlier)
                middle = self._pass(t + 0.5 * size, 0.5 * size, begin)
                error, worst = self._error(whole)
                grown = _SAFETY * max(error, 1e-12) ** (-1.0 / (self._order + 1))
                if error <= 1.0:
                    self.accepted += 1
                    self._earlier = middle
                    self.size = max(size * min(grown, _GROWTH), self._smallest)
                    return size
                self.rejected += 1
                smaller = size * max(min(grown, _SAFETY), _SHRINK)
                if smaller < self._smallest:
                    raise system.scenario.error(
                        ("master",),
                        f"the coupling's error stays above the tolerance at t = {t:.6g} s with steps of {size:.3g} s; "
                        f"worst is '{worst}'",
                        "choose a larger tolerance, a smaller smallest_step, or algorithm: iterative for a stiff loop",
                    )
                self._back(before, saved)
                size = smaller
        finally:
            for component, state in zip(system.components, saved, strict=True):
                component.free_state(state)

    def _pass(self, t: float, size: float, earlier: Point | None) -> Point:
        """Step all components, sources first; returns the sources' values at ``t``."""
        system, gather = self._system, self._system.gather
        point = point_at(system, t)
        begin = point[1]
        if self._order == 2:
            carried = begin + self._wanted * growth(system, point, earlier, size)
        for number in system.order:
            rows = slice(*system.row_spans[number])
            now = system.signals[gather.source[rows]]
            if self._order == 2:
                between = begin[rows] + self._wanted[rows] * (now - begin[rows])
                now = np.where(self._first[rows] == 1.0, between, carried[rows])
            system.signals[gather.target[rows]] = gather.convert(now, rows)
            system.components[number].do_step(t, size)
            system.check_finite(number, t + size)
        return point

    def _back(self, before: FloatArray, saved: list[Any]) -> None:
        self._system.signals[:] = before
        for component, state in zip(self._system.components, saved, strict=True):
            component.restore_state(state)

    def _error(self, whole: FloatArray) -> tuple[float, str]:
        """The estimate relative to the tolerance, and the signal where it is largest."""
        halves = self._system.signals[self._outputs]
        self._largest[self._outputs] = np.maximum(self._largest[self._outputs], np.abs(halves))
        scale = self._tolerance * np.maximum(self._largest[self._outputs], 1e-300)
        relative = np.abs(halves - whole) / (2**self._order - 1) / scale
        if not len(relative):
            return 0.0, ""
        worst = int(np.argmax(relative))
        return float(relative[worst]), self._system.names[int(self._outputs[worst])]
