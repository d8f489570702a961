"""Protein A capture by periodic counter-current chromatography with three columns.

Two columns are loaded in series, so that the second binds what the first lets through, and the first can be loaded
beyond its breakthrough. Meanwhile the third is washed, eluted, cleaned and equilibrated. Then all move on by one place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import casadi as ca

from fmus.liquids import LiquidInlet, liquid_inlet
from fmus.model import Role, UnitModel
from fmus.physics.chromatography import Column, Feed, column, flows_through, one_of
from fmus.physics.protein_a import BADR, HOUR, Bed, breakthrough, eluate, packed_bed, so_far, yield_of

COLUMNS = 3
PHASES = ("recovered_wash", "wash", "elution", "cleaning", "equilibration", "ready")
STATES = ("loaded_first", "loaded_second", *PHASES)
_RECOVERED, _WASH, _ELUTION, _CLEANING, _EQUILIBRATION, _READY = range(len(PHASES))
# what is due within this time [s], or this close to the switching breakthrough [%], happens together
_TOGETHER = 1e-6
_CLOSE = 1e-7


@dataclass(frozen=True)
class _Sequence:
    """Where the sequence stands; all discrete.

    Attributes:
        first: number of the column that is loaded first, from 1.
        phase: what happens to the third column, place in `PHASES`.
        phase_ends: when [s].
        cycles: completed by each column.
    """

    first: Any
    phase: Any
    phase_ends: Any
    cycles: list[Any]

    def place(self, number: int) -> Any:
        """Of column ``number``, from 0: 0 loaded first, 1 loaded second, 2 neither."""
        behind = number + 1.0 - self.first
        return behind + COLUMNS * (behind < -0.5)

    def at(self, place: int, values: list[Any]) -> Any:
        """The value of the column at a place."""
        number = self.first - 1.0 + place
        return one_of(number - COLUMNS * (number > COLUMNS - 0.5), values)

    def during(self, *phases: int) -> Any:
        """1 during one of the phases."""
        return sum((ca.fabs(self.phase - p) < 0.5 for p in phases), ca.SX(0))


@dataclass(frozen=True)
class _Operation:
    """How the columns are run.

    Attributes:
        switch_at: breakthrough of the first column [%].
        switch_after: scheduled time [s], or 0.
        velocity: of the buffers, superficial [m/s].
        volumes: bed volumes of each phase but the last.
    """

    switch_at: Any
    switch_after: Any
    velocity: Any
    volumes: list[Any]


def protein_a_capture(*, cells: int = 12) -> UnitModel:
    """Build the three-column capture step.

    Each column follows the lumped rate model of `fmus.physics.chromatography`. With B the antibody that leaves the
    first column over that in the feed, and b bed volumes of buffer at the velocity u_b in a bed of height L::

        feed -> first -> second -> flow-through                    third: wash, elution, cleaning, equilibration
        feed -> first -> flow-through,  third -> second            while the third's wash is recovered

        phase ends b L/u_b after its start
        switch     when B reaches its setpoint (or a scheduled time has passed) and the third column is ready
        q_max      = capacity (1 - ageing)^cycles

    At the switch the second column becomes the first, the third the second, and the first is washed. A column that is
    due while the third is not ready goes on being loaded.

    Args:
        cells: along each column; the documentation tells what more of them are worth.
    """
    m = UnitModel(
        "protein_a_capture",
        "Protein A capture, periodic counter-current with three columns",
        integrator="erk",
        documentation=__doc__ or "",
    )
    inlet = liquid_inlet(m, "inlet", flow=7.7, nominal=5.0, mab=3.0, temperature=293.15)
    bed = packed_bed(m, cells)
    operation, drift = _operation(m)
    lot = m.input(
        "capacity_factor",
        1.0,
        "1",
        "factor on the capacity: resin lot, fouling",
        minimum=0.1,
        maximum=2.0,
        role=Role.DISTURBANCE,
    )
    columns = [column(m, f"column_{k + 1}", cells) for k in range(COLUMNS)]
    now = _Sequence(
        m.state("first_column", 1.0, "1", "column that is loaded first, from 1", kind="Integer", minimum=1.0),
        m.state("phase", _READY, "1", "of the third column", kind="Enumeration", items=PHASES),
        m.state("phase_ends", 0.0, "s", "when the phase ends", nominal=1000.0),
        ca.vertsplit(m.state("cycles", [0.0] * COLUMNS, "1", "cycles completed, by column", kind="Integer")),
    )
    capacities = [bed.capacity(cycles, lot) for cycles in now.cycles]
    leaving = [c.leaving for c in columns]
    _columns(m, bed, inlet, operation, now, columns, capacities)
    eluted = _balances(m, bed, inlet, operation, now, columns)
    shown = breakthrough(now.at(0, leaving), inlet.content["mab"])
    used = now.at(0, [ca.sum1(c.bound) / cells / q for c, q in zip(columns, capacities, strict=True)])
    _sequence(m, bed, operation, now, shown + drift, used, eluted)

    m.output(
        "column_state",
        [_state(now, k) for k in range(COLUMNS)],
        "1",
        "what each column does",
        kind="Enumeration",
        items=STATES,
    )
    m.output(
        "column_breakthrough",
        [breakthrough(c, inlet.content["mab"]) for c in leaving],
        "%",
        "antibody that leaves a column over that in the feed, by column",
        nominal=10.0,
    )
    for place, name in enumerate(("first", "second")):
        m.output(
            f"{name}_breakthrough",
            breakthrough(now.at(place, leaving), inlet.content["mab"]),
            "%",
            f"that of the column loaded {name}",
            nominal=10.0,
        )
    m.output(
        "column_bound",
        [ca.sum1(c.bound) / cells for c in columns],
        "g/L",
        "antibody bound per bed volume, by column",
        nominal=10.0,
    )
    m.output(
        "column_capacity",
        ca.vertcat(*capacities),
        "g/L",
        "antibody that a column can bind per bed volume",
        nominal=50.0,
    )
    m.output("cycle_number", now.at(2, now.cycles), "1", "cycles completed by the third column", kind="Integer")
    m.output(
        "loading_velocity",
        bed.velocity(inlet.flow) * 100.0 * HOUR,
        "cm/h",
        "superficial velocity of the feed",
        nominal=200.0,
    )
    return m


def _operation(m: UnitModel) -> tuple[_Operation, Any]:
    """What an operator sets, and the error of the breakthrough that is seen [%]."""
    setpoint = m.input(
        "breakthrough_setpoint",
        30.0,
        "%",
        "breakthrough of the first column at which the columns switch",
        minimum=0.1,
        maximum=99.0,
        role=Role.CPP,
    )
    drift = m.input(
        "breakthrough_drift",
        0.0,
        "%",
        "error of the breakthrough that the switch sees: drift of the UV detectors",
        minimum=-100.0,
        maximum=100.0,
        nominal=1.0,
        role=Role.DISTURBANCE,
    )
    scheduled = m.parameter(
        "scheduled_switch",
        0.0,
        "s",
        "time between switches; 0: by breakthrough",
        source="chosen: by breakthrough",
        minimum=0.0,
        tunable=True,
    )
    velocity = m.parameter(
        "buffer_velocity", 300.0, "cm/h", "superficial velocity of the buffers", source=BADR, minimum=1.0
    )

    def volumes(name: str, value: float, description: str, source: str = BADR) -> Any:
        return m.parameter(f"volumes.{name}", value, "1", description, source=source, minimum=0.1)

    return _Operation(
        setpoint,
        scheduled,
        velocity * 0.01 / HOUR,
        [
            volumes("recovered_wash", 3.0, "bed volumes of wash into the next column", f"of the 6 of {BADR}; assumed"),
            volumes("wash", 3.0, "bed volumes of wash after that", f"of the 6 of {BADR}; assumed"),
            volumes("elution", 5.0, "bed volumes of eluent"),
            volumes("cleaning", 5.0, "bed volumes of cleaning in place"),
            volumes("equilibration", 5.0, "bed volumes of equilibration"),
        ],
    ), drift


def _columns(
    m: UnitModel,
    bed: Bed,
    inlet: LiquidInlet,
    operation: _Operation,
    now: _Sequence,
    columns: list[Column],
    capacities: list[Any],
) -> None:
    loading = bed.velocity(inlet.flow)
    buffer = operation.velocity * (1.0 - now.during(_READY))
    recovered = now.during(_RECOVERED)

    def entering(parts: list[Any]) -> Any:
        """What enters the second column."""
        return ca.if_else(recovered, now.at(2, parts), now.at(0, parts))

    first = Feed(loading, inlet.content["mab"], 0.0)
    second = Feed(
        ca.if_else(recovered, buffer, loading),
        entering([c.leaving for c in columns]),
        entering([c.eluent[-1] for c in columns]),
    )
    third = Feed(buffer, 0.0, now.during(_ELUTION, _CLEANING))
    entering_parts = list(zip(_parts(first), _parts(second), _parts(third), strict=True))
    for k, (each, capacity) in enumerate(zip(columns, capacities, strict=True)):
        fed = Feed(*(one_of(now.place(k), parts) for parts in entering_parts))
        flows_through(m, each, bed.resin, bed.height, fed, capacity)


def _parts(feed: Feed) -> list[Any]:
    return [feed.velocity, feed.antibody, feed.eluent]


def _balances(
    m: UnitModel, bed: Bed, inlet: LiquidInlet, operation: _Operation, now: _Sequence, columns: list[Column]
) -> Any:
    """What came, left and was used so far; returns the antibody eluted."""
    first, second, third = (now.at(place, [c.leaving for c in columns]) for place in range(COLUMNS))
    buffer = bed.flow(operation.velocity)
    unbound = ca.if_else(now.during(_RECOVERED), inlet.flow * first + buffer * second, inlet.flow * second)
    washed = buffer * now.during(_WASH, _CLEANING, _EQUILIBRATION) * third

    eluate(m, buffer * now.during(_ELUTION), third)
    loaded = so_far(m, "loaded.mab", inlet.flow * inlet.content["mab"], "g", "antibody fed")
    eluted = so_far(m, "eluted.mab", buffer * now.during(_ELUTION) * third, "g", "antibody eluted")
    passed = so_far(m, "lost.flow_through", unbound, "g", "antibody lost with the flow-through")
    stripped = so_far(m, "lost.buffers", washed, "g", "antibody lost with wash, cleaning and equilibration")
    for name, phases in {
        "wash": (_RECOVERED, _WASH),
        "elution": (_ELUTION,),
        "cleaning": (_CLEANING,),
        "equilibration": (_EQUILIBRATION,),
    }.items():
        so_far(m, f"buffer.{name}", buffer * now.during(*phases), "L", f"buffer used for {name}", Role.NONE)
    held = sum((c.held(bed.resin) for c in columns), ca.SX(0))
    m.output("holdup.mab", bed.volume * held, "g", "antibody held up", role=Role.BALANCE, nominal=10.0)
    kept = yield_of(loaded, passed + stripped)
    m.output("yield", kept, "%", "antibody not lost, of all fed", nominal=100.0, role=Role.CQA)
    return eluted


def _sequence(
    m: UnitModel, bed: Bed, operation: _Operation, now: _Sequence, shown: Any, used: Any, eluted: Any
) -> None:
    """The event that moves the sequence on, and what it records."""
    kept = {
        "switched_at": m.state("switched_at", 0.0, "s", "when the columns switched last", nominal=1000.0),
        "load_time": m.state("record.load_time", 0.0, "s", "between the last two switches", nominal=1000.0),
        "utilisation": m.state("record.utilisation", 0.0, "%", "of the capacity at the last switch", nominal=100.0),
        "switches": m.state("switches", 0.0, "1", "switches so far", kind="Integer"),
        "late": m.state("late_switches", 0.0, "1", "switches that waited for the third column", kind="Integer"),
        "before": m.state("record.eluted_before", 0.0, "g", "antibody eluted before this elution", nominal=10.0),
        "mass": m.state("record.pool_mass", 0.0, "g", "antibody in the last pool", nominal=10.0),
        "productivity": m.state("record.productivity", 0.0, "g/L/h", "of the last cycle", nominal=10.0),
    }
    by_time = operation.switch_after > 0.0
    switch_at = kept["switched_at"] + operation.switch_after
    soon = m.time + _TOGETHER
    ready = now.phase > _READY - 0.5
    ends = ca.logic_and(ca.logic_not(ready), now.phase_ends < soon)
    phase = now.phase + ends
    due = ca.if_else(by_time, switch_at < soon, shown > operation.switch_at - _CLOSE)
    switches = ca.logic_and(phase > _READY - 0.5, due)
    eluting, eluted_now = (ca.logic_and(ends, ca.fabs(phase - p) < 0.5) for p in (_ELUTION, _CLEANING))
    times = [volumes * bed.height / operation.velocity for volumes in operation.volumes]
    lasts = ca.if_else(switches, times[0], one_of(phase, [*times, 0.0]))
    mass = eluted - kept["before"]
    waits = ca.if_else(by_time, switch_at - m.time, operation.switch_at - shown)
    m.event(
        "sequence",
        ca.if_else(ready, waits, now.phase_ends - m.time),
        {
            "first_column": ca.if_else(
                switches, ca.if_else(now.first > COLUMNS - 0.5, 1.0, now.first + 1.0), now.first
            ),
            "phase": ca.if_else(switches, 0.0, phase),
            "phase_ends": ca.if_else(ca.logic_or(ends, switches), m.time + lasts, now.phase_ends),
            "switched_at": ca.if_else(switches, m.time, kept["switched_at"]),
            "record.load_time": ca.if_else(switches, m.time - kept["switched_at"], kept["load_time"]),
            "record.utilisation": ca.if_else(switches, 100.0 * used, kept["utilisation"]),
            "switches": kept["switches"] + switches,
            "late_switches": kept["late"] + ca.logic_and(switches, ends),
            "record.eluted_before": ca.if_else(eluting, eluted, kept["before"]),
            "record.pool_mass": ca.if_else(eluted_now, mass, kept["mass"]),
            "record.productivity": ca.if_else(
                eluted_now, mass / (COLUMNS * bed.volume) / (kept["load_time"] / HOUR), kept["productivity"]
            ),
            **{
                f"cycles[{k + 1}]": cycles + ca.logic_and(eluted_now, now.place(k) > 1.5)
                for k, cycles in enumerate(now.cycles)
            },
        },
    )
    pool_volume = operation.volumes[_ELUTION] * bed.volume
    m.output("pool.mab_mass", kept["mass"], "g", "antibody in the last pool", nominal=10.0)
    m.output("pool.titre", kept["mass"] / pool_volume, "g/L", "antibody in the last pool", role=Role.CQA, nominal=10.0)
    m.output("load_time", kept["load_time"], "s", "between the last two switches", nominal=1000.0, display_unit="h")
    m.output(
        "resin_utilisation",
        kept["utilisation"],
        "%",
        "of the first column's capacity at the last switch",
        nominal=100.0,
    )
    m.output(
        "productivity", kept["productivity"], "g/L/h", "of the last cycle, per litre of the three beds", nominal=10.0
    )
    m.output("switch_count", kept["switches"], "1", "switches so far", kind="Integer")
    m.output("late_count", kept["late"], "1", "of them those that waited for the third column", kind="Integer")


def _state(now: _Sequence, number: int) -> Any:
    """Place in `STATES` of column ``number``, from 0."""
    return one_of(now.place(number), [0.0, 1.0, now.phase + 2.0])
