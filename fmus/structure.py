"""ModelStructure: which value depends on which, from the sparsity of the equations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import casadi as ca

from fmus.equations import UnitFunctions
from fmus.model import UnitModel
from fmus.slots import Slot

Dependencies = dict[int, list[int]]


@dataclass(frozen=True)
class Structure:
    """Value reference of an unknown -> those of the knowns on which it depends, ascending.

    Outputs that are means over the last communication step are counted with what they are in Model Exchange, their
    present value: there is one structure for both interfaces.

    Attributes:
        outputs: by inputs, continuous states, time.
        derivatives: likewise.
        indicators: likewise.
        initial: calculated outputs, states and derivatives at the start, by inputs, parameters, start values, time.
    """

    outputs: Dependencies
    derivatives: Dependencies
    indicators: Dependencies
    initial: Dependencies


def structure(model: UnitModel, functions: UnitFunctions, slots: list[Slot]) -> Structure:
    """The structure of ``model``, whose slots are ``slots``."""
    n_u, n_p, n_x, n_z, n_y = (
        len(part) for part in (model.inputs, model.parameters, model.states, model.algebraics, model.outputs)
    )
    derived = [i for i, s in enumerate(model.states) if s.derivative is not None]
    first_p, first_x = n_u, n_u + n_p
    first_y = first_x + n_x + n_z
    first_d = first_y + n_y
    first_e = first_d + len(derived)
    time = first_e + len(model.events)

    t, x, u, p, xs = (
        ca.MX.sym(n, size) for n, size in zip(("t", "x", "u", "p", "xs"), (1, n_x, n_u, n_p, n_x), strict=True)
    )
    here = [t, x, u, p]
    instant = ca.Function("instant", here, list(_instant(functions, *here)))
    x_0 = functions.initial(u, p, xs)
    ode_0, y_0, _ = _instant(functions, t, x_0, u, p)
    initial = ca.Function("initially", [t, xs, u, p], [x_0, ode_0, y_0])

    def rows(function: Any, output: int, knowns: dict[int, dict[int, int]]) -> list[list[int]]:
        """For each element of an output, the references of what it depends on; ``knowns``: input -> column -> ref."""
        found: list[set[int]] = [set() for _ in range(function.size1_out(output))]
        for number, references in knowns.items():
            pattern = function.jac_sparsity(output, number)
            for row, column in zip(pattern.row(), pattern.get_col(), strict=True):
                if column in references:
                    found[row].add(references[column])
        return [sorted(f) for f in found]

    present = {0: {0: time}, 1: {i: first_x + i for i in derived}, 2: {i: i for i in range(n_u)}}
    exact = {i: first_x + i for i in range(n_x) if slots[first_x + i].initial == "exact"}
    at_start = {0: {0: time}, 1: exact, 2: present[2], 3: {i: first_p + i for i in range(n_p)}}
    rates, outputs, indicators = (rows(instant, i, present) for i in range(3))
    states_0, rates_0, outputs_0 = (rows(initial, i, at_start) for i in range(3))

    started = {first_x + i: states_0[i] for i in derived if i not in exact}
    started |= {first_y + i: outputs_0[i] for i in range(n_y)}
    started |= {first_d + k: rates_0[i] for k, i in enumerate(derived)}
    return Structure(
        outputs={first_y + i: outputs[i] for i in range(n_y)},
        derivatives={first_d + k: rates[i] for k, i in enumerate(derived)},
        indicators={first_e + i: indicators[i] for i in range(len(model.events))},
        initial=started,
    )


def _instant(functions: UnitFunctions, t: Any, x: Any, u: Any, p: Any) -> tuple[Any, Any, Any]:
    """dx/dt, outputs and event indicators at one instant."""
    z = functions.algebraic(t, x, u, p)
    means = functions.integrand(t, x, z, u, p)
    return (
        functions.derivative(t, x, z, u, p),
        functions.outputs(t, x, z, u, p, means),
        functions.indicators(t, x, z, u, p),
    )
