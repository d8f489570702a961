"""Fluid-bed dryer with a carousel of six cells: semi-batch, psychrometric energy balance, falling-rate drying.

Wet granules flow into one cell for the filling time, then into the next. A filled cell dries for the drying time and is
then emptied by one transfer line, so that the outlet flow comes in pulses. All cells get the same share of the air.
"""

from __future__ import annotations

from typing import Any

import casadi as ca

from fmus import granules
from fmus.granules import GranuleInlet, granule_inlet, granule_outlet
from fmus.model import Role, UnitModel
from fmus.physics import fluid_bed, psychrometrics
from fmus.physics.carousel import PHASES, Carousel, Times, carousel
from fmus.physics.dryer_batches import Batches, LastBatch, batches
from fmus.physics.fluid_bed import Air, Bed, Drying, Kinetics
from fmus.streams import holdup

CELLS = 6
_ILLUSTRATIVE = "illustrative, uncalibrated"
_CONTACT = "illustrative: chosen to meet the reference table of loss on drying"
_RATE = "form: constant, then falling rate; value illustrative, uncalibrated"
_SIZE = "form: big granules dry slower; value illustrative, uncalibrated"


def fluid_bed_dryer(name: str = "fluid_bed_dryer", *, classes: bool = True) -> UnitModel:
    """Build the dryer.

    In each cell, with M dry solids, X water per dry solids, T bed temperature, H bed enthalpy, m_a dry air, Y_in its
    humidity and T_in its temperature; fill is 1 for the cell that is filled, r the rate at which one is emptied::

        c        = 1 - exp(-M/M_c)                                 share of the plate that is covered
        dM/dt    = fill m_in - r M
        dW/dt    = fill m_in X_in - r W - m_ev,                    X = W/M
        m_ev     = m_a eff c phi(X) max(Y_sat(T) - Y_in, 0)
        phi      = 1 above X_cr, ((X - X_eq)/(X_cr - X_eq))^n below
        X_cr     = X_cr0 (d50/d_ref)^a,                            n = max(n_0 (d50/d_ref)^b, 1)
        dH/dt    = fill h_in - r H + m_a (c_pa + Y_in c_pv) eff c (T_in - T)
                   - m_ev (h_fg0 + c_pv T) - c UA (T - T_amb)
        Y_sat(T) = 0.622 p_s/(p - p_s),                            p_s after Magnus
        LOD      = 100 X/(1 + X)

    What does not change while a batch dries is not integrated cell by cell: API, bulk volume and size per dry solids
    are collected while a cell is filled, kept with the cell when the inlet moves on, and handed out with its dry
    solids. The d50 that a cell dries with is that of the batch filled last. The air that leaves is a mix of air that
    met granules, air that did not, and the vapour.

    Args:
        name: of the unit.
        classes: carry the 30 size classes of each cell (detailed), or two moments of the logarithm of the size, from
            which the outlet's classes are rebuilt as a log-normal distribution (fast).
    """
    fidelity = "30 size classes per cell" if classes else "log-normal granule size"
    m = UnitModel(
        name, f"Six-cell fluid-bed dryer, semi-batch; {fidelity}", integrator="erk", documentation=__doc__ or ""
    )
    inlet = granule_inlet(m, "inlet", 6e-3, 0.1, moisture=0.2)
    air, ambient = _surroundings(m)
    times = _times(m)
    kinetics = _kinetics(m)
    transfer_share = m.parameter(
        "transfer_air_share",
        0.0,
        "1",
        "share of its air that a cell loses into the transfer line while it is emptied",
        source="effect: Rehrl 2020 (Pharmaceutics 12:452); its size is not known: off",
        minimum=0.0,
        maximum=1.0,
    )
    initial_mass = m.parameter(
        "initial_mass", 0.009, "kg", "dry solids in each cell at the start", source=_ILLUSTRATIVE, minimum=1e-6
    )
    bed = _initial_bed(m, initial_mass, air, kinetics.equilibrium)
    held = batches(m, inlet, bed, initial_mass, kinetics, classes)
    turning = carousel(m, CELLS, times, held.jumps)
    flow = air.flow * (1.0 - transfer_share * turning.emptied)
    dried = fluid_bed.drying(bed, held.rate, air, flow, ambient, kinetics)
    _balances(m, bed, inlet, held, turning, dried)
    _outputs(m, bed, turning, air, dried, held.last)
    leaving = [ca.dot(turning.rates, part) for part in (bed.dry, bed.water, bed.heat)]
    granule_outlet(m, held.last.flow(*leaving), held.last.unit_mass)
    return m


