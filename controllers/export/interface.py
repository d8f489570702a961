"""The variables of an exported controller: what it reads, what may be set, what it shows."""

from __future__ import annotations

import enum
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from controllers.export.c_tables import CTables, c_number, c_table
from controllers.export.source import ExportedMPC
from controllers.nonlinear.law import NonlinearLaw
from controllers.operation.checks import _CAP, _NOISE
from controllers.operation.reasons import Rung, StepReason
from fmus.slots import AT_EVENTS, BEFORE_THE_RUN, IN_CONTINUOUS_TIME, Slot
from fmus.variable import Causality, Kind, Variable

_MAY_BE_MISSING = 8
REASONS = (
    StepReason.SOLVED,
    StepReason.WAITING,
    StepReason.MEASUREMENT_MISSING,
    StepReason.TARGET_FAILED,
    StepReason.SOLVER_FAILED,
    StepReason.NOT_FINITE,
    StepReason.RELAXED_ECONOMICS,
    StepReason.RELAXED_QUALITY,
    StepReason.MISMATCH,
    StepReason.CORRECTED,
    StepReason.REFERENCE_HELD,
    StepReason.SWITCHED_OFF,
    StepReason.ESTIMATE_LOST,
    StepReason.SAFE_STATE,
)
RUNGS = (Rung.SOLVED, Rung.RELAXED, Rung.SHIFTED, Rung.BACKUP, Rung.HOLD, Rung.SAFE)
DECISIONS = {
    "harvest_time": "when the batch is harvested, from its start",
    "time_to_harvest": "from now",
    "target": "whether a steady state was found for the references",
}


@dataclass
class Interface:
    """Variables in the order of their value references; ``hidden`` states stand between parameters and outputs."""

    inputs: list[Variable] = field(default_factory=list)
    parameters: list[Variable] = field(default_factory=list)
    outputs: list[Variable] = field(default_factory=list)

    def slots(self, hidden: int) -> list[Slot | None]:
        """All slots; None for a hidden one; time is the last."""
        always = BEFORE_THE_RUN | AT_EVENTS | IN_CONTINUOUS_TIME
        found: list[Slot | None] = [
            self._slot(v, "discrete", "", always | (_MAY_BE_MISSING if v.kind == "Real" else 0)) for v in self.inputs
        ]
        found += [self._slot(v, "tunable", "exact", BEFORE_THE_RUN | AT_EVENTS) for v in self.parameters]
        found += [None] * hidden
        found += [self._slot(v, "discrete", "calculated", 0) for v in self.outputs]
        return [*found, Slot("time", "independent", "continuous", "", "s", "time")]

    @staticmethod
    def _slot(v: Variable, variability: str, initial: str, settable: int) -> Slot:
        return Slot(
            v.name,
            v.causality,
            variability,
            initial,
            v.unit if v.kind == "Real" else "",
            v.description,
            start=v.start or 0.0,
            minimum=-math.inf if v.minimum is None else v.minimum,
            maximum=math.inf if v.maximum is None else v.maximum,
            kind=v.kind,
            settable=settable,
            variable=v,
        )


