"""Which disturbances a law estimates where nobody says: one for each measured output, placed where it can be seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from controllers.estimation.channels import Channel
from controllers.estimation.evaluation import Evaluation, with_jacobian
from controllers.estimation.model import DisturbanceState, EstimationModel, Process
from cosim.component import FloatArray
from fmus.errors import GalenicError

#: How far an output drifts in an hour, and a rate in the time of the horizon, as shares of the nominal.
_DRIFT, _RATE = 0.02, 0.2


def default_disturbances(
    process: Process, channels: Sequence[Channel], state: FloatArray, inputs: FloatArray, horizon: float
) -> list[DisturbanceState]:
    """One for each measured output: a drift of the output, or, where it integrates, of the rate of its main state.

    A drift of an output that integrates cannot be told from its level (Pannocchia & Rawlings 2003).

    Args:
        process: the plant's equations.
        channels: its measurements.
        state: operating point, shape (n,).
        inputs: shape (m,).
        horizon: of prediction in s: over which a rate matters.
    """
    chosen: list[DisturbanceState] = []
    for name in dict.fromkeys(c.output for c in channels):
        nominal = process.outputs[process.index("output", name)].nominal
        drift = DisturbanceState("output", name, _DRIFT * nominal)
        before = unseen(EstimationModel(process, chosen), channels, state, inputs)
        if unseen(EstimationModel(process, [*chosen, drift]), channels, state, inputs) == before:
            chosen.append(drift)
            continue
        main = _main_state(process, name, state, inputs)
        hours = max(1.0, horizon / 3600.0)
        rate = DisturbanceState("rate", process.states[main].name, _RATE * process.states[main].nominal / hours)
        if unseen(EstimationModel(process, [*chosen, rate]), channels, state, inputs) == before:
            chosen.append(rate)
    return chosen


def check_disturbances(
    model: EstimationModel, channels: Sequence[Channel], state: FloatArray, inputs: FloatArray, periods: int = 0
) -> None:
    """Refuse disturbances that the channels cannot tell from each other or from the states.

    Args:
        model: with its disturbances.
        channels: the measurements.
        state: at the start, shape (n,).
        inputs: shape (m,).
        periods: of the path that shows them where nothing rests; 0: the rank condition at rest.

    Raises:
        GalenicError: there are such.
    """
    alone = unseen(EstimationModel(model.process), channels, state, inputs, periods)
    for count in range(1, len(model.disturbances) + 1):
        chosen = model.disturbances[:count]
        if unseen(EstimationModel(model.process, chosen), channels, state, inputs, periods) > alone:
            last = chosen[-1]
            raise GalenicError(
                f"the measurements cannot tell the disturbance of {last.kind} '{last.signal}' from the states and the"
                " disturbances before it",
                cure="leave it out, put it elsewhere, or measure an output that shows it",
            )


def unseen(
    model: EstimationModel, channels: Sequence[Channel], state: FloatArray, inputs: FloatArray, periods: int = 0
) -> int:
    """How many directions the channels do not see, of those that stay: n - rank [I - A; H].

    With ``periods`` of all, along the path from the start: n - rank [H_0; H_1 A_0; H_2 A_1 A_0; ...].
    """
    step, measure = Evaluation(with_jacobian(model.step)), Evaluation(with_jacobian(model.measure))
    here = np.r_[state, np.zeros(model.size - len(state))]
    n, size = model.size, model.nominal
    rows = sorted({model.output_index(c.output) for c in channels})
    nominal = np.array([model.outputs[i].nominal for i in rows])
    through, seen = np.eye(n), []
    for k in range(periods + 1):
        for evaluation in (step, measure):
            evaluation.arguments[0][:], evaluation.arguments[1][:] = here, inputs
            if not evaluation.run():
                if k == 0:
                    raise GalenicError("the model is not finite where it starts", cure="check the start and the inputs")
                break
        else:
            a = step.results[1].reshape((n, n), order="F") * size / size[:, None]
            seen.append((measure.results[1].reshape((-1, n), order="F")[rows] * size / nominal[:, None]) @ through)
            through, here = a @ through, np.clip(step.results[0], model.low, model.high)
            continue
        break
    stacked = np.vstack(seen if periods else [np.eye(n) - through, *seen])
    if not np.isfinite(stacked).all():
        return 0
    length = np.linalg.norm(stacked, axis=0)
    values = np.linalg.svd(stacked / np.where(length > 0.0, length, 1.0), compute_uv=False)
    return n - int((values > 1e-8 * values[0]).sum())


def _main_state(process: Process, output: str, state: FloatArray, inputs: FloatArray) -> int:
    """The state that moves an output most, by nominals."""
    model = EstimationModel(process)
    measure = Evaluation(with_jacobian(model.measure))
    measure.arguments[0][:], measure.arguments[1][:] = state, inputs
    measure.run()
    row = measure.results[1].reshape((-1, model.size), order="F")[model.output_index(output)]
    return int(np.argmax(np.abs(row) * model.nominal))
