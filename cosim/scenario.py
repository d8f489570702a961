"""What a scenario file may contain; `cosim.library` finds and loads one.

A scenario is one YAML file: a system of components and connections, what is measured and what disturbs it, the
controllers, the duration, and what to report. Everything is checked when it is read, and an error names the file,
the line and the cure. What needs the FMUs (names and units of variables) is checked when the system is built.

Quantities are numbers in the variable's own unit, or text with a unit ("20 kg/h").
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pydantic
from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, PrivateAttr, Tag

from cosim.action_specs import ActionSpec, FaultSpec, Stops, StopSpec
from cosim.component import KeyPath
from cosim.distributions import ChoiceSpec, DistributionSpec, Drawable, LognormalSpec, NormalSpec, UniformSpec
from cosim.disturbance_specs import (
    CorrelationSpec,
    LotsSpec,
    NoiseSpec,
    RampSpec,
    SineSpec,
    StepSpec,
    WalkSpec,
    names_of,
)
from cosim.disturbance_specs import (
    DisturbanceSpec as DisturbanceSpec,
)
from cosim.named_lists import numbered
from cosim.values import Name, PositiveSeconds, Quantity, Seconds, Section, Signal, fail
from cosim.yaml_lines import Source
from fmus.errors import GalenicError, nearest
from fmus.quantity import parse_quantity

_COMPONENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")
_REFERENCE = "correct the value; docs/scenarios.md says what is allowed here"
_ARROW = re.compile(r"\s*(\S+)\s*->\s*(\S+)\s*")


def _component_name(value: str) -> str:
    if not _COMPONENT.fullmatch(value):
        raise fail(f"'{value}' is not a name", "use letters, digits and underscores, beginning with a letter")
    return value


def _connection(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    match = _ARROW.fullmatch(value)
    if match is None:
        raise fail(f"'{value}' is not a connection", "write 'component.output -> component.input'")
    return {"from": match[1], "to": match[2]}


#: Of a component; the name of one within a nested system has dots.
ComponentName = Annotated[str, AfterValidator(_component_name)]


class ComponentSpec(Section):
    """One FMU: a unit model by name or own Python file, or an FMU file beside the scenario."""

    unit: str | None = None
    fmu: str | None = None
    parameters: dict[str, Drawable] = Field(default_factory=dict)
    parameter_file: str | None = None
    start: dict[str, Drawable] = Field(default_factory=dict)
    period: PositiveSeconds | None = None
    interface: Literal["co_simulation", "model_exchange"] | None = None
    isolate: bool = False
    time_limit: PositiveSeconds | None = None
    event_mode: bool = False

    @pydantic.model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.unit is None) == (self.fmu is None):
            raise fail("a component is either a unit or an FMU", "give one of 'unit: NAME' and 'fmu: FILE'")
        if self.time_limit is not None and not self.isolate:
            raise fail("a time limit needs a process of its own", "add 'isolate: true', or remove 'time_limit'")
        return self


class ConnectionSpec(Section):
    """``to = factor * from + offset`` in the unit of ``to``; where ``convert_units`` is false, of ``from``'s number."""

    source: str = Field(alias="from")
    target: str = Field(alias="to")
    factor: float = 1.0
    offset: Quantity = 0.0
    convert_units: bool = True
    lagged: bool = False  # takes a value one step old, on purpose: it closes no algebraic loop

    @property
    def text(self) -> str:
        """As it is written in one line."""
        return f"{self.source} -> {self.target}"

    @property
    def plain(self) -> bool:
        """Whether nothing but units is converted."""
        return self.factor == 1.0 and self.offset == 0.0 and self.convert_units


#: A section, or text "component.output -> component.input".
Connection = Annotated[ConnectionSpec, BeforeValidator(_connection, json_schema_input_type=str | ConnectionSpec)]


class SensorSpec(Section):
    """A sensor; see `cosim.sensors.Sensor`. A period of None is the communication step."""

    measures: Signal
    period: PositiveSeconds | None = None
    delay: Seconds = 0.0
    noise: Quantity = 0.0
    bias: Quantity = 0.0
    drift: Quantity = 0.0
    start: Quantity | None = None


