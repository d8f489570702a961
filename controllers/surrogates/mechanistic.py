"""Kind ``mechanistic``: the equations of a scenario's units, composed and reduced as a file says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from controllers.surrogates.domain import Domain
from controllers.surrogates.equations import compose
from controllers.surrogates.linear_surrogate import SurrogateInput, SurrogateOutput
from controllers.surrogates.model import SurrogateModel
from controllers.surrogates.reduction import Reduced, Reduction, reduce
from controllers.surrogates.section import Section
from controllers.surrogates.unit_equations import units_of
from cosim.library import load_scenario
from fmus.errors import GalenicError
from fmus.quantity import parse_quantity

KEYS = (
    "scenario", "components", "units", "period", "substeps", "inputs", "outputs", "parameters", "values", "states",
    "frozen", "residual", "residual_below", "stiff", "stiff_below", "slow_down", "lump",
    "newton",
)  # fmt: skip
_INPUT = ("operating_point", "min", "max", "unit")
_STATE = ("noise", "relative_noise", "low", "high", "nominal")


@dataclass(frozen=True)
class Built:
    """The model and what was made of the equations."""

    model: SurrogateModel
    reduced: Reduced


def build(section: Section) -> Built:
    """Build the model that a file describes.

    Raises:
        GalenicError: with file and line.
    """
    data = section.data
    scenario = load_scenario(section.file_of("scenario"))
    components = section.names("components") or None
    replaced = {k: str(v) for k, v in section.mapping("units").items()}
    inputs, outputs = section.mapping("inputs", _INPUT), section.mapping("outputs", None)
    if not outputs:
        raise section.error((), "'outputs' is missing", "name the signals to predict: 'outputs: {unit.signal: {}}'")
    reduction = Reduction(
        states={k: {n: float(v) for n, v in e.items()} for k, e in section.mapping("states", _STATE).items()},
        frozen=_frozen(section),
        residual=section.names("residual"),
        residual_below=section.number("residual_below", "s", 0.0),
        stiff=section.names("stiff"),
        stiff_below=section.number("stiff_below", "s", 0.0),
        slow_down=section.numbers("slow_down"),
        lump={k: round(v) for k, v in section.numbers("lump").items()},
        newton=round(section.number("newton", "1", 6)),
    )
    try:
        units = units_of(scenario, components, replaced)
        points = {k: e["operating_point"] for k, e in inputs.items() if "operating_point" in e}
        equations = compose(
            scenario,
            units,
            inputs=list(inputs),
            outputs=list(outputs),
            parameters=section.names("parameters"),
            values={**section.mapping("values"), **points},
        )
        reduced = reduce(
            equations,
            section.number("period", "s"),
            reduction,
            substeps=round(section.number("substeps", "1", 1)),
        )
    except GalenicError as error:
        if error.file is not None:
            raise
        raise section.error(section.place_of(error.message), error.message, error.cure) from error
    named: list[SurrogateInput] = []
    for variable, entry in zip(equations.inputs, inputs.values(), strict=True):
        least, most = (
            parse_quantity(entry[key], variable.unit) if key in entry else value
            for key, value in (("min", -math.inf), ("max", math.inf))
        )
        point = float(equations.start_inputs[len(named)])
        named.append(SurrogateInput(variable.name, variable.unit, point, least, most))
    measured = reduced.process.measure(
        reduced.initial, equations.start_inputs, [v for _, v in equations.parameters]
    ).full().ravel()  # fmt: skip
    shown = [SurrogateOutput(v.name, v.unit, float(y)) for v, y in zip(equations.outputs, measured, strict=True)]
    low, high = (np.array([getattr(u, side) for u in named]) for side in ("min", "max"))
    model = SurrogateModel(
        "mechanistic",
        reduced.process,
        tuple(named),
        tuple(shown),
        reduced.initial,
        Domain([u.name for u in named], low, high),
        description=str(data.get("description") or ""),
        digest=equations.digest,
        rate=reduced.rate,
    )
    return Built(model, reduced)


def _frozen(section: Section) -> Mapping[str, Any]:
    found = section.data.get("frozen") or {}
    return dict.fromkeys(found) if isinstance(found, list) else dict(found)
