"""What an identification excites and observes, and for how long; from a file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controllers.design_space import DesignSpace
from controllers.surrogates.excitation import EXCITATIONS
from cosim.yaml_lines import Source, read_yaml
from fmus.errors import GalenicError, nearest
from fmus.quantity import parse_quantity

SCHEMA = "galenic/1"


@dataclass(frozen=True)
class InputPlan:
    """How one input is excited; numbers or texts with a unit. ``value`` defaults to what the plant starts with."""

    step: float | str
    value: float | str | None = None


@dataclass(frozen=True)
class IdentificationPlan:
    """What to excite, what to observe and how long.

    Args:
        inputs: by signal.
        outputs: by signal: whether it integrates, None to decide from the response.
        period: sampling period of the surrogate, and of the controller that uses it, in s.
        horizon: length of a step response in s; the slowest lag should be over within it.
        settle: time in s from the plant's start to rest, before each test.
        tolerance: largest error of the surrogate's step responses, relative to each output's largest response.
        max_order: largest order of the surrogate, without integrators.
        validations: number of validation runs.
        seed: of the validation's excitation.
        scenario: scenario file that makes the plant (for who runs the plan).
        parameters: of components in that scenario, ``{component: {parameter: quantity}}``, for the tests only: what
            keeps a feeder from refilling.
        description: goes into the surrogate.
        method: how the model is made; see `METHODS`.
        excitation: of the training runs; see `controllers.surrogates.excitation`.
        runs: number of training runs.
        duration: of a training run in s; the horizon by default.
        noise: standard deviation of what is added to outputs in training, by signal, in their units.
        controllers: of the scenario that stay, such as the recipe of a batch.
        known: inputs that nobody excites but the model knows, such as what the recipe feeds.
        fastest: smallest dominant time constant in s, from which the excitation's clock follows; 0: by step tests.
        slowest: the largest.
        lags: the window of data-driven models: how many past ``outputs``, which past ``inputs``, time constants of
            ``filters`` on the inputs and their ``stages``.
        units: neurons of the neural network's hidden layer.
        mechanistic: what a surrogate file of that kind says of reduction.
        dead_times: by output and input, where they are known better than runs tell; for ``arx`` and ``subspace``.
    """

    inputs: Mapping[str, InputPlan]
    outputs: Mapping[str, bool | None]
    period: float
    horizon: float
    settle: float
    tolerance: float = 0.01
    max_order: int = 60
    validations: int = 2
    seed: int = 1
    scenario: Path | None = None
    parameters: Mapping[str, Mapping[str, float | str]] = field(default_factory=dict)
    description: str = ""
    method: str = "era"
    excitation: str = ""
    runs: int = 4
    duration: float = 0.0
    noise: Mapping[str, float | str] = field(default_factory=dict)
    controllers: Sequence[str] = ()
    known: Sequence[str] = ()
    fastest: float = 0.0
    slowest: float = 0.0
    lags: Mapping[str, Any] = field(default_factory=dict)
    units: int = 16
    mechanistic: Mapping[str, Any] = field(default_factory=dict)
    dead_times: Mapping[str, Mapping[str, float | str]] = field(default_factory=dict)
    source: Source = field(default_factory=lambda: Source(None))

    @classmethod
    def load(cls, file: Path | str) -> IdentificationPlan:
        """Read a plan from YAML.

        Keys: ``identify: galenic/1``, ``scenario``, ``design_space`` with ``fraction`` (step = fraction of the half
        width of each setpoint's range, 0.5 by default), ``inputs: {signal: {step, value}}``,
        ``outputs: {signal: {integrating}}``, ``period``, ``horizon``, ``settle``, ``tolerance``, ``max_order``,
        ``validations``, ``seed``, ``parameters: {component: {name: quantity}}``, ``description``, ``method``,
        ``excitation``, ``runs``, ``duration``, ``noise: {signal: quantity}``, ``controllers: [..]``, ``known: [..]``,
        ``fastest``, ``slowest``, ``lags: {outputs, inputs, filters, stages}``, ``units``, ``mechanistic: {..}``,
        ``dead_times: {output: {input: quantity}}``.
        Files are relative to the plan.

        Raises:
            GalenicError: with file, line and cure.
        """
        return _Reader(Path(file)).plan()


_PLAN_KEYS = (
    "identify",
    "description",
    "scenario",
    "parameters",
    "design_space",
    "fraction",
    "inputs",
    "outputs",
    "period",
    "horizon",
    "settle",
    "tolerance",
    "max_order",
    "validations",
    "seed",
    "method",
    "excitation",
    "runs",
    "duration",
    "noise",
    "controllers",
    "known",
    "fastest",
    "slowest",
    "lags",
    "units",
    "mechanistic",
    "dead_times",
)
#: How a model is made: step tests and ERA, PRBS and ARX or a subspace method, the units' own equations, sparse
#: polynomial NARX, neural NARX.
METHODS = ("era", "arx", "subspace", "mechanistic", "narx", "neural")


class _Reader:
    def __init__(self, file: Path) -> None:
        self._file = file
        self._source = read_yaml(file)
        data = self._source.data
        if not isinstance(data, dict) or data.get("identify") != SCHEMA:
            raise self._source.error((), "this is not an identification plan", f"start with 'identify: {SCHEMA}'")
        self._data: dict[str, Any] = data
        for key in data:
            if key not in _PLAN_KEYS:
                raise self._source.error((key,), f"unknown key '{key}'", nearest(str(key), _PLAN_KEYS))

    def plan(self) -> IdentificationPlan:
        data = self._data
        inputs, outputs = self._inputs(), self._section("outputs", ("integrating",))
        for name, found in (("inputs", inputs), ("outputs", outputs)):
            if not found:
                raise self._source.error((), f"'{name}' is missing", f"add '{name}: {{signal: {{..}}}}'")
        return IdentificationPlan(
            inputs,
            {name: entry.get("integrating") for name, entry in outputs.items()},
            period=self._number("period", "s"),
            horizon=self._number("horizon", "s"),
            settle=self._number("settle", "s", None, least=0.0),
            tolerance=self._number("tolerance", "1", 0.01),
            max_order=round(self._number("max_order", "1", 60)),
            validations=round(self._number("validations", "1", 2)),
            seed=round(self._number("seed", "1", 1)),
            scenario=self._file.parent / str(data["scenario"]) if data.get("scenario") else None,
            parameters=self._section("parameters", None),
            description=str(data.get("description") or ""),
            method=self._one_of("method", METHODS, "era"),
            excitation=self._one_of("excitation", EXCITATIONS, ""),
            runs=round(self._number("runs", "1", 4)),
            duration=self._number("duration", "s", 0.0),
            noise=self._plain("noise"),
            controllers=self._names("controllers"),
            known=self._names("known"),
            fastest=self._number("fastest", "s", 0.0),
            slowest=self._number("slowest", "s", 0.0),
            lags=self._plain("lags"),
            units=round(self._number("units", "1", 16)),
            mechanistic=self._plain("mechanistic"),
            dead_times=self._section("dead_times", None),
            source=self._source,
        )

    def _one_of(self, key: str, known: Sequence[str], default: str) -> str:
        value = str(self._data.get(key) or default)
        if value and value not in known:
            raise self._source.error((key,), f"there is no {key} '{value}'", nearest(value, known))
        return value

    def _names(self, key: str) -> list[str]:
        found = self._data.get(key) or []
        if not isinstance(found, list):
            raise self._source.error((key,), f"'{key}' has to be a list", "write [first, second]")
        return [str(item) for item in found]

    def _plain(self, key: str) -> dict[str, Any]:
        found = self._data.get(key) or {}
        if not isinstance(found, dict):
            raise self._source.error((key,), f"'{key}' has to be a mapping", "write 'name: value' below it")
        return dict(found)

    def _number(self, key: str, unit: str, default: float | None = None, *, least: float | None = None) -> float:
        if key not in self._data:
            if default is None:
                raise self._source.error((), f"'{key}' is missing", f"add '{key}:'")
            return default
        try:
            value = parse_quantity(self._data[key], unit)
        except GalenicError as error:
            raise self._source.error((key,), error.message, error.cure) from error
        if not (value > 0.0 or value == least) or not value < math.inf:
            raise self._source.error((key,), f"'{key}' has to be greater than zero", "correct it")
        return value

    def _section(self, key: str, allowed: tuple[str, ...] | None) -> dict[str, dict[str, Any]]:
        entries = self._data.get(key) or {}
        if not isinstance(entries, dict):
            raise self._source.error((key,), f"'{key}' has to be a mapping", "write 'name: {}' below it")
        for name, entry in entries.items():
            if entry is not None and not isinstance(entry, dict):
                raise self._source.error((key, name), f"'{name}' has to be a mapping", "write '{}' for the defaults")
            for inner in entry or {}:
                if allowed is not None and inner not in allowed:
                    raise self._source.error((key, name, inner), f"unknown key '{inner}'", nearest(inner, allowed))
        return {name: entry or {} for name, entry in entries.items()}

    def _inputs(self) -> dict[str, InputPlan]:
        """Steps as given, or a fraction of the half width of the design space."""
        named = self._data.get("design_space")
        space = DesignSpace.load(self._file.parent / str(named)) if named else None
        fraction = self._number("fraction", "1", 0.5)
        entries = self._section("inputs", ("step", "value"))
        if not entries and space:
            entries = {name: {} for name in space.setpoints}
        result: dict[str, InputPlan] = {}
        for name, entry in entries.items():
            step = entry.get("step")
            if step is None:
                if space is None or name not in space.setpoints:
                    raise self._source.error(
                        ("inputs", name), f"'{name}' has no step", "add 'step:', or name a design space that has it"
                    )
                limits = space.setpoints[name]
                step = f"{fraction * (limits.max - limits.min) / 2.0!r} {limits.unit}"
            result[name] = InputPlan(step, entry.get("value"))
        return result
