"""The nonlinear law as generated functions and tables for nonlinear_law.c."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import casadi
import numpy as np

from controllers.estimation.model import FAR
from controllers.export.c_tables import CTables
from controllers.nonlinear.law import NonlinearLaw
from controllers.optimal_control.terms import terms_of
from controllers.optimal_control.transcription import Transcription
from fmus.errors import GalenicError

#: Periods over which a model without a start is run to rest, as in `controllers.nonlinear.law`.
_LONGEST = 3000
_PYTHON = "export it with --python"


def refuse_what_is_not_exported(law: NonlinearLaw) -> None:
    """Raises GalenicError naming what of the law has no C yet."""
    s, o = law.specification, law.options
    lacking = {
        "a batch with an end (batch:)": s.batch is not None,
        "economic terms (economic:)": bool(s.economic),
        "a region of setpoints (a design space that is more than ranges)": s.region is not None,
        "a moving horizon estimator (estimator: mhe)": o.estimator == "mhe",
        "setpoints at their own rate (every:)": any(u.period is not None for u in s.manipulated),
        "known inputs that change (known:)": any(k.measured or len(k.values) > 1 for k in s.known),
        "a state 'time'": any(x.name == "time" for x in law.model.states),
        "scenarios": law._planner.engine.problem.scenarios is not None,
    }
    for what, there in lacking.items():
        if there:
            raise GalenicError(f"{what} cannot be exported as C", cure=_PYTHON)
    if law._target is not None:
        raise GalenicError(
            "a nonlinear law with a steady target cannot be exported as C",
            cure=f"write 'target: false' where the plant has no rest, or {_PYTHON}",
        )


def nonlinear_tables(law: NonlinearLaw, tables: CTables) -> tuple[str, int]:
    """Add the law's tables; returns functions.c and how many numbers the law remembers."""
    model, process, f, s = law.model, law.model.process, law._f, law.specification
    problem = f.problem
    transcription = Transcription(problem, gauss_newton=True)
    n, nd, m, slots = model.size, len(model.disturbances), len(law.inputs), law.estimator.memory + 1
    functions = _functions(law, transcription)
    channels = law.estimator.channels
    tables.size(
        NONLINEAR=1,
        N_S=n,
        N_IN=m,
        N_OUT=len(law.outputs),
        N_MEASURED=len(channels),
        N_DISTURBANCES=nd,
        N_TRACKED=len(s.tracked),
        N_CONTROLLED="(sizeof CONTROLLED_OUTPUT / sizeof *CONTROLLED_OUTPUT)",
        N_LIMITED=0,
        N_LIMITED_OR_1=1,
        N_MODEL_INPUTS=len(model.inputs),
        N_STATES_PLANNED=problem.nx,
        N_FIRST=problem.nx + problem.nu,
        FIRST_INPUT=transcription._u_at[0],
        SLOTS=slots,
        SETTLING=_LONGEST if law.options.start is None else -1 if law.options.from_zero else 0,
        FAR=FAR,
        N_W=len(transcription.lower),
        N_G=len(transcription.g_lower),
        FUNCTION_WORK=max(g.sz_w() for g in functions),
        FUNCTION_ARGUMENTS=max(g.sz_arg() for g in functions),
        FUNCTION_RESULTS=max(g.sz_res() for g in functions),
    )
    _estimator(law, tables)
    tables.integers(
        TRACKED_OUTPUT=[model.output_index(c.output) for c in s.tracked],
        MANIPULATED_INDEX=f.manipulated,
        MEASURED_OUTPUT=[model.output_index(c.output) for c in channels],
    )
    tables.reals(
        STATE_SCALE=problem.state_scale,
        INPUT_SCALE=problem.input_scale,
        OTHER_INPUTS=f.full_inputs(np.zeros(m), law._others(0.0, 0.0)),
    )
    _program(law, transcription, tables)
    assert len(process.states) == problem.nx
    remembered = n + n * n + 2 + len(transcription.lower)
    slot = n + n * n + len(model.inputs) + 4 * len(channels)
    return _source(functions), remembered + slots * slot


