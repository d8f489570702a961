"""A system: components, their signals in one vector, and the connections as index arrays.

Each component's inputs and outputs are contiguous in the vector, FMUs first. An FMU works directly on its part of
it, so moving values between components is one gather: ``signals[target] = factor * signals[source] + offset``.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

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
)
from cosim.disturbances import Disturbance
from cosim.graph import DependencyGraph, dependency_graph
from cosim.isolation.isolated import PlantComponent
from cosim.scenario import DisturbanceSpec, Scenario
from cosim.wiring import Wiring
from fmus.errors import GalenicError, nearest


@dataclass(frozen=True)
class Gather:
    """``signals[target] = factor * signals[source] + offset``, all of shape (n,)."""

    source: npt.NDArray[np.intp]
    target: npt.NDArray[np.intp]
    factor: FloatArray
    offset: FloatArray

    @property
    def converts(self) -> bool:
        """Whether any value changes on its way."""
        return bool(np.any(self.factor != 1.0) or np.any(self.offset != 0.0))


@dataclass(frozen=True)
class Task:
    """A sampled component in the system: executed in every ``every``-th communication step.

    Args:
        every: how often.
        execute: told the time in s.
        name: for people.
        component: what is executed: a disturbance, the actions, a sensor or a controller.
        slot: position of the one signal that it writes, where ``values`` knows what.
        values: its values for communication steps ahead: (first, count) -> shape (count,); None where they depend on
            what happens. It gives the numbers that ``execute`` would write.
    """

    every: int
    execute: Callable[[float], None]
    name: str
    component: Any
    slot: int = -1
    values: Callable[[int, int], FloatArray] | None = None


@dataclass
class System:
    """A checked system, ready to be initialised and stepped.

    Args:
        names: all signals, ``component.port``, in the order of the vector.
        ports: the port of each signal.
        signals: the vector, shape (len(names),), each value in its port's unit.
        components: what is stepped over every communication step.
        tasks: what is executed before, in order: disturbances, sensors, controllers.
        drawn: what holds at t = 0 already while the components initialise: disturbances, and actions from the start.
        gather: the connections into the components' inputs.
        gathers: all connections: ``gather``, and those of each sampled component.
        physical: number of signals at the head of the vector that belong to components.
        drivers: for each driven input the signal that drives it; None for a disturbance.
        sampled: sensors and controllers, in the order in which they are executed.
        controllers: by name.
        removed: controllers of the scenario that this system was built without.
        notes: what the run's record tells beside, for JSON; what is added while it runs is in it at the end.
        every: for each component how many communication steps one of its own takes.
        graph: the components' order and the algebraic loops.
        spans: for each component where its inputs begin, its outputs begin, and its outputs end in the vector.
        row_spans: for each component the range of its connections in ``gather``.
        groups: numbers of the components in the order of the graph; a group of several forms a cycle.
    """

    scenario: Scenario
    seed: int
    names: list[str]
    ports: dict[str, Port]
    signals: FloatArray
    components: list[PlantComponent]
    tasks: list[Task]
    drawn: list[Task]
    gather: Gather
    gathers: list[Gather]
    physical: int
    drivers: dict[str, str | None]
    sampled: list[SampledComponent]
    controllers: dict[str, Controller]
    removed: frozenset[str]
    notes: dict[str, Any]
    every: list[int]
    graph: DependencyGraph
    index: dict[str, int] = field(init=False)  # position of each signal in the vector
    spans: list[tuple[int, int, int]] = field(init=False)
    row_spans: list[tuple[int, int]] = field(init=False)
    groups: list[tuple[int, ...]] = field(init=False)

    def __post_init__(self) -> None:
        self.index = {name: position for position, name in enumerate(self.names)}
        self.spans, begin = [], 0
        for component in self.components:
            middle = begin + len(component.inputs)
            self.spans.append((begin, middle, middle + len(component.outputs)))
            begin = self.spans[-1][-1]
        targets = self.gather.target
        # rows stand in the order of the components
        self.row_spans = [
            (int(np.searchsorted(targets, begin)), int(np.searchsorted(targets, middle)))
            for begin, middle, _end in self.spans
        ]
        numbers = {component.name: number for number, component in enumerate(self.components)}
        self.groups = [tuple(numbers[name] for name in group) for group in self.graph.groups]
        self._ends = np.array([end for _begin, _middle, end in self.spans], dtype=np.int64)
        self._rows = {
            self.names[target]: (gather, row, (source, float(gather.factor[row]), float(gather.offset[row])))
            for gather in self.gathers
            for row, (source, target) in enumerate(zip(gather.source.tolist(), gather.target.tolist(), strict=True))
        }

    @property
    def step_size(self) -> float:
        """The communication step in s."""
        return self.scenario.communication_step

    @property
    def order(self) -> list[int]:
        """Numbers of the components, sources before what depends on them."""
        return [number for group in self.groups for number in group]

    def owner_of(self, position: int) -> int | None:
        """The number of the FMU that a signal belongs to; None where it belongs to a sensor or controller."""
        return int(np.searchsorted(self._ends, position, side="right")) if position < self.physical else None

    def check_finite(self, number: int, t: float) -> None:
        """Raise GalenicError where an output of a component is no number at ``t``."""
        _begin, middle, end = self.spans[number]
        if not np.isfinite(self.signals[middle:end]).all():
            self.raise_not_finite(number, t)

    def raise_not_finite(self, number: int, t: float) -> NoReturn:
        """Raise the error that names the first output of a component that is no number at ``t``."""
        _begin, middle, end = self.spans[number]
        position = middle + int(np.flatnonzero(~np.isfinite(self.signals[middle:end]))[0])
        raise self.scenario.error(
            ("components", self.components[number].name),
            f"'{self.names[position]}' became {self.signals[position]} in the step to t = {t:.6g} s",
            "look at the component's inputs and parameters; the results up to the step before are kept",
        )

    def redirect(self, target: str, source: str | None) -> None:
        """Let a driven input take its value from another signal of its unit; None: from its own driver again.

        The arrays of the gather change in place, so that a loop that holds them need not know.
        """
        gather, row, own = self._rows[target]
        gather.source[row], gather.factor[row], gather.offset[row] = (
            own if source is None else (self.index[source], 1.0, 0.0)
        )

    def select(self, patterns: Sequence[str], path: KeyPath = ()) -> list[str]:
        """The signals that match names or patterns such as ``press.*``, in the vector's order.

        Raises:
            GalenicError: a pattern matches nothing.
        """
        wanted: set[str] = set()
        for position, pattern in enumerate(patterns):
            # the brackets of an array's element stand for themselves
            literal = pattern.replace("[", "[[]")
            found = [name for name in self.names if fnmatch.fnmatchcase(name, literal)]
            if not found and pattern.partition(".")[0] not in self.removed:
                raise self.scenario.error(
                    (*path, position), f"no signal matches '{pattern}'", nearest(pattern, self.names)
                )
            wanted.update(found)
        return [name for name in self.names if name in wanted]


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
            wiring.add(component)
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
        controllers = []
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
