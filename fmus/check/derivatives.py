"""Directional derivatives beside finite differences, in the checking process.

The standard leaves open what they mean in Co-Simulation. Two readings are accepted, for all pairs alike: how outputs
move with the inputs at a communication point, and how outputs at the end of the last step move with the inputs that
were held in it.
"""

from __future__ import annotations

from fmus.check.instance import WARNING, FmuError, Instance, Library
from fmus.check.job import Variable

_STEPS = 3
_MOST_INPUTS = 20
_SHARE = 1e-3
_TOLERANCE = 0.02
_NOISE = 1e-6


def derivatives(library: Library) -> tuple[list[str], list[str], str]:
    """fmi2GetDirectionalDerivative agrees with finite differences in one of its two meanings."""
    job = library.job
    inputs = [v for v in job.of("input", reals=True) if v.variability == "continuous"][:_MOST_INPUTS]
    outputs = [v for v in job.of("output", reals=True) if v.variability == "continuous"]
    if not inputs or not outputs:
        return [], ["no Real input and output to derive"], ""
    instance = Instance(library).start()
    instance.run(_STEPS, outputs)
    base, values = instance.get(inputs), instance.get(outputs)
    stated = {(u.name, y.name): instance.derivative(y, u) for u in inputs for y in outputs}
    instance.free()
    wrong: dict[str, list[str]] = {}
    for meaning, held in (("at a communication point", False), ("of the last step", True)):
        wrong[meaning] = []
        for known, at in zip(inputs, base, strict=True):
            measured = _measure(library, known, at, outputs, held=held)
            for output, value, (slope, doubt, size) in zip(outputs, values, measured, strict=True):
                claim = stated[known.name, output.name]
                allowed = _TOLERANCE * max(abs(slope), abs(claim)) + 3.0 * doubt + _NOISE * abs(value) / size
                if not abs(claim - slope) <= allowed:
                    text = f"d '{output.name}' / d '{known.name}' is {claim:.6g}, finite differences give {slope:.6g}"
                    wrong[meaning].append(text)
        if not wrong[meaning]:
            return [], [], f"{len(stated)} derivatives {meaning} agree with finite differences"
    meaning, failures = min(wrong.items(), key=lambda item: len(item[1]))
    return [f"{len(failures)} of {len(stated)} derivatives {meaning} are off", *failures], [], ""


def _measure(
    library: Library, known: Variable, at: float, outputs: list[Variable], *, held: bool
) -> list[tuple[float, float, float]]:
    """For each output: the slope, how far the slopes of two step sizes lie apart, and the smaller step size."""
    far = known.moved(at, _SHARE) - at
    if far == 0.0:
        return [(0.0, float("inf"), 1.0)] * len(outputs)
    inside = known.low <= at - 0.5 * far <= known.high
    lower, middle, half, upper = (
        _outputs(library, known, at + share * far, outputs, held=held) for share in (-0.5 * inside, 0.0, 0.5, 1.0)
    )
    slopes = []
    for low, mid, near, end in zip(lower, middle, half, upper, strict=True):
        one_sided, wide = (near - mid) / (0.5 * far), (end - mid) / far
        slopes.append(((near - low) / far, wide) if inside else (2.0 * one_sided - wide, wide))
    return [(a, abs(a - b), 0.5 * abs(far)) for a, b in slopes]


def _outputs(library: Library, known: Variable, value: float, outputs: list[Variable], *, held: bool) -> list[float]:
    """The outputs with the input at ``value`` through the last step, or set after it."""
    instance = Instance(library).start()
    instance.run(_STEPS - held, outputs)
    if instance.set(known, value) > WARNING:
        raise FmuError(f"'{known.name}' cannot be set to {value:g}{library.said()}")
    if held:
        instance.step()
    found = instance.get(outputs)
    instance.free()
    return found