class MasterSpec(Section):
    """How the system is stepped."""

    algorithm: Literal["jacobi", "gauss_seidel", "iterative", "error_controlled"] = "jacobi"
    method: Literal["newton", "fixed_point"] = "newton"  # of the iterative algorithm
    tolerance: Annotated[float, Field(gt=0.0)] = 1e-6
    relaxation: Annotated[float, Field(gt=0.0, le=2.0)] = 1.0
    max_iterations: Annotated[int, Field(ge=1)] = 50
    smallest_step: PositiveSeconds | None = None
    extrapolation: Literal[0, 1] = 0
    kernel: Literal["native", "python"] = "native"
    threads: Annotated[int, Field(ge=1)] = 1


class PlotPanel(Section):
    """One panel of the scenario's figure; values in ``unit`` where given."""

    title: str
    signals: list[Signal]
    unit: str | None = None
    limits: tuple[float | None, float | None] | None = Field(default=None, strict=False)


class RecordSpec(Section):
    """Signals, by name or pattern, that are stored every so often; None is every communication step."""

    signals: Annotated[list[str], Field(min_length=1)]
    every: PositiveSeconds | None = None


def _record_kind(value: Any) -> str:
    """Which form of ``record`` a value has, so that its errors are those of that form alone."""
    if not isinstance(value, list):
        return "all"
    return "groups" if any(isinstance(item, Mapping | RecordSpec) for item in value) else "patterns"


#: What is stored: all signals, those that match patterns, or groups of signals at their own rates.
Record = Annotated[
    Annotated[Literal["all"], Tag("all")]
    | Annotated[list[str], Tag("patterns")]
    | Annotated[list[RecordSpec], Tag("groups")],
    Discriminator(_record_kind),
]


