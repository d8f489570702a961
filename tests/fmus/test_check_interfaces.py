"""Model Exchange, and FMI 3.0: each check passes a sound FMU that owes nothing to our exporter, and fails its fault."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from odd_fmu import BINARY_3, DESCRIPTION_3, MODEL_EXCHANGE, write_odd_fmu
from test_check import not_ok, verdicts

from fmus.check import Outcome, Verdict, check_fmu
from fmus.check.catalogue import NAMES
from fmus.check.ode import ode_step

COSIMULATION, EXCHANGE = "Co-Simulation", "Model Exchange"
_START, _END = DESCRIPTION_3.index("  <ModelExchange"), DESCRIPTION_3.index("  <CoSimulation")
_EXCHANGE_3 = DESCRIPTION_3[_START:_END]
_COSIMULATION_3 = DESCRIPTION_3[_END : DESCRIPTION_3.index("  <UnitDefinitions")]
DESCRIPTIONS = {
    (2, EXCHANGE): (MODEL_EXCHANGE, ("", "")),
    (3, EXCHANGE): (DESCRIPTION_3, (_COSIMULATION_3, "")),
    (3, COSIMULATION): (DESCRIPTION_3, (_EXCHANGE_3, "")),
}


def verdict(file: Path, check: str, time_limit: float = 20.0) -> Verdict:
    """That of one check; the other dynamic ones are not made."""
    only = [check] if check in NAMES else ["instantiation"]
    return next(v for v in check_fmu(file, time_limit=time_limit, only=only) if v.check == check)


def odd(folder: Path, version: int, interface: str, fault: str = "") -> Path:
    description, replace = DESCRIPTIONS[version, interface]
    return write_odd_fmu(folder / "odd.fmu", fault, description=description, replace=replace)


def test_a_sound_model_exchange_fmu_passes_every_check(tmp_path: Path) -> None:
    found = verdicts(odd(tmp_path, 2, EXCHANGE))
    assert not_ok(found) == {}, found
    assert "10 steps of 0.1 s" in found["run"].found
    assert "1 events" in found["run"].found
    assert found["derivatives"].found == "6 derivatives by 2 inputs and states agree with finite differences"
    assert found["dependencies"].found.startswith("6 pairs")


def test_a_sound_fmi_3_fmu_passes_every_check_of_both_interfaces(tmp_path: Path) -> None:
    found = verdicts(write_odd_fmu(tmp_path / "odd.fmu", description=DESCRIPTION_3))
    assert not_ok(found) == {}, found
    assert found["XML schema"].found == "valid FMI 3.0"
    for interface in (COSIMULATION, EXCHANGE):
        assert "17 variables of 6 types" in found[f"{interface}: reading and setting"].found
        assert "2 of them arrays; 5 inputs" in found[f"{interface}: reading and setting"].found
    assert found[f"{COSIMULATION}: other interfaces"].found == "no instance for Scheduled Execution"
    assert "up to t = 1 s with 1 events and 1 early returns" in found[f"{COSIMULATION}: event mode"].found
    assert "1 variables read there, an early return at 0.01 s" in found[f"{COSIMULATION}: intermediate update"].found
    assert found[f"{EXCHANGE}: structural parameters"].found.endswith("; 2 arrays read with another size")
    assert found[f"{EXCHANGE}: adjoint derivatives"].found == "5 by 4 agree with the directional ones"


@pytest.mark.parametrize(
    ("version", "interface", "fault", "check", "says"),
    [
        (2, EXCHANGE, "CRASH", "run", "crashes in fmi2GetDerivatives at t = 0.2"),
        (2, EXCHANGE, "DIVERGE", "run", "cannot be integrated past t = 0.25 s: the derivative of 'x' is not finite"),
        (2, EXCHANGE, "RESTLESS", "run", "fmi2NewDiscreteStates asks for another update 100 times in a row"),
        (2, EXCHANGE, "OVERFLOW", "run", "fmi2GetDerivatives writes more than the 1 values"),
        (2, EXCHANGE, "UNFILLED", "run", "fmi2GetEventIndicators writes 0 of the 1 values"),
        (2, EXCHANGE, "DEAF", "reading and setting", "'u' is 1.0 after it was set to 1.05"),
        (2, EXCHANGE, "NO_RESET", "state machine", "after fmi2Reset from terminated the run differs"),
        (2, EXCHANGE, "LYING_STATE", "get and set state", "fmi2SetFMUstate does not restore the values: 'y'"),
        (2, EXCHANGE, "FORGETFUL_STATE", "serialised state", "in a new instance the run differs: 'y'"),
        (2, EXCHANGE, "OTHER_VARIABLE", "continuous states", "its variable 'der(x)' 1.7"),
        (2, EXCHANGE, "NO_CLOCK", "continuous states", "'time' is 0 at t = 0.3 s"),
        (2, EXCHANGE, "STUCK", "continuous states", "state 'x' is 0.21"),
        (2, EXCHANGE, "NO_NOMINAL", "continuous states", "the nominal value of 'x' is 0"),
        (2, EXCHANGE, "WRONG_DERIVATIVE", "derivatives", "d 'der(x)' / d 'x' is -1.1, finite differences give -1"),
        (3, EXCHANGE, "PAST_EVENT", "run", "the next event is said to be at -1 s"),
        (3, EXCHANGE, "EVENTS_UNKNOWN", "run", "fmi3EnterEventMode returns fmi3Error at t = 0.69"),
        (3, EXCHANGE, "SHIFTED", "reading and setting", "read alone 'v[2]' is 2.0 instead of 0.0"),
        (3, EXCHANGE, "FORGETFUL_STATE", "serialised state", "in a new instance the run differs"),
        (
            3,
            EXCHANGE,
            "MISCOUNTED",
            "continuous states",
            "fmi3GetNumberOfEventIndicators says 3, the model structure 1",
        ),
        (3, EXCHANGE, "WRONG_DERIVATIVE", "derivatives", "d 'der(x)' / d 'x' is -1.1, finite differences give -1"),
        (3, EXCHANGE, "WRONG_ADJOINT", "adjoint derivatives", "of 'v[1]' by 'w[1]' is 2.002, directional 2"),
        (3, COSIMULATION, "OTHER_VERSION", "instantiation", "fmi3GetVersion says '2.0', not 3.0"),
        (3, COSIMULATION, "HASTY", "run", "fmi3DoStep returns early at t = 0.35 s, which is not allowed"),
        (3, COSIMULATION, "HALF_SET", "reading and setting", "'w' is [0.0005, 1.0] after it was set to [0.0005, 1.05]"),
        (3, COSIMULATION, "NULL_STRING", "reading and setting", "String 'text_out' is NULL"),
        (3, COSIMULATION, "TEXT_ONLY", "reading and setting", r"b'\x01' after it was set to b'\x01\x00\x02'"),
        (3, COSIMULATION, "RIGID", "structural parameters", "'w' cannot be read as 3 after 'size' was set to 3"),
        (3, EXCHANGE, "NO_CONFIGURATION", "structural parameters", "fmi3EnterConfigurationMode returns fmi3Error"),
        (3, COSIMULATION, "NULL_CATEGORY", "wrong calls", "it logs with category NULL"),
        (3, COSIMULATION, "FORGETFUL_STATE", "get and set state", "fmi3SetFMUState does not restore the values"),
        (3, COSIMULATION, "EVENTS_UNKNOWN", "event mode", "fmi3EnterEventMode returns fmi3Error"),
        (3, COSIMULATION, "BACKWARDS", "intermediate update", "the callback goes back from 0.04"),
        (3, COSIMULATION, "STUBBORN", "intermediate update", "an early return was offered and asked for at 0.01 s"),
        (3, COSIMULATION, "WRONG_ADJOINT", "adjoint derivatives", "of 'v[1]' by 'w[1]' is 2.002, directional 2"),
    ],
)
def test_a_fault_is_found_and_named(
    tmp_path: Path, version: int, interface: str, fault: str, check: str, says: str
) -> None:
    found = verdict(odd(tmp_path, version, interface, fault), check)
    assert (found.outcome, found.interface) == (Outcome.FAILED, interface)
    assert says in found.found


@pytest.mark.parametrize(
    ("version", "interface", "fault", "check", "says"),
    [
        (2, EXCHANGE, "LENIENT", "wrong calls", "accepts continuous-time mode before initialisation"),
        (2, EXCHANGE, "TAKES_NAN", "NaN input", "NaN at 'u' goes on to the outputs without an error"),
        (
            3,
            COSIMULATION,
            "GENEROUS",
            "other interfaces",
            "and Scheduled Execution, which the description does not offer",
        ),
        (3, COSIMULATION, "LENIENT", "reading and setting", "fmi3GetFloat64 takes a wrong number of values"),
        (3, COSIMULATION, "MUTE", "logging", "(setting an unknown value reference) comes without a message"),
        (3, COSIMULATION, "SILENT", "intermediate update", "the callback never came up to t = 1 s"),
    ],
)
def test_what_the_standard_lets_pass_is_a_warning(
    tmp_path: Path, version: int, interface: str, fault: str, check: str, says: str
) -> None:
    found = verdict(odd(tmp_path, version, interface, fault), check)
    assert found.outcome == Outcome.WARNING
    assert says in found.found


def test_a_missing_function_of_fmi_3_is_named(tmp_path: Path) -> None:
    file = write_odd_fmu(tmp_path / "odd.fmu", "INCOMPLETE", description=DESCRIPTION_3)
    found = verdict(file, f"binary {BINARY_3.split('/')[1]}")
    assert found.outcome == Outcome.FAILED
    assert found.found == "it lacks 1 of 75 functions: fmi3ActivateModelPartition"


def test_solver_that_hangs_is_stopped(tmp_path: Path) -> None:
    found = verdict(odd(tmp_path, 2, EXCHANGE, "HANG"), "run", time_limit=2.0)
    assert found.found.startswith("hangs in fmi2GetDerivatives at t = 0.2")


def test_equations_that_are_slow_to_integrate_are_no_fault(tmp_path: Path) -> None:
    found = verdict(odd(tmp_path, 2, EXCHANGE, "SLOW"), "run", time_limit=6.0)
    assert found.outcome == Outcome.SKIPPED
    assert found.found.startswith("not checked: the check's own solver is at t = ")


def test_a_dependency_that_the_model_structure_lacks_is_found(tmp_path: Path) -> None:
    replace = ('<Unknown index="6" dependencies="1 5"/>', '<Unknown index="6" dependencies="5"/>')
    file = write_odd_fmu(tmp_path / "odd.fmu", description=MODEL_EXCHANGE, replace=replace)
    found = verdict(file, "dependencies")
    assert found.outcome == Outcome.FAILED
    assert found.found == "'der(x)' moves with 'u' (slope 1), which its dependencies lack"


def test_start_values_of_states_arrays_and_texts_are_compared(tmp_path: Path) -> None:
    for old, new, says in (
        ('unit="1" start="0"/>', 'unit="1" start="3"/>', "'x' is 0, not 3"),
        ('start="0 1"', 'start="0 4"', "'w[2]' is 1, not 4"),
        ('<Start value="start"/>', '<Start value="other"/>', "'text_in' is 'start', not 'other'"),
        ('<Start value="0102"/>', '<Start value="ff"/>', r"'bytes_in' is b'\x01\x02', not b'\xff'"),
    ):
        file = write_odd_fmu(tmp_path / "odd.fmu", description=DESCRIPTION_3, replace=(old, new))
        found = verdict(file, "instantiation")
        assert found.outcome == Outcome.WARNING
        assert says in found.found


def test_categories_of_the_log_are_asked_for_and_compared(tmp_path: Path) -> None:
    replace = ('<Category name="error"/>', '<Category name="trouble"/>')
    found = verdict(write_odd_fmu(tmp_path / "odd.fmu", description=DESCRIPTION_3, replace=replace), "logging")
    assert found.outcome == Outcome.FAILED
    assert "fmi3SetDebugLogging refuses the category 'trouble'" in found.found
    assert "it logs under 'error', not among the categories of the description" in found.found


def test_scheduled_execution_is_said_not_to_be_run(tmp_path: Path) -> None:
    replace = (_EXCHANGE_3 + _COSIMULATION_3, '<ScheduledExecution modelIdentifier="odd"/>')
    found = verdicts(write_odd_fmu(tmp_path / "odd.fmu", description=DESCRIPTION_3, replace=replace))
    assert found["run"].interface == "Scheduled Execution"
    assert found["run"].found == "not checked: Scheduled Execution is not run, only described"
    assert not_ok(found) == {"run": "skipped"}


@pytest.mark.parametrize("stiffness", [1.0, 1e4])
def test_the_solver_is_of_second_order_and_stable(stiffness: float) -> None:
    """x' = -k (x - cos t) - sin t, whose solution is cos t."""
    errors = []
    for steps in (20, 40):
        states, size = np.array([1.0]), 1.0 / steps
        for k in range(steps):
            step = ode_step(
                lambda t, x: -stiffness * (x - math.cos(t)) - math.sin(t), k * size, states, size, np.array([1e-6])
            )
            states = step.after
        errors.append(abs(states[0] - math.cos(1.0)))
    assert errors[0] < 2e-3
    assert errors[1] < 0.35 * errors[0]


def test_the_solver_s_interpolant_meets_its_ends_and_the_solution_between() -> None:
    step = ode_step(lambda _, x: -x, 0.0, np.array([1.0]), 0.1, np.array([1e-6]))
    assert step.at(0.0)[0] == pytest.approx(1.0)
    assert step.at(1.0)[0] == pytest.approx(math.exp(-0.1), rel=1e-4)
    assert step.at(0.5)[0] == pytest.approx(math.exp(-0.05), rel=1e-4)
