"""From a scenario's sections to components: FMUs with their values, sensors, disturbances, controllers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from cosim.component import Controller, ControllerContext, KeyPath, Port
from cosim.distributions import DistributionSpec, draw
from cosim.disturbance_assembly import build_disturbance as build_disturbance
from cosim.disturbances import generator
from cosim.fmu_archive import open_archive
from cosim.fmu_component import FmuComponent
from cosim.isolation.isolated import IsolatedComponent, PlantComponent
from cosim.python_files import split_name, with_file
from cosim.quantities import check_multiple as check_multiple
from cosim.quantities import difference as difference
from cosim.quantities import drift
from cosim.registry import find_controller
from cosim.scenario import ComponentSpec, Scenario
from cosim.sensors import Sensor
from cosim.yaml_lines import Source, read_yaml
from fmus.errors import GalenicError, nearest
from fmus.quantity import parse_quantity

if TYPE_CHECKING:
    from fmus import UnitModel

#: Finds the port of a signal; the key path is the place in the scenario that asks for it.
FindPort = Callable[[str, KeyPath], Port]


def build_component(scenario: Scenario, name: str, seed: int, notes: dict[str, Any]) -> PlantComponent:
    """The FMU of a component with the scenario's parameters and start values, not yet loaded.

    Args:
        scenario: the scenario.
        name: the component's name.
        seed: the run's seed.
        notes: the run's record; what is drawn is written to its ``drawn``.
    """
    spec = scenario.components[name]
    path: KeyPath = ("components", name)
    try:
        archive = open_archive(_fmu_file(scenario, path, spec))
    except GalenicError as error:
        key = "fmu" if spec.fmu is not None else "unit"
        raise scenario.located((*path, key), error) from error
    options: dict[str, Any] = {
        "locate": partial(scenario.located, path),
        "interface": spec.interface,
        "event_mode": spec.event_mode,
    }
    make = partial(FmuComponent, name, archive, **options)
    described = make()
    sizes = {
        key: _value(described, key, spec.parameters[key], "parameters", (*path, "parameters", key), scenario)
        for key in described.variables("structuralParameter")
        if key in spec.parameters
    }
    if sizes:  # they decide which elements arrays have
        described = make(values=sizes)
    values: dict[str, float | str] = {**_parameter_file(scenario, path, spec, described)}
    for section in ("parameters", "start"):
        texts = described.texts(*(("parameter",) if section == "parameters" else ("input", "output", "local")))
        for key, raw in getattr(spec, section).items():
            where: KeyPath = (*path, section, key)
            if key in texts:
                values[key] = str(raw)
                continue
            if isinstance(raw, DistributionSpec):
                raw = _draw(scenario, described, key, section, raw, seed, notes)
            values[key] = _value(described, key, raw, section, where, scenario)
    if spec.isolate or described.once_per_process:
        return IsolatedComponent(name, archive, values, **options, time_limit=spec.time_limit)
    return make(values=values)


def _draw(
    scenario: Scenario,
    component: FmuComponent,
    key: str,
    section: str,
    spec: DistributionSpec,
    seed: int,
    notes: dict[str, Any],
) -> float:
    """Draw a parameter or start value, in the variable's unit, and note it."""
    path: KeyPath = ("components", component.name, section, key)
    port = _known_port(component, key, section, path, scenario)
    name = f"{section} {component.name}.{key}"
    value = draw(
        spec,
        generator(seed, name),
        lambda inner, raw: _number(scenario, (*path, *inner), raw, port.unit),
        lambda inner, raw, mean: difference(scenario, (*path, *inner), raw, port.unit, mean),
        (-math.inf if port.min is None else port.min, math.inf if port.max is None else port.max),
        lambda inner, message, cure: scenario.error((*path, *inner), message, cure),
    )
    notes.setdefault("drawn", {})[name] = {
        "value": value,
        "unit": port.unit,
        "from": spec.model_dump(exclude_none=True),
    }
    return value


def _number(scenario: Scenario, path: KeyPath, raw: Any, unit: str) -> float:
    # "20 1" and "20" are both dimensionless
    return scenario.quantity(path, raw.removesuffix(" 1") if isinstance(raw, str) else raw, unit)


def section_of(scenario: Scenario, name: str, variable: str) -> str:
    """Under which key a component's variable is given a value: ``parameters`` or ``start``.

    Raises:
        GalenicError: there is no such variable, or it takes no value; the cure names the nearest.
    """
    described = FmuComponent(name, open_archive(_fmu_file(scenario, ("components", name), scenario.components[name])))
    if variable in described.variables("parameter"):
        return "parameters"
    startable = _startable(described)
    if variable in startable:
        return "start"
    known = [*described.variables("parameter"), *startable]
    raise GalenicError(f"'{name}' has no variable '{variable}' that takes a value", cure=nearest(variable, known))


def _fmu_file(scenario: Scenario, path: KeyPath, spec: ComponentSpec) -> Any:
    if spec.fmu is not None:
        return scenario.resolve(spec.fmu)
    import fmus

    return fmus.build_fmu(find_unit(scenario, str(path[-1])))


def find_unit(scenario: Scenario, name: str) -> UnitModel:
    """The unit model of a component that is one. Raises GalenicError where there is no such unit."""
    import fmus

    unit = scenario.components[name].unit
    assert unit is not None, "the caller looked"
    if split_name(unit) is not None:
        unit = with_file(unit, lambda file: str(scenario.resolve(file)))
    elif unit not in (known := fmus.unit_names()):
        raise scenario.error(("components", name, "unit"), f"there is no unit model '{unit}'", nearest(unit, known))
    return fmus.unit_model(unit)


