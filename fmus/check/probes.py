"""The dynamic checks, as they run in the checking process. Each returns (failures, warnings, what is fine)."""

from __future__ import annotations

import ctypes as c
import math
import time
from collections.abc import Callable, Sequence

from fmus.check.derivatives import derivatives
from fmus.check.instance import ERROR, OK, FmuError, Instance, Library
from fmus.check.job import Job, Variable

Found = tuple[list[str], list[str], str]
_STEPS = 3
_RUN_STEPS = 10
_MOST_STEPS = 100_000
_NANS = 20


def instantiation(library: Library) -> Found:
    """The library loads and gives an instance; it refuses the guid of another description."""
    texts = {}
    for name in ("GetVersion", "GetTypesPlatform"):
        function = library.function(name)
        function.argtypes, function.restype = (), c.c_char_p
        texts[name] = function()
    failures = [] if texts["GetVersion"] == b"2.0" else [f"fmi2GetVersion says {texts['GetVersion']!r}, not 2.0"]
    if texts["GetTypesPlatform"] != b"default":
        failures.append(f"fmi2GetTypesPlatform says {texts['GetTypesPlatform']!r}, not default")
    different = _other_starts(library)
    warnings = [f"the binary does not start as described: {_some(different, quote='')}"] if different else []
    try:
        Instance(library, guid="{not-the-guid-of-this-fmu}").free()
    except FmuError:
        return failures, warnings, "loads, starts as described, refuses a wrong guid"
    return failures, ["it accepts a wrong guid: a description of another version would not be noticed", *warnings], ""


def experiment(library: Library) -> Found:
    """A run of the default experiment, or of some steps, stays finite."""
    job, outputs = library.job, _observed(library.job)
    whole = job.stop is not None and job.stop > job.start
    steps = min(max(round(((job.stop or 0.0) - job.start) / job.step), 1), _MOST_STEPS) if whole else _RUN_STEPS
    instance = Instance(library).start()
    began, done = time.monotonic(), 0
    while done < steps and time.monotonic() - began < 0.5 * job.time_limit:
        instance.step()
        done += 1
        bad = [v.name for v, x in zip(outputs, instance.get(outputs), strict=True) if not math.isfinite(x)]
        if bad:
            return [f"at t = {instance.time:.6g} s these are not finite: {', '.join(bad[:5])}"], [], ""
    seconds = time.monotonic() - began
    instance.need("Terminate")
    instance.free()
    cut = "" if done == steps else f", of {steps}: as far as the time limit allows"
    per_step = f"{1e6 * seconds / done:.0f} us a step with reading {len(outputs)} variables"
    kind = "default experiment" if whole else "no stop time given"
    return [], [], f"{done} steps of {job.step:g} s ({kind}){cut}; all finite; {per_step}"


def state_machine(library: Library) -> Found:
    """The life of an instance, twice with a reset between, gives the same values."""
    outputs = _observed(library.job)
    first = _fresh(library, outputs)
    instance = Instance(library)
    _move_inputs(instance.start())
    instance.run(_STEPS, outputs)
    instance.need("Terminate")
    instance.need("Reset")
    second = instance.start().run(_STEPS, outputs)
    instance.need("Reset")
    third = instance.start().run(_STEPS, outputs)
    instance.need("Terminate")
    instance.free()
    failures = [
        f"after fmi2Reset {when} the run differs: {difference}"
        for when, rows in (("from terminated", second), ("while stepping", third))
        if (difference := _difference(outputs, first, rows))
    ]
    return failures, [], "instantiate, initialise, step, terminate, reset, again: the same values"


def wrong_calls(library: Library) -> Found:
    """Calls that the standard forbids are refused, and a reset heals the instance."""
    job, outputs = library.job, _observed(library.job)
    stranger = Variable("unknown", 0xFFFFFF0, "Real", "local", "continuous", None, 0.0, 0.0, 1.0)
    buffer, references = (c.c_double * 1)(), (c.c_uint * 1)(stranger.reference)
    cases: tuple[tuple[str, bool, Callable[[Instance], int]], ...] = (
        ("a step before initialisation", False, lambda i: i.call("DoStep", job.start, job.step, 1)),
        ("leaving initialisation before it began", False, lambda i: i.call("ExitInitializationMode")),
        ("terminating before initialisation", False, lambda i: i.call("Terminate")),
        ("initialising again while stepping", True, lambda i: i.call("EnterInitializationMode")),
        ("a step of negative size", True, lambda i: i.call("DoStep", job.start, -job.step, 1)),
        (
            "a step after termination",
            True,
            lambda i: i.call("Terminate") or i.call("DoStep", i.time, job.step, 1),
        ),
        ("reading an unknown value reference", True, lambda i: i.call("GetReal", references, 1, buffer)),
        ("setting an unknown value reference", True, lambda i: i.set(stranger, 0.0)),
    )
    expected = _fresh(library, outputs)
    accepted, unhealed, broken = [], [], []
    for what, started, attempt in cases:
        instance = Instance(library)
        if started:
            instance.start()
        try:
            if attempt(instance) <= 1:
                accepted.append(what)
            if not _heals(instance, outputs, expected):
                unhealed.append(what)
        except FmuError as failure:
            broken.append(f"after {what}: {failure}")
            continue
        instance.free()
    warnings = [f"accepts {', '.join(accepted)}"] if accepted else []
    if unhealed:
        warnings.append(f"fmi2Reset does not heal the instance after {', '.join(unhealed)}")
    return [], warnings + broken, f"{len(cases)} wrong calls refused with an error; fmi2Reset heals"