class Scenario(Section):
    """A validated scenario. Immutable; ``model_copy(update=...)`` makes a variant that keeps its lines."""

    scenario: Literal["galenic/1"]
    description: str = ""
    duration: PositiveSeconds
    communication_step: PositiveSeconds
    seed: Annotated[int, Field(ge=0)] = 0
    master: MasterSpec = MasterSpec()
    components: Annotated[dict[ComponentName, ComponentSpec], Field(min_length=1)]
    connections: list[Connection] = Field(default_factory=list)
    sensors: dict[Name, SensorSpec] = Field(default_factory=dict)
    disturbances: list[DisturbanceSpec] = Field(default_factory=list)
    actions: list[ActionSpec] = Field(default_factory=list)
    stop_when: Stops = Field(default_factory=list)
    controllers: dict[Name, dict[str, Any]] = Field(default_factory=dict)
    kpis: dict[str, dict[str, Any]] = Field(default_factory=dict)
    plot: list[PlotPanel] = Field(default_factory=list)
    record: Record = "all"

    _source: Source = PrivateAttr(default_factory=lambda: Source(None))
    _directory: Path = PrivateAttr(default_factory=Path.cwd)
    _name: str = PrivateAttr(default="scenario")

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self._name

    @property
    def directory(self) -> Path:
        """The folder against which files in the scenario are resolved."""
        return self._directory

    @property
    def file(self) -> Path | None:
        """The scenario file, or None where the scenario was made in Python."""
        return self._source.file

    @property
    def text(self) -> str:
        """The file's text."""
        return self._source.text

    @property
    def overrides(self) -> tuple[str, ...]:
        """What was given beside the file, as ``KEY=VALUE``."""
        return self._source.overrides

    def line(self, path: KeyPath) -> int | None:
        """The line of the key at ``path``, where the scenario is from a file."""
        return self._source.line(path)

    def column(self, path: KeyPath) -> int | None:
        """How many characters stand before the text at ``path`` in its line; None where that is not known."""
        return self._source.column(path)

    def error(self, path: KeyPath, message: str, cure: str = "") -> GalenicError:
        """An error about the key at ``path``, with file and line."""
        return self._source.error(path, message, cure)

    def located(self, path: KeyPath, error: GalenicError) -> GalenicError:
        """``error`` with the file and line of the key at ``path``, unless it has a place already."""
        return error if error.file is not None else self.error(path, error.message, error.cure)

    def quantity(self, path: KeyPath, value: float | str | bool, unit: str) -> float:
        """``value`` of the key at ``path`` in ``unit``; its errors carry the line."""
        try:
            number = parse_quantity(value, unit)
        except GalenicError as error:
            raise self.located(path, error) from error
        if not math.isfinite(number):
            raise self.error(path, f"'{value}' is too large a number", "give a finite value")
        return number

    def resolve(self, path: str) -> Path:
        """A file that the scenario names, relative to the scenario's folder."""
        return self._directory / Path(path).expanduser()

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any], directory: Path | None = None, name: str = "scenario") -> Self:
        """A scenario made in Python from what a file would contain. Raises like `load_scenario`."""
        # JSON is YAML: results keep the text and can be drawn again
        text = json.dumps(data, indent=1, default=str, skipkeys=True) if isinstance(data, dict) else ""
        return cls.from_source(Source(data, text=text), directory or Path.cwd(), name)

    @classmethod
    def from_source(cls, source: Source, directory: Path, name: str) -> Self:
        """A scenario from a parsed file; ``directory`` is what its files are relative to."""
        source = numbered(source)
        _check_header(source)
        try:
            made = cls.model_validate(source.data)
        except pydantic.ValidationError as error:
            raise _explain(error, source) from error
        made._source, made._directory, made._name = source, directory, name
        made._check()
        return made

    def _check(self) -> None:
        steps = self.duration / self.communication_step
        if abs(steps - round(steps)) > 1e-6 or round(steps) < 1:
            raise self.error(
                ("duration",),
                f"the duration of {self.duration:g} s is not a whole number of communication steps "
                f"of {self.communication_step:g} s",
                "choose a duration that is a multiple of communication_step",
            )
        sections = (("components", self.components), ("sensors", self.sensors), ("controllers", self.controllers))
        seen: dict[str, str] = {}
        for section, names in sections:
            for name in names:
                if name in seen:
                    raise self.error((section, name), f"'{name}' is also one of the {seen[name]}", "rename one of them")
                seen[name] = section
        for name in self.components:
            for end in (i for i, letter in enumerate(name) if letter == "." and name[:i] in seen):
                raise self.error(
                    ("components", name), f"'{name}' looks like a variable of '{name[:end]}'", "rename one of them"
                )
        for name, config in self.controllers.items():
            if not isinstance(config.get("type"), str):
                raise self.error(("controllers", name), "a controller needs a type", "add 'type: pi', for example")
        for index, spec in enumerate(self.disturbances):
            if spec.lots and spec.lots.every < self.communication_step:
                raise self.error(
                    ("disturbances", index, "lots", "every"),
                    "lots change more often than once in a communication step",
                    "let a lot last longer, or use noise",
                )
        known: set[str] = set()
        for index, name in enumerate(names_of(self.disturbances)):
            if name in known:
                raise self.error(
                    ("disturbances", index, "name"), f"there are two disturbances '{name}'", "rename one of them"
                )
            known.add(name)


def _check_header(source: Source) -> None:
    """Say plainly what is wrong with a file that is no scenario at all."""
    if not isinstance(source.data, Mapping):
        raise source.error((), "this is not a scenario", "begin the file with 'scenario: galenic/1'")
    if "scenario" not in source.data:
        raise source.error((), "this file does not say that it is a scenario", "add the line 'scenario: galenic/1'")
    if source.data["scenario"] != "galenic/1":
        raise source.error(
            ("scenario",), f"unknown scenario format '{source.data['scenario']}'", "write 'scenario: galenic/1'"
        )


def _explain(error: pydantic.ValidationError, source: Source) -> GalenicError:
    """The first problem as an error; the others are counted, with their lines."""
    problems = error.errors(include_url=False)
    # a misspelt key is both unknown and missing: what is wrong is the spelling
    misspelt = {p["loc"][:-1] for p in problems if p["type"] == "extra_forbidden"}
    problems = [p for p in problems if not (p["type"] == "missing" and p["loc"][:-1] in misspelt)]
    first, *others = sorted(problems, key=lambda p: source.line(_key_path(p["loc"], source)) or 0)
    path = _key_path(first["loc"], source)
    message, cure = _describe(first, path)
    lines = sorted({line for p in others if (line := source.line(_key_path(p["loc"], source))) is not None})
    if lines:
        message += f" (more problems in line {', '.join(map(str, lines[:8]))})"
    return source.error(path, message, cure)


