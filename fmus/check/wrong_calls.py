"""Calls that the standards forbid, in the checking process."""

from __future__ import annotations

from collections.abc import Callable

from fmus.check.calls import doubles
from fmus.check.instance import Instance
from fmus.check.job import MODEL_EXCHANGE, Job, Variable
from fmus.check.library import WARNING, FmuError, Library
from fmus.check.probing import Found, fresh, heals, instance

#: what is wrong, whether the instance is started for it, and the call, which gives a status
_Case = tuple[str, bool, Callable[[Instance], int]]


def wrong_calls(library: Library) -> Found:
    """Calls that the standard forbids are refused, and a reset heals the instance."""
    cases = _common(library.job) + (_equations() if library.job.interface == MODEL_EXCHANGE else _steps(library.job))
    expected = fresh(library)
    accepted, unhealed, broken = [], [], []
    for what, started, attempt in cases:
        one = instance(library)
        if started:
            one.start()
        try:
            if attempt(one) <= WARNING:
                accepted.append(what)
            if not heals(one, expected):
                unhealed.append(what)
        except FmuError as failure:
            broken.append(f"after {what}: {failure}")
            continue
        one.free()
    warnings = [f"accepts {', '.join(accepted)}"] if accepted else []
    if unhealed:
        warnings.append(f"{library.prefix}Reset does not heal the instance after {', '.join(unhealed)}")
    return [], warnings + broken, f"{len(cases)} wrong calls refused with an error; {library.prefix}Reset heals"


def _common(job: Job) -> list[_Case]:
    real = "Real" if job.version == 2 else "Float64"
    stranger = Variable("unknown", 0xFFFFFF0, real, "local", "continuous", None, 0.0, 0.0, 1.0)
    return [
        ("leaving initialisation before it began", False, lambda i: i.calls.call("ExitInitializationMode")),
        ("terminating before initialisation", False, lambda i: i.calls.call("Terminate")),
        ("initialising again while stepping", True, _initialise_again),
        ("reading an unknown value reference", True, lambda i: i.calls.try_read(real, [stranger.reference], 1)[0]),
        ("setting an unknown value reference", True, lambda i: i.calls.write(stranger, (0.0,))),
    ]


def _initialise_again(one: Instance) -> int:
    if one.job.version == 2:
        return one.calls.call("EnterInitializationMode")
    return one.calls.call("EnterInitializationMode", False, 0.0, one.job.start, False, 0.0)


def _steps(job: Job) -> list[_Case]:
    return [
        ("a step before initialisation", False, lambda i: i.calls.try_step(job.start, job.step)[0]),
        ("a step of negative size", True, lambda i: i.calls.try_step(i.time, -job.step)[0]),
        (
            "a step after termination",
            True,
            lambda i: i.calls.call("Terminate") or i.calls.try_step(i.time, job.step)[0],
        ),
    ]


def _equations() -> list[_Case]:
    def states(one: Instance, more: int = 0) -> int:
        count = one.job.state_count + more
        return one.calls.call("SetContinuousStates", doubles(count), count)

    def derivatives(one: Instance, more: int = 0) -> int:
        count = one.job.state_count + more
        return one.calls.call("GetContinuousStateDerivatives", doubles(count), count)

    return [
        ("setting the time before initialisation", False, lambda i: i.calls.call("SetTime", i.time)),
        ("continuous-time mode before initialisation", False, lambda i: i.calls.call("EnterContinuousTimeMode")),
        ("continuous-time mode while in it", True, lambda i: i.calls.call("EnterContinuousTimeMode")),
        ("setting a state too many", True, lambda i: states(i, 1)),
        ("reading a derivative too many", True, lambda i: derivatives(i, 1)),
        (
            "setting the time after termination",
            True,
            lambda i: i.calls.call("Terminate") or i.calls.call("SetTime", i.time),
        ),
    ]
