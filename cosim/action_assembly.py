"""From a scenario's actions and stop conditions to what the master executes."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from cosim.action_specs import ActionSpec, FaultSpec
from cosim.actions import NAME, Action, Actions, Hold, SensorFault, Stop
from cosim.component import KeyPath, Port
from cosim.conditions import Condition, read_condition, unit_finder
from cosim.quantities import check_multiple, difference, drift
from cosim.scenario import Scenario
from cosim.sensors import Fault, Sensor
from cosim.wiring import Wiring
from fmus.errors import GalenicError, nearest
from fmus.quantity import parse_quantity


def build_actions(
    scenario: Scenario, wiring: Wiring, sensors: Mapping[str, Sensor], seed: int, removed: Collection[str] = ()
) -> Actions | None:
    """The actions of a scenario, None where it has none.

    Args:
        scenario: the scenario.
        wiring: all connections of the system.
        sensors: by name, for their faults.
        seed: the run's.
        removed: controllers that are left out; what would act on them does nothing.

    Raises:
        GalenicError: an unknown signal, a value that does not fit, a condition that is none; with line and column.
    """
    if not scenario.actions and not scenario.stop_when:
        return None
    return _Builder(scenario, wiring, sensors, seed, removed).build()


def action_names(specs: list[ActionSpec]) -> list[str]:
    """Of each action its own name, else ``action_1`` for the first in the file, and so on."""
    return [spec.name or f"action_{number}" for number, spec in enumerate(specs, 1)]


class _Builder:
    def __init__(
        self,
        scenario: Scenario,
        wiring: Wiring,
        sensors: Mapping[str, Sensor],
        seed: int,
        removed: Collection[str],
    ) -> None:
        self._scenario, self._wiring, self._sensors, self._seed = scenario, wiring, sensors, seed
        self._removed = removed
        self._driven: dict[str, Port] = {}
        self._undriven: dict[str, None] = {}
        disturbed = {spec.signal for spec in scenario.disturbances}
        self._disturbed = {signal for signal in disturbed if signal not in wiring.links}
        self._flags: dict[str, Port] = {}

    def build(self) -> Actions:
        scenario = self._scenario
        names = action_names(scenario.actions)
        for index, name in enumerate(names):
            if name in names[:index]:
                raise scenario.error(
                    ("actions", index, "name"), f"there are two actions '{name}'", "rename one of them"
                )
            self._flags[f"{NAME}.{name}"] = Port(name)
        actions = [self._action(index, name, scenario.actions[index]) for index, name in enumerate(names)]
        stops = []
        for index, spec in enumerate(scenario.stop_when):
            path: KeyPath = ("stop_when", index, "when")
            reason = spec.reason or f"stop condition '{spec.when}' holds"
            stops.append(Stop(self._condition(path, spec.when, spec.held_for), spec.at or 0.0, reason))
        return Actions(actions, stops, self._driven, list(self._undriven), scenario.communication_step)

    def _action(self, index: int, name: str, spec: ActionSpec) -> Action:
        path: KeyPath = ("actions", index)
        at = spec.at or 0.0
        condition = None if spec.when is None else self._condition((*path, "when"), spec.when, spec.held_for)
        until, until_condition = self._until(path, spec)
        if until <= at:
            raise self._scenario.error((*path, "until"), "'until' is not after 'at'", "let it end later")
        holds: list[Hold] = []
        effects = []
        for section in ("set", "override", "ramp"):
            for signal, raw in getattr(spec, section).items():
                where: KeyPath = (*path, section, signal)
                if signal.partition(".")[0] in self._removed:
                    continue
                port = self._target(where, signal, section)
                value = self._value(where, port, raw)
                holds.append(Hold(signal, value, (spec.over or 0.0) if section == "ramp" else 0.0))
        for target, fault in spec.fault.items():
            where = (*path, "fault", target)
            if "." in target:
                if fault.model_fields_set != {"freeze"} or not fault.freeze:
                    raise self._scenario.error(
                        where, f"the input '{target}' can only freeze", "write {freeze: true}, or override it"
                    )
                self._target(where, target, "override")
                holds.append(Hold(target, None))
            else:
                effects.append(self._fault(where, target, name, fault))
        signals = [hold.signal for hold in holds]
        for signal in signals:
            if signals.count(signal) > 1:
                raise self._scenario.error(path, f"'{name}' does two things to '{signal}'", "make two actions of it")
        return Action(
            name,
            at,
            condition,
            spec.once,
            until,
            math.inf if spec.lasting is None else spec.lasting,
            until_condition,
            holds,
            list(effects),
        )

    def _until(self, path: KeyPath, spec: ActionSpec) -> tuple[float, Condition | None]:
        """A time, or a condition."""
        raw = spec.until
        if raw is None:
            return math.inf, None
        try:
            return parse_quantity(raw, "s"), None
        except GalenicError:
            return math.inf, self._condition((*path, "until"), str(raw), None)

    def _condition(self, path: KeyPath, text: str, held_for: float | None) -> Condition:
        def port(signal: str) -> Port:
            return self._flags[signal] if signal in self._flags else self._wiring.port(signal)

        return read_condition(self._scenario, path, text, unit_finder(port), held_for)

    def _target(self, path: KeyPath, signal: str, section: str) -> Port:
        """The input that an action holds; notes how it is driven."""
        link = self._wiring.links.get(signal)
        if link is not None and link.source is not None:
            if section == "set":
                raise self._scenario.error(
                    path, f"'{signal}' is driven by '{link.source}'", "use override, which takes it over while it lasts"
                )
            self._driven[signal] = self._wiring.port(signal, path)
            return self._driven[signal]
        if link is not None or signal in self._disturbed:
            if section == "set":
                raise self._scenario.error(
                    path, f"'{signal}' is driven by a disturbance", "use override, which takes it over while it lasts"
                )
            return self._wiring.port(signal, path)
        port = self._wiring.claim(signal, path)
        # nothing drives it: it is free again for another action
        del self._wiring.links[signal]
        self._undriven[signal] = None
        return port

    def _value(self, path: KeyPath, port: Port, raw: Any) -> float:
        value = self._scenario.quantity(path, raw, port.unit)
        low, high = -math.inf if port.min is None else port.min, math.inf if port.max is None else port.max
        if not low <= value <= high:
            raise self._scenario.error(
                path,
                f"{value:g} {port.unit} is out of the input's bounds",
                f"choose a value within {low:g} .. {high:g}",
            )
        if port.kind != "real" and value != round(value):
            raise self._scenario.error(path, f"the input is {port.kind} but {value:g} is given", "give a whole number")
        return value

    def _fault(self, path: KeyPath, target: str, name: str, spec: FaultSpec) -> SensorFault:
        if target not in self._sensors:
            raise self._scenario.error(path, f"there is no sensor '{target}'", nearest(target, self._sensors))
        unit = self._sensors[target].outputs[0].unit

        def change(key: str) -> float:
            raw = getattr(spec, key)
            return 0.0 if raw is None else difference(self._scenario, (*path, key), raw, unit)

        noise = change("noise")
        if noise < 0.0:
            raise self._scenario.error(
                (*path, "noise"), "the standard deviation must not be negative", "give 0 or more"
            )
        dropout = 0.0 if spec.dropout is None else self._scenario.quantity((*path, "dropout"), spec.dropout, "1")
        if not 0.0 <= dropout <= 1.0:
            raise self._scenario.error(
                (*path, "dropout"), f"{dropout:g} is no share of samples", "give 0 to 1, or true"
            )
        check_multiple(self._scenario, (*path, "delay"), spec.delay or 0.0, "the delay")
        fault = Fault(
            f"{target} {name}",
            self._seed,
            bias=change("bias"),
            drift=0.0 if spec.drift is None else drift(self._scenario, (*path, "drift"), spec.drift, unit),
            noise=noise,
            freeze=spec.freeze,
            dropout=dropout,
            delay=spec.delay or 0.0,
        )
        return SensorFault(self._sensors[target], fault)