def _parameter_file(
    scenario: Scenario, path: KeyPath, spec: ComponentSpec, component: FmuComponent
) -> dict[str, float]:
    if spec.parameter_file is None:
        return {}
    file = scenario.resolve(spec.parameter_file)
    if not file.is_file():
        raise scenario.error(
            (*path, "parameter_file"),
            f"there is no parameter file {file}",
            "check the path, relative to the scenario; 'galenic calibrate' writes such a file",
        )
    source = read_yaml(file)
    parameters = source.data.get("parameters") if isinstance(source.data, Mapping) else None
    if not isinstance(parameters, Mapping):
        raise source.error((), "this parameter file has no 'parameters'", "write one with 'galenic calibrate'")
    values = {}
    for name, entry in parameters.items():
        where: KeyPath = ("parameters", name)
        if not isinstance(entry, Mapping) or not _is_number(entry.get("value")):
            raise source.error(where, f"'{name}' has no number", "write '{value: 1.5, unit: mm}'")
        unit = str(entry.get("unit", "1"))
        values[name] = _value(component, name, f"{float(entry['value'])!r} {unit}", "parameters", where, source)
    return values


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _value(
    component: FmuComponent, key: str, raw: Any, section: str, path: KeyPath, source: Scenario | Source
) -> float:
    """A checked parameter or start value in the variable's unit."""
    if isinstance(raw, DistributionSpec):
        raise source.error(path, f"'{key}' decides the size of arrays and cannot be drawn", "give one value")
    port = _known_port(component, key, section, path, source)
    try:
        # "20 1" and "20" are both dimensionless
        text = raw.removesuffix(" 1") if isinstance(raw, str) else raw
        value = parse_quantity(text, port.unit)
    except GalenicError as error:
        raise source.error(path, f"{key}: {error.message}", error.cure) from error
    low, high = port.min, port.max
    if (low is not None and value < low) or (high is not None and value > high):
        bounds = f"{'-inf' if low is None else f'{low:g}'} .. {'inf' if high is None else f'{high:g}'}"
        raise source.error(
            path, f"{key} = {value:g} {port.unit} is out of its bounds", f"choose a value within {bounds} {port.unit}"
        )
    if port.kind != "real" and value != round(value):
        raise source.error(
            path, f"{key} is {port.kind} but {value:g} is given", "give a whole number, or true or false"
        )
    return value


def _known_port(component: FmuComponent, key: str, section: str, path: KeyPath, source: Scenario | Source) -> Port:
    """The variable that a parameter or start value belongs to."""
    known = component.variables("parameter") if section == "parameters" else _startable(component)
    if key not in known:
        other = {"parameters": "start", "start": "parameters"}[section]
        if key in component.variables("parameter" if section == "start" else "input"):
            raise source.error(path, f"'{key}' belongs under '{other}'", f"move it to '{other}'")
        what = "parameter" if section == "parameters" else "variable that takes a start value"
        raise source.error(path, f"'{component.name}' has no {what} '{key}'", nearest(key, known))
    return component.variable(key)


def _startable(component: FmuComponent) -> list[str]:
    return [name for name in component.variables("input", "output", "local") if component.settable(name)]


def build_sensor(scenario: Scenario, name: str, find_port: FindPort, seed: int) -> Sensor:
    """A sensor of the scenario."""
    spec = scenario.sensors[name]
    path: KeyPath = ("sensors", name)
    port = find_port(spec.measures, (*path, "measures"))
    step = scenario.communication_step
    sampling = step if spec.period is None else spec.period
    check_multiple(scenario, (*path, "period"), sampling, "the sensor's period")
    check_multiple(scenario, (*path, "delay"), spec.delay, "the sensor's delay")
    noise = difference(scenario, (*path, "noise"), spec.noise, port.unit)
    if noise < 0.0:
        raise scenario.error((*path, "noise"), "the standard deviation must not be negative", "give 0 or more")
    return Sensor(
        name,
        port,
        spec.measures,
        step_size=step,
        sampling=sampling,
        delay=spec.delay,
        noise=noise,
        bias=difference(scenario, (*path, "bias"), spec.bias, port.unit),
        drift=drift(scenario, (*path, "drift"), spec.drift, port.unit),
        start=None if spec.start is None else scenario.quantity((*path, "start"), spec.start, port.unit),
        seed=seed,
        more_delays=[
            fault.delay for action in scenario.actions for fault in (action.fault.get(name),) if fault and fault.delay
        ],
    )


def build_controller(scenario: Scenario, name: str, context: ControllerContext) -> Controller:
    """A controller of the scenario, from its class's ``from_config``."""
    config = scenario.controllers[name]
    path: KeyPath = ("controllers", name)
    try:
        found = find_controller(config["type"], scenario.directory)
    except GalenicError as error:
        raise scenario.located((*path, "type"), error) from error
    try:
        controller: Controller = found.from_config(name, dict(config), context)
    except GalenicError as error:
        raise scenario.located(path, error) from error
    for ports, wiring in (("inputs", "reads"), ("outputs", "writes")):
        given, needed = len(getattr(controller, wiring)), len(getattr(controller, ports))
        if given != needed:
            raise scenario.error(
                path,
                f"controller '{name}' has {needed} {ports} but '{wiring}' names {given}",
                f"let '{wiring}' have one entry for each of its {ports}; None where nothing is connected",
            )
    check_multiple(scenario, (*path, "period"), controller.period, f"the period of '{name}'")
    if controller.period <= 0.0:
        raise scenario.error((*path, "period"), f"the period of '{name}' is not positive", "give a time above 0 s")
    return controller