def mpc_interface(mpc: ExportedMPC, tables: CTables) -> tuple[Interface, dict[str, int]]:
    """The variables of an MPC, where its channels are among them as tables, and the input of each known input."""
    made = Interface()
    _measured(mpc, tables, made)
    told = {}
    for name, port in mpc.told.items():
        text = f"present value of {name}, which others decide; NaN: as before"
        told[name] = _add(made.inputs, port.name, "input", port.unit, text, port.start)
    _references(mpc, tables, made)
    _manipulated(mpc, tables, made)
    _soft_limits(mpc, tables, made)
    text = "0 off, 1 shadow and 2 advisory: it computes, the fallback inputs are in force, 3 closed"
    mode = _add(made.inputs, "mode", "input", "1", text, float(mpc.rules.mode), kind="Integer")
    tables.size(MODE_INPUT=mode, ENABLE_INPUT=-1)
    if mpc.waits:
        text = "whether what it waits for holds; once it did it drives"
        tables.size(ENABLE_INPUT=_add(made.inputs, "enable", "input", "1", text, 0.0, kind="Boolean"))
    tables.size(START_PARAMETER=len(made.parameters))
    _add(made.parameters, "start_after", "parameter", "s", "before this time it only estimates", mpc.start_after)
    tables.size(FALLBACK_PARAMETER=len(made.parameters))
    _add(
        made.parameters,
        "fallback_connected",
        "parameter",
        "1",
        "whether the fallback inputs are what it gives way to; else it holds its last answer",
        0.0,
        kind="Boolean",
    )
    _shown(mpc, made)
    fades = math.exp(-mpc.period / mpc.rules.mismatch_time)
    tables.size(MISMATCH_FADES=fades, MISMATCH_SIGMAS=mpc.rules.mismatch_sigmas)
    tables.size(MISMATCH_CAP=_CAP, NOISE_SIGMAS=_NOISE)
    tables.size(MISMATCH_STEPS_DOWN=int(mpc.rules.mismatch_steps_down))
    tables.size(N_SHOWN=len(made.outputs), PERIOD=mpc.period, ESTIMATE_AFTER=mpc.estimate_after)
    return made, told


def _add(
    to: list[Variable],
    name: str,
    causality: Causality,
    unit: str,
    description: str,
    start: float | None,
    *,
    kind: Kind = "Real",
    nominal: float | None = None,
) -> int:
    size = abs(start or 0.0) if nominal is None else nominal
    source = "the scenario" if causality == "parameter" else ""
    to.append(
        Variable(
            name,
            causality,
            unit,
            description,
            start,
            nominal=size or 1.0,
            kind=kind,
            source=source,
            tunable=causality == "parameter",
        )
    )
    return len(to) - 1


def _measured(mpc: ExportedMPC, tables: CTables, made: Interface) -> None:
    values: list[int] = []
    samples: list[int] = []
    qualities: list[int] = []
    for delay, port in zip(mpc.delays, mpc.measured, strict=True):
        late = f", {delay:g} s late" if delay else ""
        text = f"measured value of {port.checks.name}{late}; NaN: missing"
        values.append(_add(made.inputs, port.value.name, "input", port.value.unit, text, port.value.start))
        samples.append(-1)
        if port.sample:
            text = f"counts the values of {port.checks.name}: a value is new where it has changed"
            samples[-1] = _add(made.inputs, port.sample, "input", "1", text, 0.0)
        qualities.append(-1)
        if port.quality:
            text = f"quality code of {port.checks.name}, good from {port.checks.good_from:g} on"
            qualities[-1] = _add(made.inputs, port.quality, "input", "1", text, port.checks.good_from)
    checks = [port.checks for port in mpc.measured]
    tables.integers(
        MEASURED_INPUT=values,
        SAMPLE_INPUT=samples,
        QUALITY_INPUT=qualities,
        NEEDED=[c.needed for c in checks],
        MAX_MISSED=[c.max_missed for c in checks],
        FROZEN_AFTER=[c.frozen_after for c in checks],
    )
    tables.reals(
        MEASURED_FACTOR=[c.factor for c in checks],
        MEASURED_OFFSET=[c.offset for c in checks],
        GOOD_FROM=[c.good_from for c in checks],
        PLAUSIBLE_LOW=[c.low for c in checks],
        PLAUSIBLE_HIGH=[c.high for c in checks],
        MAX_RATE=[c.max_rate for c in checks],
        MAX_AGE=[c.max_age for c in checks],
        NOISE=[c.noise for c in checks],
    )


