"""What happened when in a run: refills that units counted, disturbances that the scenario describes, actions taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from cosim.results import Results
    from cosim.scenario import DisturbanceSpec, Scenario

#: An output of this name counts refills; a unit that has one is a unit whose refills are shown.
REFILL_COUNTER = "refill_count"


@dataclass(frozen=True)
class Event:
    """An event of a kind, at a time in s."""

    time: float
    kind: str


def events_of(scenario: Scenario, results: Results) -> list[Event]:
    """The events of a run in the order of their kinds, then of time."""
    counters = [name for name in results.signals if name.partition(".")[2] == REFILL_COUNTER]
    frame = results.frame(counters)
    time = frame.index.to_numpy(dtype=float)
    end = float(time[-1]) if len(time) else 0.0
    events = []
    for counter in counters:
        grows = np.diff(frame[counter].to_numpy(dtype=float), prepend=0.0) > 0.5
        kind = counter.partition(".")[0].replace("_", " ") + " refill"
        events += [Event(float(t), kind) for t in time[grows]]
    for spec in scenario.disturbances:
        events += [Event(t, _kind(spec)) for t in _times(spec, end)]
    for taken in results.metadata.get("actions") or []:
        ended = " ends" if taken["event"] == "ends" else ""
        events.append(Event(float(taken["time"]), str(taken["name"]).replace("_", " ") + ended))
    return events


def _kind(spec: DisturbanceSpec) -> str:
    if spec.name:
        return spec.name.replace("_", " ")
    component, _, variable = spec.signal.partition(".")
    text = f"{component} {variable.split('.')[-1]}".replace("_", " ")
    return {"lots": f"new lot: {text}", "ramp": f"drift: {text}"}.get(spec.kind, text)


def _times(spec: DisturbanceSpec, end: float) -> list[float]:
    """When a disturbance begins to act, after the start and before ``end`` (s)."""
    times: list[float] = []
    if spec.step is not None:
        times = [spec.step.at] + ([spec.step.until] if spec.step.until is not None else [])
    elif spec.ramp is not None:
        times = [spec.ramp.at]
    elif spec.lots is not None:
        times = [k * spec.lots.every for k in range(1, int(end / spec.lots.every) + 1)]
    return [t for t in times if 0.0 < t < end]