def _surroundings(m: UnitModel) -> tuple[Air, Any]:
    temperature = m.input(
        "inlet_air.temperature",
        333.15,
        "K",
        "temperature of the drying air",
        minimum=283.15,
        maximum=368.15,
        display_unit="degC",
        role=Role.CPP,
    )
    flow = m.input(
        "inlet_air.flow", 360.0, "m^3/h", "drying air to all cells", minimum=0.0, maximum=1000.0, role=Role.CPP
    )
    humidity = m.input(
        "inlet_air.humidity",
        0.008,
        "1",
        "water per dry air, by mass",
        minimum=0.0,
        maximum=0.05,
        nominal=0.01,
        role=Role.DISTURBANCE,
    )
    blockage = m.input(
        "filter_blockage", 0.0, "1", "share of the air flow lost", minimum=0.0, maximum=1.0, role=Role.DISTURBANCE
    )
    ambient = m.input(
        "ambient_temperature",
        295.15,
        "K",
        "temperature around the dryer",
        minimum=260.0,
        maximum=330.0,
        display_unit="degC",
        role=Role.DISTURBANCE,
    )
    density = m.parameter(
        "air_density", 1.2, "kg/m^3", "dry air per volume as the flow is measured", source="dry air at 20 degC, 1 atm"
    )
    pressure = m.parameter("pressure", 101325.0, "Pa", "in the dryer", source="standard atmosphere", minimum=5e4)
    # never quite zero, so that the air that leaves always has a temperature
    mass = ca.fmax(flow / 3600.0 * density * (1.0 - blockage) / CELLS, 1e-6)
    return Air(temperature, humidity, mass, pressure), ambient


def _times(m: UnitModel) -> Times:
    return Times(
        m.input(
            "filling_time",
            180.0,
            "s",
            "of each cell; read when the inlet moves on",
            minimum=60.0,
            maximum=600.0,
            role=Role.CPP,
        ),
        m.input(
            "drying_time",
            500.0,
            "s",
            "of each cell, from the end of filling to discharge",
            minimum=0.0,
            maximum=3000.0,
            role=Role.CPP,
        ),
        m.parameter("discharge_time", 20.0, "s", "of each cell", source=_ILLUSTRATIVE, minimum=1.0, maximum=50.0),
        m.parameter(
            "heel",
            0.01,
            "1",
            "share of a cell's content that stays in it after discharge",
            source=_ILLUSTRATIVE,
            minimum=1e-3,
            maximum=0.2,
        ),
    )


def _kinetics(m: UnitModel) -> Kinetics:
    def declare(name: str, value: float, unit: str, description: str, source: str, least: float | None = None) -> Any:
        return m.parameter(name, value, unit, description, source=source, minimum=least)

    return Kinetics(
        declare("contact_mass", 0.07, "kg", "dry solids that cover 63 % of the plate", _CONTACT, 1e-4),
        declare("contact_efficiency", 0.95, "1", "share of the air over them that reaches the bed's state", _RATE, 0.0),
        declare("heat_loss", 2.0, "W/K", "of a full cell to its surroundings", _ILLUSTRATIVE, 0.0),
        declare("critical_moisture", 0.06, "1", "water per dry solids where the rate begins to fall", _RATE, 0.0),
        declare("equilibrium_moisture", 0.008, "1", "water per dry solids that stays", _RATE, 0.0),
        declare("falling_rate_exponent", 1.0, "1", "of the falling rate", _RATE, 1.0),
        declare("reference_size", 500e-6, "m", "median size that the values above hold for", _SIZE, 1e-5),
        declare("critical_moisture_by_size", 0.5, "1", "power of size that the critical moisture rises with", _SIZE),
        declare("falling_rate_by_size", 0.3, "1", "power of size that the exponent rises with", _SIZE),
    )