def _references(mpc: ExportedMPC, tables: CTables, made: Interface) -> None:
    places = []
    for index, port in zip(mpc.tracked, mpc.references, strict=True):
        text = f"reference of {mpc.law.outputs[index].name}"
        places.append(_add(made.inputs, port.name, "input", port.unit, text, port.start))
    tables.integers(REFERENCE_INPUT=places)
    tables.reals(
        REFERENCE_LOW=[low for low, _ in mpc.plausible_references],
        REFERENCE_HIGH=[high for _, high in mpc.plausible_references],
        REFERENCE_FACTOR=[p.factor for p in mpc.references],
        REFERENCE_OFFSET=[p.offset for p in mpc.references],
    )


def _manipulated(mpc: ExportedMPC, tables: CTables, made: Interface) -> None:
    fallbacks: list[int] = []
    tables.size(LIMIT_PARAMETER=len(made.parameters))
    for u, fallback, target in zip(mpc.law.inputs, mpc.fallbacks, mpc.targets, strict=True):
        low, high = ((side - target.offset) / target.factor for side in (u.low, u.high))
        move = min(u.max_move, u.high - u.low) / target.factor
        text = f"what {u.name} is without this controller, where fallback_connected"
        fallbacks.append(_add(made.inputs, fallback.name, "input", target.unit, text, target.start))
        nominal = max(abs(low), abs(high))
        for suffix, value, what in (
            ("min", low, "lower bound, hard"),
            ("max", high, "upper bound, hard"),
            ("max_move", move, "largest change in one period, hard"),
        ):
            _add(made.parameters, f"{target.name}.{suffix}", "parameter", target.unit, what, value, nominal=nominal)
        _add(made.outputs, target.name, "output", target.unit, f"drives {u.name}", target.start, nominal=nominal)
    tables.integers(FALLBACK_INPUT=fallbacks)
    tables.reals(
        TARGET_FACTOR=[t.factor for t in mpc.targets],
        TARGET_OFFSET=[t.offset for t in mpc.targets],
        START_INPUTS=mpc.start,
    )


def _soft_limits(mpc: ExportedMPC, tables: CTables, made: Interface) -> None:
    places: list[int] = []
    names = labels([y.name for y in mpc.law.outputs])
    for y in mpc.soft:
        item = mpc.law.outputs[y.output]
        for side, value, what in zip(("min", "max"), y.limits, ("lower limit, soft", "upper limit, soft"), strict=True):
            places.append(-1)
            if math.isfinite(value):
                name = f"{names[item.name]}.{side}"
                places[-1] = _add(made.parameters, name, "parameter", item.unit or "1", what, value, nominal=y.scale)
    tables.integers(SOFT_PARAMETER=places)


def _shown(mpc: ExportedMPC, made: Interface) -> None:
    law, outputs = mpc.law, made.outputs
    _add(outputs, "active", "output", "1", "whether its answer is in force", 0.0, kind="Boolean")
    _add(
        outputs,
        "status",
        "output",
        "1",
        "reason where that is below 6, else 0",
        float(StepReason.WAITING),
        kind="Integer",
    )
    _add(outputs, "reason", "output", "1", _codes(REASONS), float(StepReason.WAITING), kind="Integer")
    _add(outputs, "rung", "output", "1", f"what is in force: {_codes(RUNGS)}", float(Rung.HOLD), kind="Integer")
    _add(outputs, "failures", "output", "1", "periods without an answer after start_after", 0.0, kind="Integer")
    _add(outputs, "mismatch", "output", "1", "prediction errors in standard deviations, smoothed; 1 as expected", 0.0)
    names = labels([y.name for y in law.outputs])
    for what in ("estimate", "target"):
        for index in mpc.controlled:
            item, at = law.outputs[index], mpc.operating_point[index]
            _add(outputs, f"{names[item.name]}.{what}", "output", item.unit or "1", f"{what} of {item.name}", at)
    sizes = [None] * len(law.disturbances)
    if isinstance(law, NonlinearLaw):
        sizes = law.model.nominal[len(law.model.process.states) :].tolist()
    for d, size in zip(law.disturbances, sizes, strict=True):
        signal = d.name.removesuffix(".ramp")
        name = f"disturbance.{label(signal)}{d.name[len(signal) :]}"
        what = "rise in one period" if d.name != signal else "estimated disturbance"
        _add(outputs, name, "output", d.unit or "1", f"{what} of {signal}", 0.0, nominal=size)
    for name, unit, start in law.decisions:
        _add(outputs, name, "output", unit, DECISIONS[name], start)