def _key_path(loc: tuple[int | str, ...], source: Source) -> KeyPath:
    """The part of pydantic's location that exists in the data (it also names union members and ``[key]``)."""
    data: Any = source.data
    path: list[str | int] = []
    for key in loc:
        exists = (
            key in data
            if isinstance(data, Mapping)
            else isinstance(data, list) and isinstance(key, int) and key < len(data)
        )
        if not exists:
            continue
        data = data[key]
        path.append(key)
    return tuple(path)


def _describe(problem: Any, path: KeyPath) -> tuple[str, str]:
    kind, loc, context = problem["type"], problem["loc"], problem.get("ctx", {})
    where = ".".join(str(key) for key in path)
    if kind == "galenic":
        return (f"{where}: {context['message']}" if where else context["message"]), context["cure"]
    if kind == "extra_forbidden":
        return f"unknown key '{loc[-1]}'", nearest(str(loc[-1]), _fields(loc[:-1]))
    if kind == "missing":
        return f"'{loc[-1]}' is missing" + (f" in {where}" if where else ""), f"add '{loc[-1]}: ...'"
    shown = repr(problem["input"])
    shown = shown if len(shown) <= 40 else shown[:37] + "..."
    for fragment, (expected, cure) in _EXPECTED.items():
        if fragment in kind:
            return f"{where} is {shown}, not {expected}", cure
    return f"{where} is {shown}: {problem['msg'][:1].lower()}{problem['msg'][1:]}", _REFERENCE


#: Fragments of pydantic's error types, with what should stand there and the cure.
_EXPECTED = {
    "float": ("a number", "write a number without unit, such as 0.5"),
    "int": ("a whole number", "write a number without unit, such as 1"),
    "string": ("text", "write text; in quotes where it looks like a number"),
    "list": ("a list", "write lines that begin with '- ', or [a, b]"),
    "tuple": ("a pair", "write [lower, upper]; null where there is no bound"),
    "dict": ("a section", "write indented 'key: value' lines, or {key: value}"),
    "model": ("a section", "write indented 'key: value' lines, or {key: value}"),
    "too_short": ("enough", "there has to be at least one"),
}


def _fields(loc: tuple[int | str, ...]) -> list[str]:
    """The keys that the section at ``loc`` may have."""
    model: type[pydantic.BaseModel] = Scenario
    for key in loc:
        if isinstance(key, str) and (child := _SECTIONS.get((model, key))) is not None:
            model = child
    return [field.alias or name for name, field in model.model_fields.items()]


_SECTIONS: dict[tuple[type[pydantic.BaseModel], str], type[pydantic.BaseModel]] = {
    (Scenario, "components"): ComponentSpec,
    (Scenario, "connections"): ConnectionSpec,
    (Scenario, "master"): MasterSpec,
    (Scenario, "sensors"): SensorSpec,
    (Scenario, "disturbances"): DisturbanceSpec,
    (Scenario, "plot"): PlotPanel,
    (Scenario, "record"): RecordSpec,
    (ComponentSpec, "parameters"): DistributionSpec,
    (ComponentSpec, "start"): DistributionSpec,
    (DistributionSpec, "normal"): NormalSpec,
    (DistributionSpec, "lognormal"): LognormalSpec,
    (DistributionSpec, "uniform"): UniformSpec,
    (DistributionSpec, "choice"): ChoiceSpec,
    (Scenario, "actions"): ActionSpec,
    (Scenario, "stop_when"): StopSpec,
    (ActionSpec, "fault"): FaultSpec,
    (DisturbanceSpec, "step"): StepSpec,
    (DisturbanceSpec, "ramp"): RampSpec,
    (DisturbanceSpec, "noise"): NoiseSpec,
    (DisturbanceSpec, "sine"): SineSpec,
    (DisturbanceSpec, "walk"): WalkSpec,
    (DisturbanceSpec, "lots"): LotsSpec,
    (LotsSpec, "correlation"): CorrelationSpec,
}
