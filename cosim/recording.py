"""What a scenario records: groups of signals, each at its own rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cosim.assembly import check_multiple
from cosim.recorder import Selection

if TYPE_CHECKING:
    from cosim.component import KeyPath
    from cosim.scenario import RecordSpec
    from cosim.system import System


def selections(system: System) -> list[Selection]:
    """What the scenario's ``record`` asks for; a signal belongs to the first group that names it.

    Returns:
        At least one selection; without ``record`` all signals at every communication step.

    Raises:
        GalenicError: a pattern matches no signal, or an interval is no multiple of the communication step.
    """
    record = system.scenario.record
    if record == "all":
        return [_selection(system, system.names)]
    items: list[str | RecordSpec] = [*record]
    patterns = [item for item in items if isinstance(item, str)]
    if len(patterns) == len(items):
        return [_selection(system, system.select(patterns, ("record",)))]
    found: list[Selection] = []
    taken: set[str] = set()
    for position, item in enumerate(items):
        if isinstance(item, str):  # a list is of one kind
            continue
        path: KeyPath = ("record", position)
        matching = system.select(item.signals, (*path, "signals"))
        every = 1
        if item.every is not None:
            every = check_multiple(system.scenario, (*path, "every"), item.every, "the interval of this group")
        fresh = [name for name in matching if name not in taken]
        if matching and not fresh:
            raise system.scenario.error(
                path, "all signals of this group are in groups above it", "name what is special first, the rest last"
            )
        taken.update(fresh)
        if fresh:
            found.append(_selection(system, fresh, every))
    return found or [_selection(system, [])]


def _selection(system: System, names: list[str], every: int = 1) -> Selection:
    columns = np.array([system.index[name] for name in names], dtype=np.int64)
    return Selection({name: system.ports[name].unit for name in names}, columns, every)
