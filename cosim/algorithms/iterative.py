"""Iterative: what forms a cycle is stepped again, from the same state, until its inputs and outputs agree.

For the components of one cycle let u be the inputs that they drive among themselves and G(u) what their outputs make of
these inputs over the step. The step is right when u = G(u); what is lagged on purpose stays as it was at the step's
begin. Two ways to find u (``method``):

- ``newton``: u <- u - J^-1 (u - G(u)), J = I - dG/du. The derivatives are the FMUs' own where they offer them, finite
  differences by stepping again where not. J is kept from step to step, corrected by Broyden's update, and computed
  again where convergence is slow. It converges whatever the gain of the loop, as long as I - dG/du is regular.
- ``fixed_point``: u <- u + w (G(u) - u) with ``relaxation`` w. It converges where the loop's gain allows it.

Inputs hold the value that they have at the step's end: the coupling is implicit and of first order, without delay.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cosim.algorithms import need_rollback
from cosim.algorithms.gauss_seidel import halfway
from cosim.component import FloatArray
from cosim.fixed_point import FixedPoint
from cosim.kernel.program import Call, Gather, Program, Stage, Step
from fmus.errors import GalenicError

if TYPE_CHECKING:
    from cosim.system import System


def program(system: System) -> Program:
    """Gather and step, component by component; a cycle as one call."""
    stages: list[Stage] = []
    cycles: list[Cycle] = []
    on_loops = {
        n for n, c in enumerate(system.components) if any(c.name in loop.components for loop in system.graph.loops)
    }
    for group in system.groups:
        able = all(system.components[number].can_save_state for number in group)
        if _feeds_itself(system, group) and (able or on_loops & set(group)):
            need_rollback(system, list(group), "the iterative algorithm")
            cycles.append(Cycle(system, group))
            stages.append(Call(cycles[-1].step))
        else:  # without a cycle; or with one in which nothing depends on itself at once, and that cannot go back
            stages += [stage for number in group for stage in (Gather(number), Step(number))]
    return Program(stages, halfway(system), cycles)


def _feeds_itself(system: System, group: tuple[int, ...]) -> bool:
    return len(group) > 1 or any(_within(system, row, group) for row in range(*system.row_spans[group[0]]))


def _within(system: System, row: int, group: tuple[int, ...]) -> bool:
    """Whether a connection is one of those that have to agree: inside the group, and not lagged on purpose."""
    source, target = int(system.gather.source[row]), int(system.gather.target[row])
    return system.owner_of(source) in group and system.names[target] not in system.graph.lagged


class Cycle:
    """Components that feed one another, stepped until they agree.

    Args:
        system: the system.
        numbers: the components, in the order in which they step.
    """

    def __init__(self, system: System, numbers: tuple[int, ...]) -> None:
        self._system = system
        self._components = [system.components[number] for number in numbers]
        self._numbers = numbers
        if len({system.every[number] for number in numbers}) > 1:
            names = ", ".join(c.name for c in self._components)
            raise system.scenario.error(
                ("components",), f"{names} form a cycle but step at different periods", "give them one period"
            )
        self._every = system.every[numbers[0]]
        inside: list[int] = []
        outside: list[int] = []
        for number in numbers:
            for row in range(*system.row_spans[number]):
                (inside if _within(system, row, numbers) else outside).append(row)
        self._inside: npt.NDArray[np.intp] = np.array(inside, dtype=np.intp)
        self._outside: npt.NDArray[np.intp] = np.array(outside, dtype=np.intp)
        settings = system.scenario.master
        self._most = settings.max_iterations
        self._fixed_point = FixedPoint(
            settings.tolerance, self._most, settings.relaxation, newton=settings.method == "newton"
        )

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"jacobian": self._fixed_point.jacobian, "largest": self._fixed_point.largest}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self._fixed_point.jacobian, self._fixed_point.largest = state["jacobian"], state["largest"]

    def step(self, k: int) -> None:
        """Advance all components over communication step number ``k``, when they are due.

        Raises:
            GalenicError: no agreement; it names the components.
        """
        system, every = self._system, self._every
        if k % every == 0:
            system.gather.apply(system.signals, self._outside)
            system.gather.apply(system.signals, self._inside)
        if (k + 1) % every:
            return
        t, h = (k + 1 - every) * system.step_size, every * system.step_size
        saved = [component.save_state() for component in self._components]
        try:
            self._solve(t, h, saved)
        finally:
            for component, state in zip(self._components, saved, strict=True):
                component.free_state(state)
        for number in self._numbers:
            system.check_finite(number, t + h)

    # ---- the fixed point ---------------------------------------------------------------------------------------

    def _solve(self, t: float, h: float, saved: list[Any]) -> None:
        begun = False
        last = self._values_set()

        def residual(u: FloatArray) -> FloatArray:
            """U - G(u), from the saved states."""
            nonlocal begun, last
            if begun:
                for component, state in zip(self._components, saved, strict=True):
                    component.restore_state(state)
            begun = True
            last = u
            self._system.signals[self._system.gather.target[self._inside]] = u
            for component in self._components:
                component.do_step(t, h)
            return u - self._system.gather.values(self._system.signals, self._inside)

        r = self._fixed_point.solve(residual, last, self._own_derivatives)
        if not self._fixed_point.agrees(last, r):
            raise self._no_agreement(t, r)

    def _own_derivatives(self) -> FloatArray | None:
        """DG/du with inputs and outputs in the order of the connections inside the cycle, if all FMUs offer it."""
        if not all(component.provides_directional_derivative for component in self._components):
            return None
        system, gather = self._system, self._system.gather
        derivatives = np.zeros((len(self._inside), len(self._inside)))
        for number, component in zip(self._numbers, self._components, strict=True):
            begin, middle, _end = system.spans[number]
            columns = [i for i, row in enumerate(self._inside) if begin <= gather.target[row] < middle]
            rows = [i for i, row in enumerate(self._inside) if system.owner_of(int(gather.source[row])) == number]
            outputs = [int(gather.source[self._inside[i]]) - middle for i in rows]
            inputs = [int(gather.target[self._inside[i]]) - begin for i in columns]
            for column, entry in zip(columns, inputs, strict=True):
                found = component.derivative(outputs, [entry], np.ones(1))
                derivatives[rows, column] = np.asarray(found) * gather.factor[self._inside[rows]]
        return derivatives

    # ---- values ------------------------------------------------------------------------------------------------

    def _values_set(self) -> FloatArray:
        """The inputs inside the cycle as they are."""
        values: FloatArray = self._system.signals[self._system.gather.target[self._inside]]
        return values

    def _no_agreement(self, t: float, r: FloatArray) -> GalenicError:
        largest = np.maximum(self._fixed_point.largest, 1e-300)
        worst = int(np.argmax(np.where(np.isfinite(r), np.abs(r) / largest, np.inf)))
        row = self._inside[worst]
        system = self._system
        source, target = (system.names[int(a[row])] for a in (system.gather.source, system.gather.target))
        names = ", ".join(component.name for component in self._components)
        return system.scenario.error(
            ("master",),
            f"the loop of {names} found no agreement in the step from t = {t:.6g} s within {self._most} iterations; "
            f"worst is '{source}' -> '{target}', which differs by {abs(r[worst]):.3g}",
            "take a smaller communication_step, a larger tolerance or max_iterations, or method: newton",
        )
