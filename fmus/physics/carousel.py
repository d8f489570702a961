"""A carousel of vessels that are filled, worked and emptied in turn: which one is at what, by events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import casadi as ca

from fmus.model import UnitModel

PHASES = ("empty", "filling", "drying", "discharging")
# what is due within this time [s] happens together: one event for all, so that none waits for another
_TOGETHER = 1e-6
# [s]
_NEVER = 1e12


@dataclass(frozen=True)
class Carousel:
    """Where the carousel stands. Columns have one row per cell.

    Attributes:
        fills: 1 for the cell that is filled.
        rates: share of its content that a cell discharges per second [1/s].
        emptied: 1 for the cell that is being emptied.
        phases: place in `PHASES`.
        filling: number of the cell that is filled, from 1.
        discharged: discharges started so far.
        cut_short: of them those before the drying time was over.
    """

    fills: Any
    rates: Any
    emptied: Any
    phases: Any
    filling: Any
    discharged: Any
    cut_short: Any


@dataclass(frozen=True)
class Times:
    """Durations [s] of one cell: of filling, from the end of filling to discharge, and of discharge.

    ``heel`` is the share of a cell's content that stays in it after discharge.
    """

    filling: Any
    drying: Any
    discharge: Any
    heel: Any


@dataclass(frozen=True)
class _Place:
    """Which cell is filled and until when, which is emptied now or next, and when each was filled."""

    filling: Any
    filling_ends: Any
    next_out: Any
    discharging: Any
    filled_at: Any

    def discharge_starts(self, times: Times) -> tuple[Any, Any]:
        """When the next discharge starts, and whether that is before the drying time is over; never while one goes on.

        At the latest so that the cell is empty when the inlet comes back to it.
        """
        cells = self.filled_at.numel()
        dried = ca.dot(_at(self.next_out, cells), self.filled_at) + times.drying
        latest = self.filling_ends - times.discharge
        comes_back = ca.logic_and(_is(self.next_out, _after(self.filling, cells)), latest < dried)
        waits = ca.logic_and(self.discharging < 0.5, ca.logic_not(_is(self.next_out, self.filling)))
        return ca.if_else(waits, ca.if_else(comes_back, latest, dried), _NEVER), comes_back


def carousel(m: UnitModel, cells: int, times: Times, jumps: Callable[[Any, Any, Any, Any], dict[str, Any]]) -> Carousel:
    """Declare the carousel's states and its event; cells are filled and emptied in the same order.

    The inlet moves on after each filling time. A cell is discharged once it has dried, by the one transfer line, and at
    the latest so that it is empty when the inlet comes back to it. While it is, its content falls linearly to the heel:
    ``dq/dt = -q / (t_end - t + tau)`` with ``tau = heel/(1 - heel) t_discharge``, whatever else happens to q.

    Args:
        m: the unit model.
        cells: how many.
        times: durations.
        jumps: what else jumps, state name -> value. Given whether the inlet moves on, columns with 1 for the cell that
            was filled and for the next one, and a column with 1 for the cell whose discharge starts or 0 everywhere.
    """
    filling = m.state("filling_cell", 1.0, "1", "cell that is filled, from 1", kind="Integer", minimum=1.0)
    next_out = m.state("next_cell_out", 1.0, "1", "cell discharged now or next", kind="Integer", minimum=1.0)
    discharging = m.state("discharging", 0.0, "1", "a cell is being emptied", kind="Boolean")
    discharged = m.state("discharges", 0.0, "1", "discharges started so far", kind="Integer")
    cut_short = m.state("discharges_cut_short", 0.0, "1", "of them before the drying time was over", kind="Integer")
    filling_ends = m.state("filling_ends", times.filling, "s", "when the inlet moves on", nominal=100.0)
    discharge_ends = m.state("discharge_ends", 0.0, "s", "when the discharge ends", nominal=100.0)
    filled_at = m.state("filled_at", [0.0] * cells, "s", "when a cell was filled", nominal=100.0)

    now = _Place(filling, filling_ends, next_out, discharging, filled_at)
    starts_at, _ = now.discharge_starts(times)
    ends_at = ca.if_else(discharging > 0.5, discharge_ends, _NEVER)
    soon = m.time + _TOGETHER
    ends, moves = ends_at < soon, filling_ends < soon
    fills, following = _at(filling, cells), _after(filling, cells)
    after = _Place(
        ca.if_else(moves, following, filling),
        ca.if_else(moves, m.time + times.filling, filling_ends),
        ca.if_else(ends, _after(next_out, cells), next_out),
        ca.if_else(ends, 0.0, discharging),
        ca.if_else(moves * fills, m.time, filled_at),
    )
    then_starts_at, comes_back = after.discharge_starts(times)
    starts = then_starts_at < soon
    m.event(
        "carousel",
        ca.fmin(ca.fmin(filling_ends, ends_at), starts_at) - m.time,
        {
            "filling_cell": after.filling,
            "filling_ends": after.filling_ends,
            "next_cell_out": after.next_out,
            "discharging": ca.if_else(starts, 1.0, after.discharging),
            "discharge_ends": ca.if_else(starts, m.time + times.discharge, discharge_ends),
            "discharges": discharged + starts,
            "discharges_cut_short": cut_short + ca.logic_and(starts, comes_back),
            **{f"filled_at[{k + 1}]": after.filled_at[k] for k in range(cells)},
            **jumps(moves, fills, _at(following, cells), starts * _at(after.next_out, cells)),
        },
    )

    emptied = _at(next_out, cells) * discharging
    # past its end, where a solver of Model Exchange may look for the event, the rate stays what it was
    remaining = ca.fmax(discharge_ends - m.time, 0.0) + times.heel / (1.0 - times.heel) * times.discharge
    number = ca.DM(range(1, cells + 1))
    filled = _turns(number - next_out, cells) < _turns(filling - next_out, cells)
    drying = ca.logic_and(filled, ca.logic_not(emptied))
    return Carousel(
        fills=fills,
        rates=emptied / remaining,
        emptied=emptied,
        phases=fills * 1.0 + drying * 2.0 + emptied * 3.0,
        filling=filling,
        discharged=discharged,
        cut_short=cut_short,
    )


def _is(number: Any, index: Any) -> Any:
    return ca.fabs(number - index) < 0.5


def _at(index: Any, cells: int) -> Any:
    """A column with 1 in the row of the cell."""
    return _is(ca.DM(range(1, cells + 1)), index)


def _after(index: Any, cells: int) -> Any:
    return ca.if_else(index > cells - 0.5, 1.0, index + 1.0)


def _turns(difference: Any, cells: int) -> Any:
    """A difference of places on the carousel, from 0 to ``cells - 1``."""
    return difference + cells * (difference < -0.5)
