"""Which integrating disturbances explain the difference between plant and surrogate, and whether they can be seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.linalg import null_space

from controllers.surrogates.linear_surrogate import LinearSurrogate
from cosim.component import FloatArray
from fmus.errors import GalenicError

Kind = Literal["input", "output", "ramp"]


@dataclass(frozen=True)
class Disturbance:
    """One integrating disturbance.

    Args:
        kind: ``input`` adds to an input, ``output`` to an output, ``ramp`` to the rate of an integrating output.
        signal: the input's or output's name in the surrogate.
        wander: standard deviation of how far it wanders in an hour, in the signal's unit (ramp: unit per hour).
    """

    kind: Kind
    signal: str
    wander: float


@dataclass(frozen=True)
class DisturbanceModel:
    r"""Integrating disturbances d of a surrogate.

        x_{k+1} = A x_k + B u_k + B_d d_k,     d_{k+1} = d_k + w_k,     y_k = C x_k + C_d d_k

    An input disturbance puts a column of B into B_d (an equivalent fill depth: it moves force, weight and hardness
    together, so that a fast force measurement corrects the weight at once); an output disturbance puts a unit vector
    into C_d (the drift of a sensor); a ramp puts the eigenvector of the integrating mode into B_d, scaled so that d is
    the output's rise in one period.

    With as many disturbances as measured outputs, a stable observer of (x, d), and targets computed with the same d,
    the controlled outputs have no offset in any steady state, whatever the mismatch (Pannocchia & Rawlings 2003). The
    pair can be observed if and only if (A, C) is detectable and

        rank [ I - A   -B_d ]
             [   C      C_d ]  =  n + n_d        with the rows of the measured outputs in C, C_d

    Args:
        b: B_d, shape (n, n_d).
        c: C_d, shape (p, n_d).
        variance: of w in one period, shape (n_d,).
        disturbances: in the order of the columns.
    """

    b: FloatArray
    c: FloatArray
    variance: FloatArray
    disturbances: tuple[Disturbance, ...]

    @classmethod
    def build(cls, surrogate: LinearSurrogate, disturbances: Sequence[Disturbance]) -> DisturbanceModel:
        """Matrices of the disturbances on a surrogate.

        Raises:
            GalenicError: an unknown signal, or a ramp on an output that does not integrate.
        """
        n, p = surrogate.a.shape[0], len(surrogate.outputs)
        b, c = np.zeros((n, len(disturbances))), np.zeros((p, len(disturbances)))
        variance = np.zeros(len(disturbances))
        ramps = integrating_directions(surrogate)
        for k, disturbance in enumerate(disturbances):
            wander = disturbance.wander
            if disturbance.kind == "input":
                b[:, k] = surrogate.b[:, surrogate.input_index(disturbance.signal)]
            elif disturbance.kind == "output":
                c[surrogate.output_index(disturbance.signal), k] = 1.0
            else:
                index = surrogate.output_index(disturbance.signal)
                if index not in ramps:
                    raise GalenicError(
                        f"'{disturbance.signal}' does not integrate, so it has no ramp",
                        cure="use 'on_output', or 'on' an input",
                    )
                b[:, k] = ramps[index]
                wander *= surrogate.period / 3600.0
            variance[k] = wander**2 * surrogate.period / 3600.0
        return cls(b, c, variance, tuple(disturbances))

    def check_detectable(self, surrogate: LinearSurrogate, measured: Sequence[int]) -> None:
        """Check the rank condition for the measured outputs.

        Raises:
            GalenicError: more disturbances than measured outputs, or disturbances that cannot be told apart.
        """
        n, count = surrogate.a.shape[0], self.b.shape[1]
        rows = sorted(set(measured))
        if count > len(rows):
            raise GalenicError(
                f"{count} disturbances cannot be estimated from {len(rows)} measured outputs",
                cure=f"keep at most {len(rows)} of {', '.join(_label(d) for d in self.disturbances)}",
            )
        scale = output_scale(surrogate)
        c, cd = surrogate.c[rows] / scale[rows, None], self.c[rows] / scale[rows, None]
        stacked = np.block([[np.eye(n) - surrogate.a, -self.b], [c, cd]])
        size = np.linalg.norm(stacked[:, n:], axis=0)
        stacked[:, n:] /= np.where(size > 0.0, size, 1.0)
        values = np.linalg.svd(stacked, compute_uv=False)
        rank = int((values > 1e-8 * values[0]).sum())
        if rank < n + count:
            raise GalenicError(
                f"the disturbances cannot be told apart by the measured outputs: rank {rank} of {n + count} in"
                " [I-A -Bd; C Cd]",
                cure="put one disturbance on each measured output, a 'ramp' on an integrating one",
            )


def _label(disturbance: Disturbance) -> str:
    return f"{disturbance.kind} {disturbance.signal}"


def default_disturbances(surrogate: LinearSurrogate, measured: Sequence[int]) -> list[Disturbance]:
    """One disturbance on each measured output: on the output, or a ramp where it integrates."""
    scale = output_scale(surrogate)
    result = []
    for i in sorted(set(measured)):
        y = surrogate.outputs[i]
        kind: Kind = "ramp" if y.integrating else "output"
        result.append(Disturbance(kind, y.name, default_wander(surrogate, kind, y.name, scale)))
    return result


def default_wander(surrogate: LinearSurrogate, kind: Kind, signal: str, scale: FloatArray | None = None) -> float:
    """2 % of the signal's size in an hour; for a ramp, a rate of 20 % of the size per hour."""
    if kind == "input":
        u = surrogate.inputs[surrogate.input_index(signal)]
        return 0.02 * max(abs(u.operating_point), u.max - u.min)
    sizes = output_scale(surrogate) if scale is None else scale
    return (0.2 if kind == "ramp" else 0.02) * float(sizes[surrogate.output_index(signal)])


def output_scale(surrogate: LinearSurrogate) -> FloatArray:
    """Size of each output: its operating point, or its response to the training domain where that is larger; (p,)."""
    half = np.array([(u.max - u.min) / 2.0 for u in surrogate.inputs])
    response = np.abs(surrogate.step_response(200)).max(axis=0) @ np.where(half > 0.0, half, 1.0)
    stable = np.array([not y.integrating for y in surrogate.outputs])
    size = np.maximum(np.abs(surrogate.y0), np.where(stable, response, 0.0))
    size = np.where(size > 0.0, size, response)
    return np.where(size > 0.0, size, 1.0)


def integrating_directions(surrogate: LinearSurrogate) -> dict[int, FloatArray]:
    """For each integrating output the state direction that stays and moves that output alone by 1."""
    outputs = [i for i, y in enumerate(surrogate.outputs) if y.integrating]
    if not outputs:
        return {}
    n = surrogate.a.shape[0]
    basis = null_space(np.eye(n) - surrogate.a, rcond=1e-9)
    if basis.shape[1] < len(outputs):
        raise GalenicError(
            "an output is marked as integrating, but the surrogate has no mode at 1", cure="identify it again"
        )
    coordinates = np.linalg.lstsq(surrogate.c[outputs] @ basis, np.eye(len(outputs)), rcond=None)[0]
    return {i: basis @ coordinates[:, k] for k, i in enumerate(outputs)}
