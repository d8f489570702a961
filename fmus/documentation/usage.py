"""How an FMU of a unit model is used: its interfaces, its solver, what a mean is, arrays."""

from __future__ import annotations

from fmus.model import UnitModel

_METHODS = {
    "rosenbrock": "Rosenbrock, stiff, L-stable, of order 5",
    "erk": "explicit Runge-Kutta, of order 5",
}


def usage(model: UnitModel, fmi: int) -> str:
    """The section as HTML."""
    return "\n".join(f"<p>{text}</p>" for text in _paragraphs(model, fmi))


def _paragraphs(model: UnitModel, fmi: int) -> list[str]:
    method = _METHODS.get(model.integrator, model.integrator)
    found = [
        f"This FMU has both interfaces of FMI {fmi}.0; the model identifier of each is <code>{model.name}</code>. "
        "It holds compiled code for the platforms in <code>binaries/</code>, and the same code in "
        "<code>sources/</code>.",
        f"<b>Co-Simulation</b> brings its own solver: {method}, with a step size of its own, relative "
        f"tolerance {model.relative_tolerance:g}, absolute tolerance {model.absolute_tolerance:g} times the nominal "
        "value of each state. The communication step may be of any length and may change from step to step; inputs "
        "are held during a step.",
        f"<b>Model Exchange</b> leaves the integration of {_counted(len(model.continuous_states), 'continuous state')} "
        f"to the importer's solver and its tolerances"
        + (f", with {_counted(len(model.events), 'event indicator')}." if model.events else "."),
    ]
    if model.means:
        found.append(
            "<b>Means.</b> Some outputs are means over the last communication step, integrated together with the "
            "states: in Co-Simulation what flows out in a step is exactly what left, so that coupled units conserve "
            "mass whatever the step. Model Exchange has no communication steps; there they are the present values."
        )
    if model.events:
        found.append(
            "<b>Events.</b> In Co-Simulation events are located in time within a step, whatever its length"
            + ("; where the importer uses event mode and allows early return, a step ends at an event" * (fmi == 3))
            + ". In Model Exchange each has an event indicator, which falls below zero when it happens."
        )
    if any(v.array for v in model.variables):
        found.append(
            "<b>Arrays</b> are array variables; the value reference is that of the whole array."
            if fmi == 3
            else "<b>Arrays</b> are scalars with an index, <code>name[1]</code> and so on, with references in a row."
        )
    if any(v.tunable for v in model.variables):
        found.append(
            "<b>Parameters</b> are set before a run; those marked as tunable may be changed between two steps too."
        )
    return found


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