def label(signal: str) -> str:
    """The last name of a signal."""
    return signal.rsplit(".", 1)[-1]


def labels(signals: Sequence[str]) -> dict[str, str]:
    """A short name for each: its last one, or the whole where several end alike."""
    ends = [label(signal) for signal in signals]
    return {signal: end if ends.count(end) == 1 else signal for signal, end in zip(signals, ends, strict=True)}


def _codes(codes: Sequence[enum.IntEnum]) -> str:
    return ", ".join(f"{int(code)} {code.name.lower().replace('_', ' ')}" for code in codes)


def model_header(name: str, guid: str, interface: Interface, memory: Sequence[float]) -> str:
    """model.h as unit.c wants it, see `fmus.codegen`.

    Args:
        name: of the model.
        guid: that ties binary and description.
        interface: its variables.
        memory: start values of the hidden states.
    """
    hidden, slots = len(memory), interface.slots(len(memory))
    key = hashlib.sha256(guid.encode()).hexdigest()[:16]
    sizes = {
        "N_U": len(interface.inputs),
        "N_P": len(interface.parameters),
        "N_X": hidden,
        "N_Z": 0,
        "N_Y": len(interface.outputs),
        "N_D": 0,
        "N_E": 0,
        "N_Q": 0,
        "OWN_ERK": 0,
        "SZ_ARG": 8,
        "SZ_RES": 4,
        "SZ_IW": "(LAW_IWORK / 2 + 1)",
        "SZ_W": "LAW_WORK",
    }
    first = len(interface.inputs) + len(interface.parameters)
    starts = [c_number(memory[i - first] if slot is None else slot.start) for i, slot in enumerate(slots)]

    def each(number: float, of: str) -> list[str]:
        return [c_number(number if s is None else getattr(s, of)) for s in slots]

    lines = [
        "/* generated: sizes and tables of one controller */",
        "#ifndef GALENIC_MODEL_H",
        "#define GALENIC_MODEL_H",
    ]
    lines += [f"#define {k} {v}" for k, v in sizes.items()]
    lines += [f'#define MODEL_NAME "{name}"', f'#define MODEL_GUID "{guid}"', f"#define MODEL_KEY 0x{key}ULL"]
    lines += [
        c_table("double", "model_start", starts),
        c_table("double", "model_min", each(-math.inf, "minimum")),
        c_table("double", "model_max", each(math.inf, "maximum")),
        c_table("double", "model_nominal", ["1.0"] * hidden),
        "/* R real, I integer, B boolean, H hidden */",
        c_table("char", "model_kind", ["'H'" if s is None else f"'{s.kind[0]}'" for s in slots]),
        "/* when it may be set: 1 before the run, 2 at events and between steps, 4 in continuous time; 8 to NaN too */",
        c_table("char", "model_settable", ["0" if s is None else str(s.settable) for s in slots]),
        c_table("unsigned", "model_width", ["1"] * len(slots)),
        c_table("char", "model_discrete", ["0"] * hidden),
        c_table("int", "model_derived", []),
        c_table(
            "char *const",
            "model_names",
            [f'"memory[{i - first}]"' if s is None else f'"{s.name}"' for i, s in enumerate(slots)],
        ),
        c_table("char *const", "model_units", ['""' if s is None else f'"{s.unit}"' for s in slots]),
        c_table("char *const", "model_events", []),
        f"typedef char memory_fits[N_STATES == {hidden} ? 1 : -1];",
        "#endif",
    ]
    return "\n".join(lines) + "\n"
