"""The nonlinear law as generated functions and tables for the C of its filter, stages, target and harvest."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from controllers.estimation.model import FAR
from controllers.export.c_tables import CTables
from controllers.export.generated_functions import GeneratedFunctions
from controllers.nonlinear import harvest, law, planner, steady_target
from controllers.nonlinear.horizon import Profile
from controllers.nonlinear.law import NonlinearLaw
from controllers.nonlinear.steady_target import SteadyTargetOptimizer
from controllers.operation.schedule import ReferenceSchedule
from controllers.optimal_control.terms import terms_of
from fmus.errors import GalenicError

#: Periods over which a model without a start is run to rest, as in `controllers.nonlinear.start`.
_LONGEST = 3000


def refuse_what_is_not_exported(law: NonlinearLaw) -> None:
    """Raises GalenicError naming what of the law has no C yet."""
    s, o = law.specification, law.options
    lacking = {
        "a region of setpoints (a design space that is more than ranges)": s.region is not None,
        "a moving horizon estimator (estimator: mhe)": o.estimator == "mhe",
        "a second search for the plan (restart_every:)": o.restart_every > 0,
        "scenarios (scenario_tree:)": law._f.problem.scenarios is not None,
    }
    for what, there in lacking.items():
        if there:
            raise GalenicError(f"{what} of a nonlinear law cannot be exported as C", cure="export it with --python")


def nonlinear_tables(
    law: NonlinearLaw, tables: CTables, told: dict[str, int], schedules: Sequence[ReferenceSchedule | None] = ()
) -> tuple[str, list[float]]:
    """Add the law's tables.

    Args:
        law: the law.
        tables: to add to.
        told: the FMU's input for each known input that is measured, by name.
        schedules: of the references, where they are known in advance.

    Returns:
        functions.c and what the law remembers when it starts.
    """
    model, f, s = law.model, law._f, law.specification
    functions = GeneratedFunctions(law)
    problem, engine, channels = f.problem, law._planner.engine, law.estimator.channels
    n, k, m, slots = model.size, len(problem.stages), len(law.inputs), law.estimator.memory + 1
    tables.size(
        NONLINEAR=1,
        N_S=n,
        N_IN=m,
        N_OUT=len(law.outputs),
        N_MEASURED=len(channels),
        N_DISTURBANCES=len(model.disturbances),
        N_TRACKED=len(s.tracked),
        N_CONTROLLED="(sizeof CONTROLLED_OUTPUT / sizeof *CONTROLLED_OUTPUT)",
        N_LIMITED=0,
        N_LIMITED_OR_1=1,
        N_OTHERS=len(f.others),
        N_DECISIONS=len(law.decisions),
        N_MODEL_INPUTS=len(model.inputs),
        N_STATES_PLANNED=problem.nx,
        SLOTS=slots,
        SETTLING=_LONGEST if law.options.start is None else -1 if law.options.from_zero else 0,
        FAR=FAR,
        **functions.sizes(),
        ITERATIONS=getattr(engine, "iterations", 1),
        FIRST_ITERATIONS=getattr(engine, "first_iterations", 20),
        STEP_TOLERANCE=float(engine._setup.tolerance) if hasattr(engine, "_setup") else 1e-4,
        JUDGED=int(law._planner._judged),
        WITH_PROXIMAL=int(law._planner._proximal),
        PASSES=law._planner._passes,
        PROXIMAL=planner._PROXIMAL,
        PROXIMAL_LEAST=planner._LEAST,
        PROXIMAL_MOST=planner._MOST,
        PROXIMAL_ENOUGH=planner._ENOUGH,
    )
    _inputs(law, tables, told, schedules)
    _estimator(law, tables)
    _stages(law, tables, functions)
    _horizon(law, tables)
    _target(law, tables)
    nz = problem.nx + problem.nu
    slot = n + n * n + len(model.inputs) + 4 * len(channels)
    remembered = [0.0] * (n + n * n + 2)
    remembered += [known.values[0] if (known := law._known.get(model.inputs[i])) else 0.0 for i in f.others]
    remembered += [start for _, _, start in law.decisions]
    plan = 1 + (k + 1) * nz + k * m + 1 + k * m + k
    return functions.source(), remembered + [0.0] * (plan + 6 + nz + slots * slot)


def _inputs(
    law: NonlinearLaw, tables: CTables, told: dict[str, int], schedules: Sequence[ReferenceSchedule | None]
) -> None:
    """The manipulated ones, and where the others come from."""
    model, f, s = law.model, law._f, law.specification
    nothing, unknown = Profile([0.0], [0.0]), Profile([0.0], [math.nan])
    profiles = [law._profiles.get(model.inputs[i], nothing) for i in f.others]
    for j, i in enumerate(f.others):
        if model.inputs[i] not in law._profiles:
            profiles[j] = Profile([0.0], law._operating_others[[j]].tolist())
    for schedule in schedules or [None] * len(s.tracked):
        profiles.append(unknown if schedule is None else Profile(schedule.times.tolist(), schedule.values.tolist()))
    ports = {name: (factor, offset) for name, _, factor, offset in law.known_ports}
    tables.integers(
        PROFILE_AT=np.cumsum([0, *(len(p._times) for p in profiles)]).tolist(),
        OTHER_PLACE=f.others,
        OTHER_INPUT=[told.get(model.inputs[i], -1) for i in f.others],
        MANIPULATED_INDEX=f.manipulated,
    )
    tables.reals(
        PROFILE_TIME=np.concatenate([p._times for p in profiles]),
        PROFILE_VALUE=np.concatenate([p._values for p in profiles]),
        PROFILE_AREA=np.concatenate([p._area for p in profiles]),
        OTHER_FACTOR=[ports.get(model.inputs[i], (1.0, 0.0))[0] for i in f.others],
        OTHER_OFFSET=[ports.get(model.inputs[i], (1.0, 0.0))[1] for i in f.others],
        OWN_PERIOD=[u.period or 0.0 for u in s.manipulated],
        IDEAL=[math.nan if u.ideal is None else u.ideal for u in s.manipulated],
        WEIGHT_TARGET=[u.weight_target for u in s.manipulated],
    )


def _estimator(law: NonlinearLaw, tables: CTables) -> None:
    model, o, channels = law.model, law.options, law.estimator.channels
    n = len(model.process.states)
    std = 0.1 * model.nominal[:n] if o.start_std is None else np.asarray(o.start_std, dtype=np.float64)
    clock = [i for i, x in enumerate(model.process.states) if x.name == "time"]
    std = np.where(np.isin(np.arange(n), clock), 0.0, std)
    start = model.nominal[:n] if o.start is None else np.asarray(o.start, dtype=np.float64)
    wander = [d.wander for d in model.disturbances]
    nothing = np.zeros(model.size)
    tables.size(TIME_STATE=clock[0] if clock else -1)
    tables.integers(MEASURED_OUTPUT=[model.output_index(c.output) for c in channels])
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


def _stages(law: NonlinearLaw, tables: CTables, functions: GeneratedFunctions) -> None:
    """The optimal control problem: which function each stage has, its rows, prices and parameters."""
    f, problem, made = law._f, law._f.problem, functions.stages
    terms = terms_of(problem)
    assert terms is not None
    rows, nodes = made.rows(terms), range(len(problem.stages) + 1)
    numbers = [problem.constraint_numbers_at(k) for k in nodes]
    most = max(len(found) for found in numbers)
    width = max(1, most)
    low, high = (np.full((len(nodes), width), sign * np.inf) for sign in (-1, 1))
    l1, l2 = (np.zeros((len(nodes), width)) for _ in range(2))
    for k, found in enumerate(numbers):
        part, own = slice(made.moves(k), made.moves(k) + len(found)), slice(0, len(found))
        low[k, own], high[k, own] = rows.lower[k, part], rows.upper[k, part]
        l1[k, own], l2[k, own] = rows.l1[k, own], rows.l2[k, own]
    tables.size(
        N_STAGES=len(problem.stages),
        N_VALUES=problem.np + problem.ny,
        N_MOVES=len(made.limited),
        N_SOFT=most,
        N_SOFT_OR_1=width,
        N_SLACKS=int(sum(np.isfinite(side).sum() for side in (low, high))),
        **{f"AT_{name}": f.at[part].start for name, part in _PARAMETERS.items()},
    )
    tables.integers(
        STAGE_FUNCTION=[functions.number(k) for k in nodes],
        LIMITED_MOVE=made.limited,
        SOFT_COUNT=[len(found) for found in numbers],
        LIMITED_OUTPUT=[],
        SOFT_RANK=[],
        TRACKED_OUTPUT=[law.model.output_index(c.output) for c in law.specification.tracked],
    )
    tables.reals(
        STATE_SCALE=problem.state_scale,
        INPUT_SCALE=problem.input_scale,
        STAGE_DURATION=np.append(terms.durations, 0.0),
        STAGE_WEIGHT=terms.weights,
        MOVE_SHARE=problem.move_shares,
        SOFT_LOW=low,
        SOFT_HIGH=high,
        SOFT_L1=l1,
        SOFT_L2=l2,
    )


def _horizon(law: NonlinearLaw, tables: CTables) -> None:
    """The length of each stage, and the harvest."""
    h, batch = law._horizon, law.specification.batch
    decides = law._chooser is not None
    tables.integers(STAGE_COUNT=h.counts)
    tables.reals(FIXED_DURATION=h._fixed)
    tables.size(
        BATCH=int(batch is not None),
        SIGHT=math.inf if batch is None else batch.horizon,
        HEAD=h.head,
        FIRST_PERIODS=1 if batch is not None else law._planner._first,
        DURATION=0.0 if batch is None else batch.duration,
        DECIDES_HARVEST=int(decides),
    )
    if batch is None or not decides:
        tables.size(HARVEST_MOST=0)
        return
    tables.size(
        EARLIEST=batch.earliest,
        LATEST=batch.latest,
        VALUE_PER_HOUR=batch.value_per_hour,
        RESOLUTION=law._resolution,
        HARVEST_CANDIDATES=harvest._CANDIDATES,
        HARVEST_MOST=max(harvest._CANDIDATES, math.ceil(batch.latest / law._resolution)),
        HARVEST_SHARE=harvest._SHARE,
        HARVEST_MOST_SHARE=harvest._MOST,
    )


def _target(nonlinear: NonlinearLaw, tables: CTables) -> None:
    s, target = nonlinear.specification, nonlinear._target
    limited = [c for c in s.controlled if any(map(math.isfinite, c.limits))]
    tables.size(
        HAS_TARGET=int(target is not None),
        N_TARGET_LIMITED=len(limited),
        TARGET_DRIFT=steady_target._DRIFT,
        TARGET_SMALL=steady_target._SMALL,
        TARGET_FEW=steady_target._FEW,
        TARGET_HALVINGS=steady_target._HALVINGS,
        TARGET_MISSES=law._MISSES,
    )
    if not isinstance(target, SteadyTargetOptimizer):
        return
    tables.size(TARGET_ITERATIONS=target._iterations, TARGET_TOLERANCE=target._tolerance)
    tables.integers(TARGET_LIMITED=target._limited, TARGET_RANK=[c.rank for c in limited])
    tables.reals(
        TRACKED_SCALE=target._scale_t,
        TRACKED_WEIGHT=target._weight,
        WEIGHT_IDEAL=target._pull,
        TARGET_LOW=target._limits[:, 0],
        TARGET_HIGH=target._limits[:, 1],
        TARGET_SCALE=target._scale_l,
        TARGET_PRICE=target._price,
    )


_PARAMETERS = {
    "DISTURBANCES": "d",
    "KNOWN": "known",
    "REFERENCE": "reference",
    "CENTRE": "centre",
    "PULL": "pull",
    "STEP": "step",
    "RANK": "rank",
}