def _estimator(law: NonlinearLaw, tables: CTables) -> None:
    model, o, channels = law.model, law.options, law.estimator.channels
    n = len(model.process.states)
    std = 0.1 * model.nominal[:n] if o.start_std is None else np.asarray(o.start_std, dtype=np.float64)
    start = model.nominal[:n] if o.start is None else np.asarray(o.start, dtype=np.float64)
    wander = [d.wander for d in model.disturbances]
    nothing = np.zeros(model.size)
    tables.reals(
        START_STATE=np.clip(np.r_[start, np.zeros(len(wander))], model.low, model.high),
        START_STD=np.r_[std, wander],
        STATE_LOW=model.low,
        STATE_HIGH=model.high,
        STATE_NOMINAL=model.nominal,
        NOISE_STD=model.noise_std(nothing),
        RELATIVE_NOISE=model.noise_std(nothing + 1.0) - model.noise_std(nothing),
        MEASURED_STD=[c.std for c in channels],
        MEASURED_RELATIVE_STD=[c.relative_std for c in channels],
        MEASURED_DELAY=[c.delay for c in channels],
        MEASURED_GATE=[c.gate_squared for c in channels],
        MAX_REJECTIONS=[c.max_rejections for c in channels],
    )


def _program(law: NonlinearLaw, transcription: Transcription, tables: CTables) -> None:
    """Bounds, parameters and where each comes from."""
    problem = law._f.problem
    terms = terms_of(problem)
    assert terms is not None
    transcription.fix_terms(terms)
    durations = law._horizon.durations(math.inf)
    known = law._others_by_stage(0.0, np.cumsum(durations))
    nd, nt = len(law.model.disturbances), len(law.specification.tracked)

    def parameters(disturbances: Any, references: Any) -> Any:
        values = law._planner._values(disturbances, known, references, durations, np.ones(3), None)
        return transcription.parameters(values, terms)

    base = parameters(np.zeros(nd), np.zeros(nt))
    source = np.full(len(base), -1)
    for i in range(nd + nt):
        unit = np.eye(nd + nt)[i]
        source[parameters(unit[:nd], unit[nd:]) != base] = i
    inputs, moves = np.full(len(transcription.lower), -1), np.full(len(transcription.g_lower), -1)
    guess = np.full(len(transcription.lower), -1)
    nz, limited = problem.nx + problem.nu, transcription._functions.limited
    for node, at in enumerate(transcription._w_at[:-1]):
        guess[at : at + nz] = np.arange(nz)
        place = transcription._u_at[node]
        if place >= at + nz:  # an input of its own
            inputs[place : place + problem.nu] = np.arange(problem.nu)
            guess[place : place + problem.nu] = problem.nx + np.arange(problem.nu)
            row = transcription._row_at[node]
            moves[row : row + len(limited)] = limited
    tables.size(N_Q=len(base))
    tables.reals(
        PARAMETERS=base,
        PLAN_LOW=transcription.lower,
        PLAN_HIGH=transcription.upper,
        G_LOW=transcription.g_lower,
        G_HIGH=transcription.g_upper,
    )
    tables.integers(
        PARAMETER_SOURCE=source.tolist(),
        INPUT_PLACE=inputs.tolist(),
        MOVE_PLACE=moves.tolist(),
        GUESS_SOURCE=guess.tolist(),
    )


def _functions(law: NonlinearLaw, t: Transcription) -> list[Any]:
    model, sx = law.model, casadi.SX
    state, u = sx.sym("s", model.size), sx.sym("u", len(model.inputs))
    found = []
    for name, function in (("model_step", model.step), ("model_measure", model.measure)):
        value = function(state, u)
        results = [casadi.densify(value), casadi.densify(casadi.jacobian(value, state))]
        found.append(casadi.Function(name, [state, u], results))
    by_rows = casadi.densify(casadi.jacobian(t.g, t.w).T)
    results = [casadi.densify(e) for e in (casadi.gradient(t.f, t.w), t.g, by_rows, t.hessian)]
    found.append(casadi.Function("program", [t.w, t.q], results))
    assert all(g.sz_iw() == 0 for g in found)
    return found


def _source(functions: list[Any]) -> str:
    generator = casadi.CodeGenerator("functions", {"with_header": False, "with_export": False, "verbose": False})
    for function in functions:
        generator.add(function)
    with tempfile.TemporaryDirectory() as folder:
        generator.generate(folder + "/")
        return (Path(folder) / "functions.c").read_text(encoding="utf-8")
