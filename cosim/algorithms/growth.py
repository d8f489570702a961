"""How much the sources of connections grow over a step, if they grow on as they did."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cosim.component import FloatArray

if TYPE_CHECKING:
    from cosim.system import System

#: Time in s, and of all connections the values of their sources and these sources.
Point = tuple[float, FloatArray, npt.NDArray[np.intp]]


def point_at(system: System, t: float) -> Point:
    """The sources as they are now, at ``t``."""
    gather = system.gather
    return t, system.signals[gather.source], gather.source.copy()


def growth(system: System, now: Point, earlier: Point | None, size: float) -> FloatArray:
    """How much each connection's source grows in ``size`` s from ``now`` on, shape (connections,).

    0 without an earlier point; for what is no component's, which is held as it jumps; and for what was not read from
    the same source before.
    """
    t, values, sources = now
    if earlier is None or t <= earlier[0]:
        return np.zeros_like(values)
    grows = (sources < system.physical) & (sources == earlier[2])
    return np.where(grows, size / (t - earlier[0]) * (values - earlier[1]), 0.0)
