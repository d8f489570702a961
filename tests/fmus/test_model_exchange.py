"""Model Exchange under an importer's solver (FMPy's CVODE) beside Co-Simulation with the integrator inside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fmpy import simulate_fmu
from in_process import Equations, movable

import fmus

END, JUMP = 900.0, 100.0
# CVODE controls the error of one step; what it adds up to over a run stays below this multiple of the tolerance
STEPS_ADD_UP_TO = 200.0


def jumping_inputs(model: fmus.UnitModel) -> np.ndarray:
    """Inputs 5 % up at `JUMP`: an event of the importer's, in the middle of both kinds of run."""
    moving = [v for v, _ in model.inputs if movable(v) and not v.array]
    starts = np.array([v.start for v in moving])
    rows = [(0.0, *starts), (JUMP, *starts), (JUMP, *starts * 1.05), (END, *starts * 1.05)]
    return np.array(rows, dtype=[("time", float), *((v.name, float) for v in moving)])


def elementwise(result: np.ndarray) -> dict[str, np.ndarray]:
    """Column by column; an array of FMI 3.0 is split into its elements."""
    columns: dict[str, np.ndarray] = {}
    for name in result.dtype.names:
        column = np.asarray(result[name], dtype=float)
        if column.ndim == 1:
            columns[name] = column
        else:
            flat = column.reshape(len(column), -1).T
            columns |= {f"{name}[{i + 1}]": element for i, element in enumerate(flat)}
    return columns


def run(model: fmus.UnitModel, path: Path, kind: str, fmi: int, **solver: Any) -> dict[str, np.ndarray]:
    names = [s.variable.name for s in model.states] + [v.name for v, _ in model.outputs]
    if fmi == 3:
        names = list(dict.fromkeys(model.variable(n).array or n for n in names))
    result = simulate_fmu(
        str(path),
        fmi_type=kind,
        stop_time=END,
        output_interval=1.0,
        input=jumping_inputs(model),
        output=names,
        record_events=False,
        **solver,
    )
    return elementwise(result)


@pytest.mark.parametrize(("fmi", "tolerance"), [(2, 1e-6), (2, 1e-8), (3, 1e-8)])
@pytest.mark.parametrize("unit", fmus.unit_names())
def test_model_exchange_agrees_with_co_simulation_within_the_tolerance(unit: str, fmi: int, tolerance: float) -> None:
    model = fmus.unit_model(unit)
    path = fmus.build_fmu(model, fmi=fmi)
    inside = run(model, path, "CoSimulation", fmi)
    outside = run(model, path, "ModelExchange", fmi, solver="CVode", relative_tolerance=tolerance)
    np.testing.assert_allclose(outside["time"], inside["time"], rtol=1e-12)
    for state in model.states:
        name = state.variable.name
        scale = np.abs(inside[name]) + state.variable.nominal
        worst = float(np.max(np.abs(outside[name] - inside[name]) / scale))
        assert worst < STEPS_ADD_UP_TO * tolerance, name


@pytest.mark.parametrize("fmi", [2, 3])
@pytest.mark.parametrize("unit", fmus.unit_names())
def test_outputs_in_model_exchange_are_those_of_the_states(unit: str, fmi: int) -> None:
    model = fmus.unit_model(unit)
    found = run(model, fmus.build_fmu(model, fmi=fmi), "ModelExchange", fmi, solver="CVode", relative_tolerance=1e-6)
    table, equations = jumping_inputs(model), Equations(model)
    assert len(found["time"]) == END + 1
    for row in range(0, int(END), 10):
        if found["time"][row] == JUMP:
            continue  # the importer may show it before or after
        held = table[-1 if found["time"][row] > JUMP else 0]
        states = [found[s.variable.name][row] for s in model.states]
        expected = equations.instant(found["time"][row], states, {n: held[n] for n in held.dtype.names[1:]})
        for variable, _ in model.outputs:
            value, nothing = found[variable.name][row], 1e-9 * variable.nominal
            assert value == pytest.approx(expected[variable.name], rel=1e-9, abs=nothing), variable.name


@pytest.mark.parametrize("fmi", [2, 3])
def test_both_kinds_refill_as_often_and_at_the_same_times(fmi: int) -> None:
    model = fmus.unit_model("loss_in_weight_feeder").with_starts({"refill_start_mass": 6.0, "refill_stop_mass": 7.5})
    path = fmus.build_fmu(model, fmi=fmi)
    inside = run(model, path, "CoSimulation", fmi)
    outside = run(model, path, "ModelExchange", fmi, solver="CVode", relative_tolerance=1e-8)
    assert inside["refill_count"][-1] >= 3
    np.testing.assert_array_equal(outside["refill_count"], inside["refill_count"])
    np.testing.assert_array_equal(outside["mode"], inside["mode"])
    np.testing.assert_allclose(outside["last_refill_time"], inside["last_refill_time"], rtol=0, atol=1e-4)
