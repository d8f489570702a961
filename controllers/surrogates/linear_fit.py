"""A linear state space from excited runs, by ARX or by a subspace method, with estimated or given dead times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from controllers.surrogates import arx, subspace
from controllers.surrogates.plan import IdentificationPlan
from controllers.surrogates.realization import Realization, realize
from cosim.component import FloatArray
from fmus.errors import GalenicError
from fmus.quantity import parse_quantity

_SHOWN = 30


def fit_runs(
    plan: IdentificationPlan,
    inputs: Sequence[FloatArray],
    outputs: Sequence[FloatArray],
    integrating: Sequence[bool],
    samples: int,
) -> tuple[Realization, Mapping[str, Any]]:
    """The smallest state space whose step responses are those that the method found, per scaled input.

    Args:
        plan: method, tolerance, given dead times.
        inputs: of each run in deviations, shape (N, m), scaled so that every input counts alike.
        outputs: of each run in deviations, shape (N + 1, p).
        integrating: by output.
        samples: length of the step responses.

    Returns:
        the state space, and what the method found, for the file.

    Raises:
        GalenicError: too little data, or a dead time that makes no sense.
    """
    late = _given(plan, arx.find_dead_times(inputs, outputs, integrating))
    notes: dict[str, Any]
    if plan.method == "subspace":
        model = subspace.fit(inputs, outputs, integrating, late)
        response = model.step_response(samples)
        notes = {
            "order": model.order,
            "dead_time": [plan.period * d for d in model.dead_time],
            "singular_values": [float(f"{v:.3g}") for v in model.singular_values[:_SHOWN]],
        }
    else:
        models = arx.fit_outputs(inputs, outputs, integrating, late)
        response = arx.step_responses(models, samples)
        notes = {
            name: {"order": m.order, "dead_time": [plan.period * d for d in m.dead_time]}
            for name, m in zip(plan.outputs, models, strict=True)
        }
    flags = [bool(flag) for flag in integrating]
    found = realize(response, integrating=flags, tolerance=plan.tolerance, max_order=plan.max_order)
    return found, {"order": int(found.a.shape[0]), plan.method: notes}


def _given(plan: IdentificationPlan, found: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Dead times in periods, with those that the plan says in place of those found; shape (p, m)."""
    result, longest = np.array(found, dtype=np.int_), plan.horizon / plan.period
    for output, entries in plan.dead_times.items():
        for name, raw in entries.items():
            key = ("dead_times", output, name)
            for signal, known, kind in ((output, plan.outputs, "output"), (name, plan.inputs, "input")):
                if signal not in known:
                    raise plan.source.error(key, f"'{signal}' is no {kind} of this plan", f"name one of its {kind}s")
            try:
                periods = parse_quantity(raw, "s") / plan.period
            except GalenicError as error:
                raise plan.source.error(key, error.message, error.cure) from error
            if not 0.0 <= periods < longest:
                raise plan.source.error(key, f"a dead time of {raw} is not inside the horizon", "correct it")
            result[list(plan.outputs).index(output), list(plan.inputs).index(name)] = round(periods)
    return [tuple(row) for row in result.tolist()]
