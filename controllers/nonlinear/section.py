"""The section of a nonlinear predictive controller in a scenario file, turned into a law."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from controllers.base import Key, Quantity, positive, quantity
from controllers.design_space.constraint import RegionConstraint, region_constraint
from controllers.estimation.channels import Channel
from controllers.estimation.model import DisturbanceState, Kind
from controllers.nonlinear.config import NonlinearDisturbanceConfig, NonlinearSection
from controllers.nonlinear.engines import ENGINES, NATIVE
from controllers.nonlinear.horizon import spaced
from controllers.nonlinear.known_inputs import KnownPort, read_known
from controllers.nonlinear.law import LawOptions, NonlinearLaw
from controllers.nonlinear.names import index_of, place_of
from controllers.nonlinear.specification import (
    Batch,
    Branch,
    Controlled,
    EconomicTerm,
    KnownInput,
    Manipulated,
    ScenarioTree,
    Specification,
)
from controllers.operation.section import SectionReader, load_file
from controllers.surrogates import SurrogateModel, load_model
from controllers.surrogates.linear_surrogate import SurrogateInput, SurrogateOutput
from cosim.component import ControllerContext
from fmus.errors import GalenicError, nearest

__all__ = ["LawModel", "NonlinearSection", "build", "reader"]

#: What becomes of limits beyond the training range.
_OUTSIDE = {"linear": "widen", "mechanistic": "widen"}
#: Scale of an output that nobody gave one, as a share of its usual size.
_SCALE = 0.1
#: Relative standard deviation of the start, where nobody gave one, and its floor as a share of the nominal.
_START, _FLOOR = 0.1, 0.01


@dataclass(frozen=True)
class LawModel:
    """What a section reader needs to know of a model: its manipulated inputs alone, and all outputs."""

    inputs: tuple[SurrogateInput, ...]
    outputs: tuple[SurrogateOutput, ...]
    period: float

    def input_index(self, name: str) -> int:
        """By full or unique last name. Raises GalenicError."""
        return index_of(name, [u.name for u in self.inputs], "manipulated input")

    def output_index(self, name: str) -> int:
        """By full or unique last name. Raises GalenicError."""
        return index_of(name, [y.name for y in self.outputs], "output")


def reader(section: NonlinearSection, context: ControllerContext) -> tuple[SurrogateModel, SectionReader]:
    """The model of a section, and the reader of what all sections share.

    Raises:
        GalenicError: at the key at fault.
    """
    model = load_file(context, "model", section.model, load_model, "run 'galenic identify' to make it")
    names = [u.name for u in model.inputs]
    known = {names[place_of(n, names, "input", ("known", n), context)] for n in section.known}
    chosen = {names[place_of(n, names, "input", ("manipulated", n), context)] for n in section.manipulated}
    both = known & chosen
    if both:
        raise context.error(("known",), f"'{min(both)}' is known and manipulated", "remove one of the two")
    manipulated = tuple(u for u in model.inputs if u.name in (chosen or set(names) - known))
    outputs = zip(model.outputs, model.process.outputs, strict=True)
    sizes = np.array([max(abs(y.operating_point), o.nominal) for y, o in outputs])
    return model, SectionReader(
        section, context, LawModel(manipulated, model.outputs, model.period), sizes, key="model"
    )


def build(section: NonlinearSection, model: SurrogateModel, reader: SectionReader) -> NonlinearLaw:
    """The law of a section; reads measurements, controlled and manipulated once each.

    Raises:
        GalenicError: at the key at fault.
    """
    return _Builder(section, model, reader).law()


class _Builder:
    def __init__(self, section: NonlinearSection, model: SurrogateModel, reader: SectionReader) -> None:
        self.c, self.model, self.reader, self.context = section, model, reader, reader.context
        self.known_ports: list[KnownPort] = []

    def law(self) -> NonlinearLaw:
        c, context, model = self.c, self.context, self.model
        if c.engine not in ENGINES:
            raise context.error("engine", f"there is no engine '{c.engine}'", nearest(c.engine, ENGINES))
        channels = self._channels()
        controlled, manipulated = self._controlled(), self._manipulated()
        try:
            specification = Specification(
                controlled=tuple(controlled),
                manipulated=tuple(manipulated),
                economic=tuple(self._economic()),
                known=tuple(self._known()),
                operating={u.name: u.operating_point for u in model.inputs},
                batch=self._batch(),
                region=self._region(),
                tree=self._tree(),
            )
            law = NonlinearLaw(model.process, specification, channels, self._disturbances(), self._options())
        except GalenicError as error:
            if error.file is not None:
                raise
            raise context.error(self._key_of(error.message), error.message, error.cure) from error
        self._check_domain(manipulated)
        law.inflation = None if self._always_inside(manipulated) else model.inflation
        law.disturbances = tuple(
            replace(shown, unit=self._size(d.kind, model.process.index(d.kind, d.signal))[0])
            for shown, d in zip(law.disturbances, law.model.disturbances, strict=True)
        )
        law.known_ports = tuple(self.known_ports)
        law.notices = (*law.notices, *model.notices)
        return law

    def _check_domain(self, manipulated: Sequence[Manipulated]) -> None:
        """Refuse bounds beyond the model's training range, where predictions there are not to be widened."""
        if (self.c.outside_domain or _OUTSIDE.get(self.model.kind, "refuse")) == "widen":
            return
        low, high = self.model.operating_point, self.model.operating_point
        for u in manipulated:
            index = self.model.process.index("input", u.input)
            low[index], high[index] = u.bounds
        try:
            self.model.check_bounds(low, high)
        except GalenicError as error:
            cure = f"{error.cure}; or write 'outside_domain: widen'"
            raise self.context.error("manipulated", error.message, cure) from error

    def _always_inside(self, manipulated: Sequence[Manipulated]) -> bool:
        """Whether no plan can leave the training domain, so that nothing has to be looked up in each step."""
        domain, bounds = self.model.domain, {u.input: u.bounds for u in manipulated}
        if domain.center is not None:
            return False
        for name, low, high in zip(domain.names, domain.low, domain.high, strict=True):
            least, most = bounds.get(name, (-math.inf, math.inf) if name in self.known_names else (low, high))
            if least < low or most > high:
                return False
        return True

    @property
    def known_names(self) -> set[str]:
        """Of inputs that others decide, in full."""
        names = [u.name for u in self.model.inputs]
        return {names[index_of(n, names, "input")] for n in self.c.known}

    def _key_of(self, message: str) -> Key:
        """The part of the section that an error of the law is most likely about."""
        for key, words in (
            ("disturbances", ("disturbance",)),
            ("batch", ("harvest",)),
            ("scenario_tree", ("scenario",)),
            ("economic", ("value at the",)),
        ):
            if any(w in message for w in words) and getattr(self.c, key) is not None:
                return key
        return "model"

    def _channels(self) -> list[Channel]:
        result = []
        for m in self.reader.measurements():
            gate = 0.9999 if m.gate is None else math.erf(m.gate / math.sqrt(2.0))
            name = self.model.outputs[m.output].name
            result.append(Channel(name, m.std, delay=round(m.delay / self.model.period), gate=min(gate, 1.0 - 1e-12)))
        return result

    def _controlled(self) -> list[Controlled]:
        result = []
        for read, entry in zip(self.reader.controlled(), self.c.controlled.values(), strict=True):
            scale = read.scale if read.scale is not None else _SCALE * float(self.reader.sizes[read.output])
            result.append(
                Controlled(
                    self.model.outputs[read.output].name,
                    scale,
                    tracked=read.tracked,
                    weight=read.weight,
                    terminal_weight=entry.terminal_weight,
                    limits=read.limits,
                    limit_weight=read.limit_weight,
                    rank=read.rank,
                )
            )
        return result

    def _manipulated(self) -> list[Manipulated]:
        context, inputs = self.context, self.reader.model.inputs
        entries = {self.reader.model.input_index(n): (n, e) for n, e in self.c.manipulated.items()}
        result = []
        for i, (read, u) in enumerate(zip(self.reader.manipulated(), inputs, strict=True)):
            name, entry = entries.get(i, (u.name, None))
            every = None
            if entry is not None and entry.every is not None:
                every = positive(entry.every, "s", context, ("manipulated", name, "every"))
            wanted = entry is not None and entry.ideal is not None
            result.append(
                Manipulated(
                    u.name,
                    (read.low, read.high),
                    (read.high - read.low) / 2.0,
                    u.unit,
                    max_move=read.max_move,
                    weight_move=read.weight_move,
                    ideal=read.ideal if wanted or self.c.batch is None else None,
                    weight_ideal=read.weight_ideal,
                    weight_target=read.weight_target,
                    period=every,
                )
            )
        return result

    def _tree(self) -> ScenarioTree | None:
        branches = []
        for i, entry in enumerate(self.c.scenario_tree):
            key = ("scenario_tree", i, "changes")
            changes = [self._change(name, value, (*key, name)) for name, value in entry.changes.items()]
            branches.append(Branch(entry.probability, tuple(changes)))
        return ScenarioTree(tuple(branches), self.c.robust_horizon) if branches else None

    def _change(self, name: str, value: Quantity, key: tuple[str | int, ...]) -> tuple[Kind, str, float]:
        """What is added to a parameter, an input or an output in a scenario."""
        process, context = self.model.process, self.context
        signals: list[tuple[Kind, str, str, float]] = [("parameter", n, "1", v) for n, v in process.parameters]
        signals += [("input", u.name, u.unit, u.operating_point) for u in self.model.inputs]
        signals += [("output", y.name, y.unit, y.operating_point) for y in self.model.outputs]
        index = place_of(name, [s[1] for s in signals], "parameter, input or output", key, context)
        kind, full, unit, usual = signals[index]
        if isinstance(value, str) and value.strip().endswith("%") and unit != "%":
            return kind, full, quantity(value, "1", context, key) * usual
        return kind, full, quantity(value, unit, context, key)

    def _region(self) -> RegionConstraint | None:
        """The design space's region, where all of its setpoints are manipulated."""
        if self.reader.space is None:
            return None
        inputs = self.reader.model.inputs
        return region_constraint(self.reader.space, [u.name for u in inputs], [u.unit for u in inputs])

    def _economic(self) -> list[EconomicTerm]:
        result = []
        signals = [(u.name, u.unit) for u in self.model.inputs] + [(y.name, y.unit) for y in self.model.outputs]
        names = [name for name, _ in signals]
        for name, entry in self.c.economic.items():
            key = ("economic", name)
            place = place_of(name, names, "signal", key, self.context)
            one = 1.0
            if entry.per is not None:
                one = positive(entry.per, signals[place][1], self.context, (*key, "per"))
            result.append(EconomicTerm(names[place], entry.value / one, entry.at))
        return result

    def _known(self) -> list[KnownInput]:
        found, self.known_ports = read_known(self.c.known, self.model.inputs, self.reader.wiring, self.context)
        return found

    def _batch(self) -> Batch | None:
        b, context = self.c.batch, self.context
        if b is None:
            return None
        earliest, latest = (
            None if value is None else positive(value, "s", context, ("batch", key))
            for key, value in (("min_harvest", b.min_harvest), ("max_harvest", b.max_harvest))
        )
        if (earliest is None) != (latest is None):
            raise context.error("batch", "one of min_harvest and max_harvest is missing", "give both or none")
        duration = positive(b.duration, "s", context, ("batch", "duration"))
        horizon = math.inf if b.horizon is None else positive(b.horizon, "s", context, ("batch", "horizon"))
        return Batch(duration, earliest, latest, b.value_per_hour, horizon)

    def _disturbances(self) -> list[DisturbanceState] | None:
        if self.c.disturbances is None:
            return None
        return [self._disturbance(e, ("disturbances", i)) for i, e in enumerate(self.c.disturbances)]

    def _disturbance(self, entry: NonlinearDisturbanceConfig, key: tuple[str | int, ...]) -> DisturbanceState:
        process, context = self.model.process, self.context
        places: tuple[tuple[Kind, str, str | None, Sequence[str]], ...] = (
            ("input", "on", entry.on, process.inputs),
            ("output", "on_output", entry.on_output, [y.name for y in process.outputs]),
            ("rate", "rate", entry.rate, [s.name for s in process.states]),
            ("parameter", "parameter", entry.parameter, [n for n, _ in process.parameters]),
        )
        given = [place for place in places if place[2] is not None]
        if len(given) != 1:
            raise context.error(
                key, "a disturbance acts in one place", "write one of 'on', 'on_output', 'rate', 'parameter'"
            )
        kind, option, name, names = given[0]
        assert name is not None
        index = place_of(name, names, kind, (*key, option), context)
        unit, size = self._size(kind, index)
        wander = (0.2 if kind == "rate" else 0.02) * size
        if entry.wander is not None:
            wander = positive(entry.wander, unit, context, (*key, "wander"))
        low, high = (entry.limits or (None, None)) if entry.limits else (None, None)
        return DisturbanceState(
            kind,
            names[index],
            wander,
            -math.inf if low is None else low,
            math.inf if high is None else high,
        )

    def _size(self, kind: Kind, index: int) -> tuple[str, float]:
        """Unit of a disturbance, and the usual size of what it acts on."""
        process = self.model.process
        if kind == "input":
            u = self.model.inputs[index]
            width = u.max - u.min
            return u.unit, max(abs(u.operating_point), width if math.isfinite(width) else 0.0) or 1.0
        if kind == "output":
            return process.outputs[index].unit, process.outputs[index].nominal
        if kind == "rate":
            unit = process.states[index].unit
            return f"{unit}/h" if unit.isalpha() else f"({unit})/h", process.states[index].nominal
        return "1", abs(process.parameters[index][1]) or 1.0

    def _options(self) -> LawOptions:
        c, context, period = self.c, self.context, self.model.period
        process = self.model.process
        periods = 30
        if c.prediction_horizon is not None:
            periods = max(1, round(positive(c.prediction_horizon, "s", context, "prediction_horizon") / period))
        if c.grid is not None and (not c.grid or min(c.grid) < 1):
            raise context.error("grid", "a grid has lengths in periods from 1 on", "for example [1, 1, 2, 4]")
        if c.grid is not None and c.prediction_horizon is not None and sum(c.grid) != periods:
            raise context.error(
                "grid", f"the grid is {sum(c.grid)} periods long, the horizon {periods}", "leave one of them out"
            )
        if c.restart_every and (c.engine not in NATIVE or c.economic):
            raise context.error(
                "restart_every",
                "a second search for the plan is made by the engines in C, without economic terms",
                f"'engine: {NATIVE[0]}', or leave restart_every out",
            )
        names = [s.name for s in process.states]
        start = np.array(self.model.initial, dtype=np.float64)
        nominal = np.array([s.nominal for s in process.states])
        std = np.maximum(_START * np.abs(start), _FLOOR * nominal)
        for name, entry in c.initial.items():
            index = place_of(name, names, "state", ("initial", name), context)
            if entry.value is not None:
                start[index] = entry.value
            std[index] = std[index] if entry.std is None else entry.std
        stages = 24
        return LawOptions(
            grid=c.grid or ([1] * stages if c.batch is not None else spaced(periods)),
            integration_step=None
            if c.integration_step is None
            else positive(c.integration_step, "s", context, "integration_step"),
            engine=c.engine,
            passes=c.passes,
            restart_every=c.restart_every,
            estimator=c.estimator,
            window=c.window,
            memory=0 if c.memory is None else round(positive(c.memory, "s", context, "memory") / period),
            start=start,
            start_std=std,
            from_zero=not c.initial,
            target=c.target,
        )
