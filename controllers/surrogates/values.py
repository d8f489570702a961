"""What a scenario gives the variables of a component, each at one value."""

from __future__ import annotations

import re
from typing import Any

from cosim.distributions import DistributionSpec
from cosim.scenario import Scenario
from cosim.yaml_lines import read_yaml
from fmus.errors import nearest
from fmus.model import UnitModel
from fmus.quantity import parse_quantity


def values_of(scenario: Scenario, name: str, model: UnitModel, *, lenient: bool = False) -> dict[str, float]:
    """Parameters and start values as the scenario gives them, in the variables' units.

    Args:
        scenario: the scenario.
        name: of the component.
        model: its unit model.
        lenient: leave out what the model does not have.

    Raises:
        GalenicError: an unknown variable, or a value that does not convert.
    """
    spec = scenario.components[name]
    known = {v.name: v for v in model.variables}
    values: dict[str, float] = {}
    if spec.parameter_file is not None:
        source = read_yaml(scenario.resolve(spec.parameter_file))
        for key, entry in (source.data.get("parameters") or {}).items():
            if key in known:
                values[key] = parse_quantity(f"{float(entry['value'])!r} {entry.get('unit', '1')}", known[key].unit)
    for section in ("parameters", "start"):
        for key, raw in getattr(spec, section).items():
            path = ("components", name, section, key)
            if key not in known:
                if lenient:
                    continue
                raise scenario.error(path, f"'{name}' has no variable '{key}'", nearest(key, known))
            given = typical(raw)
            text = given.removesuffix(" 1") if isinstance(given, str) else given
            values[key] = scenario.quantity(path, text, known[key].unit)
    return values


def typical(raw: Any) -> Any:
    """A value as it is given; of a distribution its mean."""
    if not isinstance(raw, DistributionSpec):
        return raw
    if raw.normal is not None or raw.lognormal is not None:
        bounded = raw.normal or raw.lognormal
        assert bounded is not None
        return bounded.mean
    if raw.choice is not None:
        return raw.choice.values[0]
    assert raw.uniform is not None
    unit = re.sub(r"^\s*[-+.\deE]+\s*", "", raw.uniform.min) if isinstance(raw.uniform.min, str) else ""
    ends = [parse_quantity(v, unit) for v in (raw.uniform.min, raw.uniform.max)]
    return f"{sum(ends) / 2.0!r} {unit}".rstrip()
