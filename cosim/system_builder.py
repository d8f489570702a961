"""From a scenario to a checked system: everything that can be wrong is found here, before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cosim.action_assembly import build_actions
from cosim.assembly import build_component, build_controller, build_disturbance, build_sensor, check_multiple
from cosim.component import (
    Component,
    Controller,
    ControllerContext,
    FloatArray,
    KeyPath,
    Measurement,
    Port,
    SampledComponent,
    Schedule,
    Scheduled,
)
from cosim.disturbances import Disturbance
from cosim.graph import DependencyGraph, dependency_graph
from cosim.isolation.isolated import PlantComponent
from cosim.scenario import DisturbanceSpec, Scenario
from cosim.system import Gather, System, Task
from cosim.wiring import Wiring
from fmus.errors import GalenicError, nearest


def build_system(scenario: Scenario, *, seed: int | None = None, without: Sequence[str] = ()) -> System:
    """Build a scenario's system and check everything that can be checked before it runs.

    Args:
        scenario: the validated scenario.
        seed: replaces the scenario's seed.
        without: names of controllers to leave out.

    Raises:
        GalenicError: an FMU is missing or unusable, a name or unit does not fit, an input has two drivers; with the
            scenario's file and line.
    """
    return _Builder(scenario, scenario.seed if seed is None else seed, frozenset(without)).build()


class _Builder:
    def __init__(self, scenario: Scenario, seed: int, removed: frozenset[str]) -> None:
        for name in sorted(removed - set(scenario.controllers)):
            raise GalenicError(
                f"there is no controller '{name}' to leave out",
                cure=nearest(name, scenario.controllers),
                file=scenario.file,
            )
        self.scenario, self.seed, self.removed = scenario, seed, removed
        self.wiring = Wiring(scenario)
        self.positions: dict[str, int] = {}
        self.gathers: list[Gather] = []
        self.notes: dict[str, Any] = {"set": list(scenario.overrides)} if scenario.overrides else {}

    def build(self) -> System:
        scenario, wiring = self.scenario, self.wiring
        components = [build_component(scenario, name, self.seed, self.notes) for name in scenario.components]
        for component in components:
            wiring.add(component, component.why_not_connectable)
        sensors = [build_sensor(scenario, name, wiring.port, self.seed) for name in scenario.sensors]
        for sensor in sensors:
            wiring.add(sensor)
        controllers = self._controllers({f"{s.name}.value": s.measurement for s in sensors})

        for number, text in enumerate(scenario.connections):
            wiring.connect(text, ("connections", number))
        for sensor in sensors:
            measures = scenario.sensors[sensor.name].measures
            wiring.link(measures, f"{sensor.name}.signal", ("sensors", sensor.name, "measures"))
        wiring.connect_controllers(controllers, self.removed)

        actions = build_actions(scenario, wiring, {sensor.name: sensor for sensor in sensors}, self.seed, self.removed)

        everything: list[Component | SampledComponent] = [*components, *sensors, *controllers]
        if actions is not None:
            everything.append(actions)
        names, ports, signals = self._lay_out(everything)
        index = {name: position for position, name in enumerate(names)}
        drawn = self._disturbances(signals, index)
        for component in components:
            self._check_starts(component)
            begin, middle, end = self._span(component)
            component.bind(signals[begin:middle], signals[middle:end])
        sampled: list[SampledComponent] = [*sensors, *_supervised_first(scenario, controllers)]
        tasks = [*drawn, *(self._task(component, signals, index) for component in sampled)]
        if actions is not None:
            tasks.insert(len(drawn), Task(1, actions.execute, actions.name, actions))
            drawn.append(Task(1, actions.begin, actions.name, actions))
        gather = self._gather(components, index)
        system = System(
            scenario=scenario,
            seed=self.seed,
            names=names,
            ports=ports,
            signals=signals,
            components=components,
            tasks=tasks,
            drawn=drawn,
            gather=gather,
            gathers=[gather, *self.gathers],
            physical=sum(len(c.inputs) + len(c.outputs) for c in components),
            drivers={target: link.source for target, link in wiring.links.items()},
            sampled=sampled,
            controllers={controller.name: controller for controller in controllers},
            removed=self.removed,
            notes=self.notes,
            every=[self._every(component.name) for component in components],
            graph=self._graph(components),
        )
        if actions is not None:
            actions.bind(system)
        for position, panel in enumerate(scenario.plot):
            system.select(panel.signals, ("plot", position, "signals"))
        return system

    def _controllers(self, measurements: dict[str, Measurement]) -> list[Controller]:
        controllers: list[Controller] = []
        for name in self.scenario.controllers:
            if name in self.removed:
                continue
            path: KeyPath = ("controllers", name)
            context = ControllerContext(
                scenario_name=self.scenario.name,
                directory=self.scenario.directory,
                step_size=self.scenario.communication_step,
                seed=self.seed,
                find_port=lambda signal, path=path: self.wiring.port(signal, path),  # type: ignore[misc]
                find_error=lambda key, message, cure, path=path: self.scenario.error(  # type: ignore[misc]
                    (*path, *key), message, cure
                ),
                measurements=measurements,
                find_schedule=lambda signal: _schedule(controllers, signal),
            )
            controller = build_controller(self.scenario, name, context)
            self.wiring.add(controller)
            controllers.append(controller)
        return controllers

    def _lay_out(
        self, everything: Sequence[Component | SampledComponent]
    ) -> tuple[list[str], dict[str, Port], FloatArray]:
        names: list[str] = []
        ports: dict[str, Port] = {}
        values: list[FloatArray] = []
        for component in everything:
            self.positions[component.name] = len(names)
            for port in (*component.inputs, *component.outputs):
                names.append(f"{component.name}.{port.name}")
                ports[names[-1]] = port
            values += [component.input_values, component.output_values]
        return names, ports, np.concatenate(values).astype(np.float64)

    def _every(self, name: str) -> int:
        period = self.scenario.components[name].period
        if period is None:
            return 1
        return check_multiple(self.scenario, ("components", name, "period"), period, f"the period of '{name}'")

    def _graph(self, components: Sequence[PlantComponent]) -> DependencyGraph:
        links = {target: link.source for target, link in self.wiring.links.items() if link.source is not None}
        lagged = [target for target, link in self.wiring.links.items() if link.lagged]
        return dependency_graph(components, links, lagged)

    def _span(self, component: Component | SampledComponent) -> tuple[int, int, int]:
        begin = self.positions[component.name]
        middle = begin + len(component.inputs)
        return begin, middle, middle + len(component.outputs)

    def _check_starts(self, component: PlantComponent) -> None:
        for port in component.inputs:
            if port.start is None and f"{component.name}.{port.name}" not in self.wiring.links:
                raise self.scenario.error(
                    ("components", component.name),
                    f"'{component.name}.{port.name}' is not connected and has no start value",
                    f"connect it, or give it under start: in {port.unit}",
                )

    def _disturbances(self, signals: FloatArray, index: dict[str, int]) -> list[Task]:
        by_signal: dict[str, list[tuple[int, DisturbanceSpec]]] = {}
        for position, spec in enumerate(self.scenario.disturbances):
            if spec.signal.partition(".")[0] not in self.removed:
                by_signal.setdefault(spec.signal, []).append((position, spec))
        tasks = []
        for signal, specs in by_signal.items():
            path: KeyPath = ("disturbances", specs[0][0], "signal")
            port = self.wiring.claim(signal, path)
            slot = index[signal]
            disturbance = build_disturbance(self.scenario, signal, specs, port, float(signals[slot]), self.seed)
            tasks.append(_disturbance_task(disturbance, signals, slot))
        return tasks

    def _task(self, component: SampledComponent, signals: FloatArray, index: dict[str, int]) -> Task:
        """Gather the inputs, execute, hold the outputs. An input without a link keeps its place in the vector."""
        begin, middle, end = self._span(component)
        gather = self._gather([component], index, every_input=True)
        self.gathers.append(gather)
        source, factor, offset, converts = gather.source, gather.factor, gather.offset, gather.converts
        period, do_step = component.period, component.do_step
        section = "sensors" if component.name in self.scenario.sensors else "controllers"
        path: KeyPath = (section, component.name)

        def execute(t: float) -> None:
            values = signals[source]
            if converts:
                values *= factor
                values += offset
            signals[begin:middle] = values
            component.input_values[:] = values
            try:
                do_step(t, period)
            except GalenicError as error:
                raise self.scenario.located(path, error) from error
            except Exception as error:
                raise self.scenario.error(
                    path, f"'{component.name}' failed at t = {t:.6g} s: {type(error).__name__}: {error}"
                ) from error
            signals[middle:end] = component.output_values

        every = check_multiple(self.scenario, (*path, "period"), period, f"the period of '{component.name}'")
        return Task(every, execute, component.name, component)

    def _gather(
        self, components: Sequence[Component | SampledComponent], index: dict[str, int], every_input: bool = False
    ) -> Gather:
        rows = []
        for component in components:
            for port in component.inputs:
                target = f"{component.name}.{port.name}"
                link = self.wiring.links.get(target)
                if link is not None and link.source is not None:
                    rows.append((index[link.source], index[target], link.factor, link.offset))
                elif every_input:
                    rows.append((index[target], index[target], 1.0, 0.0))
        source, target_, factor, offset = zip(*rows, strict=True) if rows else ((), (), (), ())
        return Gather(
            np.array(source, dtype=np.intp),
            np.array(target_, dtype=np.intp),
            np.array(factor, dtype=np.float64),
            np.array(offset, dtype=np.float64),
        )


def _schedule(controllers: Sequence[Controller], signal: str) -> Schedule | None:
    """What a signal will be, if the controller that gives it knows."""
    name, _, output = signal.partition(".")
    found = next((c for c in controllers if c.name == name), None)
    return found.schedule(output) if isinstance(found, Scheduled) else None


def _disturbance_task(disturbance: Disturbance, signals: FloatArray, slot: int) -> Task:
    do_step, period, values = disturbance.do_step, disturbance.period, disturbance.output_values

    def execute(t: float) -> None:
        do_step(t, period)
        signals[slot] = values[0]

    return Task(1, execute, disturbance.name, disturbance, slot, disturbance.values)


def _supervised_first(scenario: Scenario, controllers: Sequence[Controller]) -> list[Controller]:
    """The order of the file, but a supervised controller before its supervisor."""
    by_name = {controller.name: controller for controller in controllers}
    ordered: list[Controller] = []

    def place(controller: Controller, above: tuple[str, ...]) -> None:
        if controller.name in above:
            raise scenario.error(
                ("controllers", controller.name, "supervises"),
                f"'{controller.name}' supervises itself, through {' and '.join(above)}",
                "let supervision go one way",
            )
        for name in controller.supervises:
            if name in by_name:
                place(by_name[name], (*above, controller.name))
        if all(controller is not other for other in ordered):
            ordered.append(controller)

    for controller in controllers:
        place(controller, ())
    return ordered