def _initial_bed(m: UnitModel, mass: Any, air: Air, moisture: Any) -> Bed:
    """The states; every cell starts with a little dry granulate."""

    def cells(name: str, start: Any, unit: str, description: str, nominal: float, least: float | None = 0.0) -> Any:
        starts = [mass * start] * CELLS
        return m.state(f"cell.{name}", starts, unit, f"{description}, by cell", minimum=least, nominal=nominal)

    heat = granules.enthalpy(1.0, moisture, air.temperature)
    return Bed(
        cells("dry", 1.0, "kg", "dry solids", 1.0),
        cells("water", moisture, "kg", "water", 0.1),
        cells("heat", heat, "J", "enthalpy above 0 degC", 5e4, None),
    )


def _balances(m: UnitModel, bed: Bed, inlet: GranuleInlet, held: Batches, turning: Carousel, dried: Drying) -> None:
    flows = inlet.flows
    vapour_heat = dried.evaporation * psychrometrics.vapour_enthalpy(bed.temperature)

    def moved(part: Any, fed: Any) -> Any:
        return turning.fills * fed - turning.rates * part

    m.derivative(bed.dry, moved(bed.dry, flows.dry))
    m.derivative(bed.water, moved(bed.water, flows.water) - dried.evaporation)
    m.derivative(bed.heat, moved(bed.heat, flows.heat) + dried.sensible - vapour_heat - dried.lost)

    def so_far(name: str, rate: Any, unit: str, description: str, nominal: float) -> None:
        total = m.state(f"so_far.{name}", 0.0, unit, f"{description} so far", nominal=nominal)
        m.derivative(total, ca.sum1(rate))
        m.output(f"balance.{name}", total, unit, f"{description} so far", role=Role.BALANCE, nominal=nominal)

    so_far("evaporated", dried.evaporation, "kg", "water evaporated", 1.0)
    so_far("air_heat", dried.sensible - vapour_heat, "J", "enthalpy that the air brought less what it took", 1e6)
    so_far("lost_heat", dried.lost, "J", "heat lost to the surroundings", 1e4)
    m.output("balance.water", ca.sum1(bed.water), "kg", "water in the cells", role=Role.BALANCE, nominal=0.1)
    m.output("balance.heat", ca.sum1(bed.heat), "J", "enthalpy of the cells", role=Role.BALANCE, nominal=1e5)
    held_api = ca.dot((1.0 - turning.fills) * bed.dry, held.api) + held.collected_api
    holdup(m, ca.sum1(bed.dry + bed.water), held_api)


def _outputs(m: UnitModel, bed: Bed, turning: Carousel, air: Air, dried: Drying, last: LastBatch) -> None:
    def temperature(name: str, value: Any, description: str) -> None:
        m.output(name, value, "K", description, nominal=300.0, display_unit="degC")

    m.output(
        "lod",
        100.0 * last.moisture / (1.0 + last.moisture),
        "%",
        "loss on drying of the cell discharged last, at the start of its discharge",
        role=Role.CQA,
    )
    temperature("discharge_temperature", last.temperature, "bed temperature then")
    temperature("bed.temperature", bed.temperature, "bed temperature, by cell")
    m.output("bed.lod", bed.loss_on_drying, "%", "loss on drying in the bed, by cell", nominal=10.0)
    m.output("cell_state", turning.phases, "1", "what a cell does", kind="Enumeration", items=PHASES)
    m.output("index", turning.filling, "1", "cell that is filled, from 1", kind="Integer")
    m.output("discharge_count", turning.discharged, "1", "discharges started so far", kind="Integer")
    m.output(
        "cut_short_count",
        turning.cut_short,
        "1",
        "discharges before the drying time was over, because the inlet came back to the cell",
        kind="Integer",
    )
    outlet_temperature, humidity = fluid_bed.mixed_air(bed, air, dried)
    temperature("outlet_air.temperature", outlet_temperature, "temperature of the air that leaves")
    m.output("outlet_air.humidity", humidity, "1", "water per dry air of the air that leaves", nominal=0.01)
    m.output(
        "outlet_air.relative_humidity",
        100.0 * psychrometrics.relative_humidity(outlet_temperature, humidity, air.pressure),
        "%",
        "relative humidity of the air that leaves",
        nominal=50.0,
    )
