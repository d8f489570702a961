"""The linear law as tables for linear_law.c: the same matrices that `controllers` computes with."""

from __future__ import annotations

import math

import numpy as np

from controllers.export.c_tables import CTables
from controllers.linear.estimator import Estimator
from controllers.linear.law import LinearLaw
from controllers.linear.target import _IMBALANCE
from cosim.component import FloatArray


def linear_tables(law: LinearLaw, tables: CTables) -> None:
    """Add the estimator, the target optimiser and the dynamic optimiser of ``law``."""
    s, o = law._surrogate, law._objective
    tables.size(
        N_IN=len(s.inputs),
        N_OUT=len(s.outputs),
        N_X_MODEL=len(s.a),
        N_DISTURBANCES=len(law.disturbances),
        N_MEASURED=len(law.estimator._measurements),
        N_TRACKED=len(o.tracked),
        N_CONTROLLED=len(o.outputs),
        N_LIMITED=len(o.limited),
        N_LIMITED_OR_1=max(1, len(o.limited)),
        N_DECISIONS=0,
        N_STAGES=len(law._ends),
    )
    tables.reals(
        INPUT_0=s.u0,
        INPUT_SCALE=o.input_scale,
        OUTPUT_0=s.y0,
        OUTPUT_X=s.c,
        OUTPUT_D=law.estimator._disturbances.c,
        TRACKED_SCALE=[y.scale for y in o.tracked],
        LIMITED_SCALE=[y.scale for y in o.limited],
        CONTROLLED_SCALE=[y.scale for y in o.outputs],
    )
    tables.integers(
        TRACKED_OUTPUT=[y.index for y in o.tracked],
        LIMITED_OUTPUT=[y.index for y in o.limited],
        SOFT_RANK=[y.rank for y in o.limited],
        STAGE_PERIODS=law._ends.tolist(),
        STAGE_BLOCK=law._block.tolist(),
    )
    tables.reals(STAGE_ENDS=law._ends_s)
    _estimator(law, tables)
    _target(law, tables)
    _path(law, tables)
    _backup(law, tables)


def _estimator(law: LinearLaw, tables: CTables) -> None:
    s, given = law._surrogate, law.estimator
    e = Estimator(s, given._disturbances, given._measurements)  # its state is its own
    at_rest = np.empty((len(e.state), len(s.inputs)))
    for j, scale in enumerate(law._objective.input_scale):  # what it takes for rest is linear in the inputs
        e.initialize(s.u0 + scale * np.eye(len(s.inputs))[j])
        at_rest[:, j] = e.state / scale
    tables.size(N_S=len(e.state))
    tables.reals(
        AT_REST=at_rest,
        START_COVARIANCE=given._start,
        TRANSITION=e.transition,
        INPUT_MATRIX=e.input_matrix,
        PROCESS_NOISE=given.process_covariance,
        MEASURED_MATRIX=e.output_matrix,
        MEASURED_VARIANCE=e.measurement_variance,
        MEASURED_0=s.y0[[m.output for m in given._measurements]],
        MEASURED_GATE=[math.inf if m.gate is None else m.gate for m in given._measurements],
    )


def _target(law: LinearLaw, tables: CTables) -> None:
    s, o = law._surrogate, law._objective
    t = law._target
    k, weight = t._k, np.array([u.weight_ideal for u in o.inputs])
    ideal = (np.array([u.ideal for u in o.inputs]) - s.u0) / o.input_scale
    price = t._linear.copy()
    price[:k] = -2.0 * t._u_theta.T @ (weight * ideal)
    tables.size(TARGET_N=t._size, TARGET_K=k, TARGET_ROWS=len(t._qp._a))
    tables.reals(
        TARGET_H=t._qp._h,
        TARGET_A=t._qp._a,
        TARGET_PRICE=price,
        TARGET_GRADIENT_D=2.0 * (t._u_theta.T * weight) @ t._u_d + 2.0 * _IMBALANCE * t._s_theta.T @ t._s_d,
        TARGET_U=t._u_theta,
        TARGET_U_D=t._u_d,
        TARGET_Y=t._y_theta,
        TARGET_Y_D=t._y_d,
    )


def _path(law: LinearLaw, tables: CTables) -> None:
    o, p = law._objective, law._dynamic
    (nb, m), steps, nc = p._shape, len(p._theta), len(o.outputs)

    def gradient_of(free: FloatArray) -> FloatArray:
        """Of what moves the free response, shape (N, controlled, ..)."""
        return np.asarray(p._gradient @ free.reshape(steps * nc, -1))

    def checked(free: FloatArray) -> FloatArray:
        return np.asarray(free[p._checks][:, p._limited].reshape(len(p._checks) * len(p._limited), -1))

    y0 = np.broadcast_to(p._y0, (steps, nc))
    moving = [j for j, u in enumerate(o.inputs) if math.isfinite(u.max_move)]
    tables.size(
        PATH_N=len(p._qp._h),
        PATH_ROWS=len(p._qp._a),
        N_PATH=nb * m,
        N_CHECKED=len(p._checks) * len(p._limited),
    )
    tables.reals(
        PATH_H=p._qp._h,
        PATH_A=p._qp._a,
        PATH_PRICE=np.concatenate([gradient_of(y0).ravel(), p._price]),
        PATH_GRADIENT_X=gradient_of(p._free_x),
        PATH_GRADIENT_D=gradient_of(p._free_d),
        PATH_GRADIENT_GOAL=gradient_of(np.broadcast_to(np.eye(nc), (steps, nc, nc))),
        PATH_REST=p._rest,
        PATH_MOVE=p._move,
        PATH_CHECK_0=checked(y0[:, :, None]).ravel(),
        PATH_CHECK_X=checked(p._free_x),
        PATH_CHECK_D=checked(p._free_d),
    )
    tables.integers(MOVING_INPUT=[j for _ in range(1, nb) for j in moving])


def _backup(law: LinearLaw, tables: CTables) -> None:
    """The first move where no constraint is heard: affine in estimate, previous inputs and references."""
    s, o = law._surrogate, law._objective
    sizes = {"X": len(s.a), "D": len(law.disturbances), "PREVIOUS": len(s.inputs), "REFERENCES": len(o.tracked)}
    zero = {name: np.zeros(size) for name, size in sizes.items()}

    def move(at: dict[str, FloatArray]) -> FloatArray:
        target = law._target.unconstrained(at["D"], at["REFERENCES"])
        parts = law._dynamic.first_move(at["X"], at["D"], at["PREVIOUS"], target)
        return np.asarray(at["PREVIOUS"] + sum(parts.values()))

    base = move(zero)
    tables.reals(BACKUP_0=base)
    for name, size in sizes.items():
        columns = [move({**zero, name: row}) - base for row in np.eye(size)]
        tables.reals(**{f"BACKUP_{name}": np.array(columns).reshape(size, len(base)).T})
