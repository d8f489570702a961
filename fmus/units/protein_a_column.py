"""One Protein A column, loaded, washed, eluted, cleaned and equilibrated as its operator says."""

from __future__ import annotations

from typing import Any

import casadi as ca

from fmus.liquids import liquid_inlet
from fmus.model import Role, UnitModel
from fmus.physics.chromatography import Feed, column, flows_through
from fmus.physics.protein_a import BADR, HOUR, breakthrough, eluate, packed_bed, so_far, yield_of

OPERATIONS = ("idle", "loading", "washing", "elution", "cleaning", "equilibration")
_IDLE, _LOADING, _WASHING, _ELUTION, _CLEANING, _EQUILIBRATION = range(len(OPERATIONS))


def protein_a_column(*, cells: int = 24) -> UnitModel:
    """Build the column.

    It follows the lumped rate model of `fmus.physics.chromatography`. The feed enters while ``operation`` is loading
    and passes by otherwise; buffers flow at a velocity of their own, eluent in elution and cleaning. Every return to
    loading costs a share of the capacity::

        q_max = capacity (1 - ageing)^cycles

    Args:
        cells: along the column.
    """
    m = UnitModel(
        "protein_a_column", "One Protein A column, step by step", integrator="erk", documentation=__doc__ or ""
    )
    inlet = liquid_inlet(m, "inlet", flow=7.7, nominal=5.0, mab=3.0, temperature=293.15)
    operation = m.input(
        "operation", _LOADING, "1", "what is done with the column", role=Role.CPP, kind="Enumeration", items=OPERATIONS
    )
    velocity = m.input(
        "buffer_velocity",
        300.0,
        "cm/h",
        f"superficial velocity of the buffers; 300 in {BADR}",
        minimum=0.0,
        maximum=1000.0,
        role=Role.CPP,
    )
    lot = m.input(
        "capacity_factor",
        1.0,
        "1",
        "factor on the capacity: resin lot, fouling",
        minimum=0.1,
        maximum=2.0,
        role=Role.DISTURBANCE,
    )
    bed = packed_bed(m, cells)

    def during(*operations: int) -> Any:
        return sum((ca.fabs(operation - o) < 0.5 for o in operations), ca.SX(0))

    loading = during(_LOADING)
    loaded_before = m.state("loaded_before", 1.0, "1", "the last flow was feed", kind="Boolean")
    cycles = m.state("cycles", 0.0, "1", "returns to loading so far", kind="Integer")
    returns, stops = loading * (1.0 - loaded_before), (1.0 - loading) * loaded_before
    m.event(
        "operation",
        0.5 - returns - stops,
        {"loaded_before": loading, "cycles": cycles + returns},
    )
    capacity = bed.capacity(cycles, lot)
    held = column(m, "column", cells)
    buffer = velocity * 0.01 / HOUR * (1.0 - during(_IDLE, _LOADING))
    fed = Feed(
        ca.if_else(loading, bed.velocity(inlet.flow), buffer),
        loading * inlet.content["mab"],
        during(_ELUTION, _CLEANING),
    )
    flows_through(m, held, bed.resin, bed.height, fed, capacity)

    feed, buffer_flow = inlet.flow * loading, bed.flow(buffer)
    eluting = buffer_flow * during(_ELUTION)
    eluate(m, eluting, held.leaving)
    loaded = so_far(m, "loaded.mab", feed * inlet.content["mab"], "g", "antibody fed")
    so_far(m, "passed_by.mab", (inlet.flow - feed) * inlet.content["mab"], "g", "antibody that passed by")
    so_far(m, "eluted.mab", eluting * held.leaving, "g", "antibody eluted")
    unbound = so_far(m, "lost.flow_through", feed * held.leaving, "g", "antibody lost with the flow-through")
    stripped = so_far(
        m,
        "lost.buffers",
        (buffer_flow - eluting) * held.leaving,
        "g",
        "antibody lost with wash, cleaning and equilibration",
    )
    so_far(m, "buffer.volume", buffer_flow, "L", "buffers used", Role.NONE)
    m.output("holdup.mab", bed.volume * held.held(bed.resin), "g", "antibody held up", role=Role.BALANCE, nominal=10.0)
    m.output("yield", yield_of(loaded, unbound + stripped), "%", "antibody not lost, of all fed", nominal=100.0)
    m.output("leaving.mab", held.leaving, "g/L", "antibody at the column's outlet", nominal=1.0)
    m.output(
        "breakthrough", breakthrough(held.leaving, inlet.content["mab"]), "%", "that over the feed's", nominal=10.0
    )
    m.output("bound", ca.sum1(held.bound) / cells, "g/L", "antibody bound per bed volume", nominal=10.0)
    m.output("bindable", capacity, "g/L", "antibody that the resin can bind per bed volume", nominal=50.0)
    m.output("volume", bed.volume, "L", "of the bed")
    m.output("cycle_count", cycles, "1", "returns to loading so far", kind="Integer")
    return m