def fmu_state(library: Library) -> Found:
    """After the state was set back, the FMU goes on bit by bit as it did before."""
    job, outputs = library.job, _observed(library.job)
    instance = Instance(library).start()
    instance.run(_STEPS, outputs)
    state, then, before = instance.take_state(), instance.time, instance.get(outputs)
    ahead = instance.run(_STEPS, outputs)
    moved = _disturb(instance)
    instance.need("SetFMUstate", state)
    instance.time = then
    restored = instance.get(outputs)
    inputs = job.of("input")
    lost = _difference(outputs, [before], [restored])
    failures = [f"fmi2SetFMUstate does not restore the values: {lost}"] if lost else []
    again = instance.run(_STEPS, outputs)
    if not failures and (difference := _difference(outputs, ahead, again)):
        failures.append(f"after fmi2SetFMUstate the run differs: {difference}")
    instance.need("FreeFMUstate", c.byref(state))
    instance.free()
    same = ahead[-1] == before and not moved
    warnings = ["nothing changed in the test: a state that is not restored would not show"] if same else []
    inputs_text = f", with {len(inputs)} inputs moved in between" if moved else ""
    return failures, warnings, f"{_STEPS} steps repeated from a state, bit by bit{inputs_text}"


def serialisation(library: Library) -> Found:
    """A serialised state goes on in a new instance."""
    outputs = _observed(library.job)
    instance = Instance(library).start()
    instance.run(_STEPS, outputs)
    state, then = instance.take_state(), instance.time
    size = c.c_size_t(0)
    instance.need("SerializedFMUstateSize", state, c.byref(size))
    data = (c.c_char * max(size.value, 1))()
    instance.need("SerializeFMUstate", state, data, size.value)
    ahead = instance.run(_STEPS, outputs)
    instance.need("FreeFMUstate", c.byref(state))
    instance.free()
    other = Instance(library).start()
    copy = c.c_void_p(None)
    other.need("DeSerializeFMUstate", data, size.value, c.byref(copy))
    other.need("SetFMUstate", copy)
    other.time = then
    difference = _difference(outputs, ahead, other.run(_STEPS, outputs))
    other.need("FreeFMUstate", c.byref(copy))
    other.free()
    failures = [f"in a new instance the run differs: {difference}"] if difference else []
    return failures, [], f"{size.value} bytes go on in a new instance, bit by bit"


def variable_step(library: Library) -> Found:
    """Steps of changing size are taken; how much that changes the outputs is told, not judged."""
    job, outputs = library.job, library.job.of("output", reals=True)
    instance = Instance(library).start()
    equal = instance.run(4, outputs)[-1]
    instance.free()
    instance = Instance(library).start()
    for share in (0.5, 1.25, 2.0, 0.25):
        instance.step(share * job.step)
    varied = instance.get(outputs)
    instance.free()
    bad = [v.name for v, x in zip(outputs, varied, strict=True) if not math.isfinite(x)]
    if bad:
        return [f"not finite: {', '.join(bad[:5])}"], [], ""
    apart = [
        (abs(a - b) / max(abs(a), abs(b)), v.name) for v, a, b in zip(outputs, equal, varied, strict=True) if a != b
    ]
    within = "no difference" if not apart else "a relative {:.1g} ('{}')".format(*max(apart))
    return [], [], f"steps of 0.25 to 2 times {job.step:g} s; {within} between their outputs and those of equal steps"


def two_instances(library: Library) -> Found:
    """A neighbour with other inputs does not change an instance."""
    outputs = _observed(library.job)
    alone = _fresh(library, outputs)
    one, other = Instance(library, "one").start(), Instance(library, "other").start()
    moved = _move_inputs(other)
    rows = []
    for _ in range(_STEPS):
        one.step()
        other.step()
        rows.append(one.get(outputs))
    other.free()
    difference = _difference(outputs, alone, rows)
    one.step()
    one.free()
    failures = [f"beside another instance the run differs: {difference}"] if difference else []
    return failures, [], f"independent{', the other with moved inputs' if moved else ''}"


def nan_input(library: Library) -> Found:
    """NaN at an input gives an error or is answered in numbers; a reset heals."""
    outputs = _observed(library.job)
    real_outputs = library.job.of("output", reals=True)
    inputs = library.job.of("input", reals=True)[:_NANS]
    expected = _fresh(library, outputs)
    refused, silent, ignored, unhealed = [], [], [], []
    for variable in inputs:
        instance = Instance(library).start()
        try:
            status = instance.set(variable, math.nan)
            status = status if status > 1 else instance.call("DoStep", instance.time, library.job.step, 1)
            if status > 1:
                refused.append(variable.name)
            elif all(math.isfinite(x) for x in instance.get(real_outputs)):
                ignored.append(variable.name)
            else:
                silent.append(variable.name)
            if not _heals(instance, outputs, expected):
                unhealed.append(variable.name)
        except FmuError as failure:
            return [], [f"NaN at '{variable.name}': {failure}"], ""
        instance.free()
    warnings = [f"NaN at {_some(silent)} goes on to the outputs without an error"] if silent else []
    warnings += [f"NaN at {_some(ignored)} is taken without an error or an effect"] if ignored else []
    warnings += [f"fmi2Reset does not heal the instance after NaN at {_some(unhealed)}"] if unhealed else []
    return [], warnings, f"refused with an error at every input ({len(refused)}); fmi2Reset heals"


PROBES: dict[str, Callable[[Library], Found]] = {
    "instantiation": instantiation,
    "run": experiment,
    "state machine": state_machine,
    "wrong calls": wrong_calls,
    "get and set state": fmu_state,
    "serialised state": serialisation,
    "variable step": variable_step,
    "two instances": two_instances,
    "NaN input": nan_input,
    "derivatives": derivatives,
}


def _observed(job: Job) -> list[Variable]:
    return job.of("output", "local", "calculatedParameter")


def _fresh(library: Library, outputs: Sequence[Variable]) -> list[list[float]]:
    instance = Instance(library).start()
    rows = instance.run(_STEPS, outputs)
    instance.free()
    return rows


def _heals(instance: Instance, outputs: Sequence[Variable], expected: list[list[float]]) -> bool:
    if instance.call("Reset") > OK:
        return False
    return not _difference(outputs, expected, instance.start().run(_STEPS, outputs))


def _move_inputs(instance: Instance) -> bool:
    """Move the Real inputs a little; whether the FMU took one."""
    inputs = instance.job.of("input", reals=True)
    values = instance.get(inputs)
    moved = [(v, v.moved(x)) for v, x in zip(inputs, values, strict=True) if v.moved(x) != x]
    return sum(instance.set(v, x) < ERROR for v, x in moved) > 0


def _disturb(instance: Instance) -> bool:
    """Steps with moved inputs; an error in them is no matter, the state is set back."""
    moved = _move_inputs(instance)
    for _ in range(2):
        instance.call("DoStep", instance.time, instance.job.step, 1)
        instance.time += instance.job.step
    return moved


def _difference(variables: Sequence[Variable], expected: list[list[float]], found: list[list[float]]) -> str:
    """Where two runs first differ by as much as a bit."""
    for number, (row, other) in enumerate(zip(expected, found, strict=True), 1):
        for variable, a, b in zip(variables, row, other, strict=True):
            if a != b and not (math.isnan(a) and math.isnan(b)):
                step = f" after step {number}" if len(expected) > 1 else ""
                return f"'{variable.name}' is {b!r} instead of {a!r}{step}"
    return ""


def _other_starts(library: Library) -> list[str]:
    """Inputs and parameters whose value after initialisation is not the start value of the description."""
    described = [v for v in library.job.of("input", "parameter") if v.start is not None]
    instance = Instance(library).start()
    values = instance.get(described)
    instance.free()
    return [
        f"'{v.name}' is {value:g}, not {v.start:g}"
        for v, value in zip(described, values, strict=True)
        if v.start is not None and not math.isclose(value, v.start, rel_tol=1e-12)
    ]


def _some(names: Sequence[str], quote: str = "'") -> str:
    return ", ".join(f"{quote}{n}{quote}" for n in names[:3]) + (
        f" and {len(names) - 3} more" if len(names) > 3 else ""
    )
