"""What surrounds the cells: oxygen, acid and base, heat with their inner loops in detail, or held ideally."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import casadi as ca

from fmus.bioreactor import acid_base, gas, loops
from fmus.bioreactor.culture import Culture, Outflows, arriving
from fmus.bioreactor.interface import ILLUSTRATIVE, REFERENCE_TEMPERATURE, Inputs
from fmus.bioreactor.kinetics import Rates
from fmus.model import UnitModel

_HOUR = 3600.0
_HEAT = 4.18  # kJ/(L K): broth as water
_ZERO_CELSIUS = 273.15


@dataclass(frozen=True)
class Surroundings:
    """What the cells, the pumps and the outputs need to know of the surroundings.

    Attributes:
        temperature: K.
        ph: 1.
        oxygen: dissolved, percent of air saturation.
        base: flow of base, L/h.
        base_osmolality: mmol/L.
        uptake: factor on the uptake of oxygen where it is short.
        shown: what the probes show.
        actuators: what the loops ask for.
        vessel: stirring at the present speed.
        gases: sparged.
        transfer: of gas; None where it follows the uptake.
        carbon_dioxide: dissolved, mmol/L.
    """

    temperature: Any
    ph: Any
    oxygen: Any
    base: Any
    base_osmolality: Any
    uptake: Any
    shown: loops.Probes
    actuators: loops.Actuators
    vessel: gas.Vessel
    gases: gas.Gases
    transfer: gas.Transfer | None
    carbon_dioxide: Any


@dataclass(frozen=True)
class Respiration:
    """Oxygen taken up and carbon dioxide released, mmol/h."""

    oxygen: Any
    carbon_dioxide: Any


def respiration(m: UnitModel, culture: Culture, uptake: Any) -> Respiration:
    """Declare the cells' respiration."""
    specific = m.parameter(
        "respiration.oxygen", 0.25, "pmol/h", "uptake of oxygen per cell", source="range 0.15-0.4; " + ILLUSTRATIVE
    )
    quotient = m.parameter(
        "respiration.quotient", 1.0, "1", "carbon dioxide released per oxygen", source="range 0.9-1.2; " + ILLUSTRATIVE
    )
    oxygen = specific * culture.amounts["viable_cells"] / 1e9 * uptake
    return Respiration(oxygen, quotient * oxygen)


class Detailed:
    """Dissolved oxygen, carbonate, alkalinity, heat and jacket as states; probes and controllers with their lags."""

    def __init__(self, m: UnitModel, culture: Culture, inputs: Inputs, working_volume: float) -> None:
        self.m, self.culture, self.inputs = m, culture, inputs
        self.working, self.diameter = gas.declare_vessel(m, working_volume)
        self.buffers = acid_base.declare_buffers(m)
        self.base_content = _declare_base(m)
        scale = working_volume

        start_ph = m.parameter("initial.ph", 7.0, "1", "pH at the start", source=ILLUSTRATIVE, minimum=5.5, maximum=8.5)
        start_oxygen = m.parameter(
            "initial.oxygen", 100.0, "%", "dissolved oxygen at the start", source=ILLUSTRATIVE, minimum=0.0
        )
        start_temperature = m.parameter(
            "initial.temperature",
            REFERENCE_TEMPERATURE,
            "K",
            "at the start",
            source=ILLUSTRATIVE,
            minimum=273.15,
            display_unit="degC",
        )
        volume = next(symbol for v, symbol in m.parameters if v.name == "initial.volume")
        alkalinity = self.buffers.alkalinity(self.buffers.carbonate, start_ph)
        saturated = gas.solubility(start_temperature).saturated
        self.oxygen = m.state(
            "amount.oxygen", volume * start_oxygen / 100.0 * saturated, "mmol", "dissolved oxygen", nominal=0.1 * scale
        )
        self.carbonate = m.state(
            "amount.carbonate", volume * self.buffers.carbonate, "mmol", "CO2 and bicarbonate", nominal=10.0 * scale
        )
        self.alkalinity = m.state(
            "amount.alkalinity", volume * alkalinity, "mmol", "charge of the buffers", nominal=10.0 * scale
        )
        self.heat = m.state(
            "heat",
            volume * _HEAT * (start_temperature - _ZERO_CELSIUS),
            "kJ",
            "enthalpy of the broth above 0 degC",
            nominal=150.0 * scale,
        )
        self.jacket = m.state(
            "jacket.temperature", start_temperature, "K", "of the jacket", nominal=300.0, display_unit="degC"
        )
        self.temperature = _ZERO_CELSIUS + self.heat / (_HEAT * culture.volume)
        self.solubility = gas.solubility(self.temperature)
        self.probes = loops.declare_probes(m, inputs, start_oxygen, start_ph, start_temperature)

    def now(self) -> Surroundings:
        """What the states say, and what the loops ask for."""
        m, volume = self.m, self.culture.volume
        proton = self.buffers.proton(self.carbonate / volume, self.alkalinity / volume)
        dissolved = acid_base.dissolved_co2(self.carbonate / volume, proton)
        oxygen = 100.0 * self.oxygen / volume / self.solubility.saturated
        asked = loops.act(m, self.inputs, self.probes, self.working)
        vessel = gas.stirred(m, self.working, self.diameter, volume, asked.agitation)
        gases = gas.sparged(self.working, self.inputs.air, asked.oxygen, asked.carbon_dioxide, asked.nitrogen)
        moved = gas.transferred(m, vessel, volume, self.temperature, gases, self.oxygen / volume, dissolved)
        scarce = m.parameter(
            "respiration.critical_oxygen", 3.0, "%", "where the uptake loses 1/e", source=ILLUSTRATIVE, minimum=0.1
        )
        ph = acid_base.ph(proton)
        for probe, loop, true, lag, name in (
            (self.probes.oxygen, self.inputs.oxygen_loop, oxygen, 30.0, "oxygen"),
            (self.probes.ph, self.inputs.ph_loop, ph, 20.0, "ph"),
            (self.probes.temperature, self.inputs.temperature_loop, self.temperature, 20.0, "temperature"),
        ):
            loops.follow(m, probe, loop, true, lag, name, vessel.mixing_time)
        return Surroundings(
            temperature=self.temperature,
            ph=ph,
            oxygen=oxygen,
            base=asked.base,
            base_osmolality=self.base_content["osmolality"],
            uptake=1.0 - _gone(oxygen, scarce),
            shown=self.probes,
            actuators=asked,
            vessel=vessel,
            gases=gases,
            transfer=moved,
            carbon_dioxide=dissolved,
        )

    def balance(self, now: Surroundings, rates: Rates, breath: Respiration, out: Outflows) -> None:
        """State the balances of oxygen, carbonate, alkalinity and heat.

        They are::

        d(V c_O2)/dt = N_O2 - q_O2 V X_v + sum F_in c_sat - F_out c_O2
        d(V C_T)/dt  = RQ q_O2 V X_v - N_CO2 + sum F_in C_T,in + F_base C_T,base - F_out C_T
        d(V S)/dt    = -q_lac V X_v + sum F_in S_in + F_base S_base - F_out S
        dH/dt        = 0.46 kJ/mmol q_O2 V X_v + P + U A (T_j - T) + c_p (sum F_in T_in + F_base T_base - F_out T)
        """
        m, volume, inputs = self.m, self.culture.volume, self.inputs
        assert now.transfer is not None
        entering = arriving(inputs)
        carried = {"oxygen": 0.0, "carbonate": 0.0, "alkalinity": 0.0}
        for inlet in inputs.inlets:
            carried["oxygen"] += inlet.flow * self.solubility.saturated
            carried["carbonate"] += inlet.flow * self.buffers.carbonate
            carried["alkalinity"] += inlet.flow * self.buffers.alkalinity(self.buffers.carbonate, inlet.content["ph"])
        acid = rates.lactate * self.culture.amounts["viable_cells"] / 1e9
        base, content = now.base, self.base_content
        m.derivative(
            self.oxygen,
            (now.transfer.oxygen - breath.oxygen + carried["oxygen"] - out.total * self.oxygen / volume) / _HOUR,
        )
        m.derivative(
            self.carbonate,
            (
                breath.carbon_dioxide
                - now.transfer.carbon_dioxide
                + carried["carbonate"]
                + base * content["carbonate"]
                - out.total * self.carbonate / volume
            )
            / _HOUR,
        )
        m.derivative(
            self.alkalinity,
            (carried["alkalinity"] + base * content["alkalinity"] - acid - out.total * self.alkalinity / volume)
            / _HOUR,
        )
        conductance = m.parameter(
            "jacket.heat_transfer", 300.0, "W/(m^2*K)", "coefficient of heat transfer", source=ILLUSTRATIVE, minimum=0.0
        )
        lag = m.parameter("jacket.lag", 120.0, "s", "how fast the jacket follows", source=ILLUSTRATIVE, minimum=1.0)
        heating = m.parameter(
            "respiration.heat", 0.46, "kJ/mmol", "heat per oxygen taken up", source="oxycaloric equivalent, 460 kJ/mol"
        )
        wetted = math.pi * self.diameter * now.vessel.level
        into_kw = conductance * wetted * (self.jacket - self.temperature) * 1e-3
        flowing = _HEAT * (
            entering.carried["temperature"]
            - entering.volume * _ZERO_CELSIUS
            + base * 25.0
            - out.total * (self.temperature - _ZERO_CELSIUS)
        )
        m.derivative(self.heat, into_kw + 1e-3 * now.vessel.power + (heating * breath.oxygen + flowing) / _HOUR)
        m.derivative(self.jacket, (now.actuators.jacket - self.jacket) / lag)


def ideal(m: UnitModel, inputs: Inputs, working_volume: float, culture: Culture) -> Surroundings:
    """Temperature, pH and oxygen are where their setpoints are; nothing is added for that."""
    working, diameter = gas.declare_vessel(m, working_volume)
    temperature = inputs.temperature_loop.setpoint
    shown = loops.Probes(
        inputs.oxygen_loop.setpoint + inputs.oxygen_loop.drift,
        inputs.ph_loop.setpoint + inputs.ph_loop.drift,
        temperature + inputs.temperature_loop.drift,
    )
    nothing = loops.Actuators(0.0, 0.0, inputs.agitation, 0.0, 0.0, temperature)
    return Surroundings(
        temperature=temperature,
        ph=inputs.ph_loop.setpoint,
        oxygen=inputs.oxygen_loop.setpoint,
        base=0.0,
        base_osmolality=0.0,
        uptake=1.0,
        shown=shown,
        actuators=nothing,
        vessel=gas.stirred(m, working, diameter, culture.volume, inputs.agitation),
        gases=gas.sparged(working, inputs.air, 0.0, 0.0, 0.0),
        transfer=None,
        carbon_dioxide=gas.solubility(temperature).carbon_dioxide * 0.0533,  # 40 mmHg
    )


def _gone(oxygen: Any, critical: Any) -> Any:
    return ca.exp(-((oxygen / critical) ** 2))


def _declare_base(m: UnitModel) -> dict[str, Any]:
    return {
        name: m.parameter(f"base.{name}", value, unit, text, source="1 mol/L sodium carbonate; chosen", minimum=0.0)
        for name, value, unit, text in (
            ("alkalinity", 2000.0, "mmol/L", "charge that a litre of base brings"),
            ("carbonate", 1000.0, "mmol/L", "carbonate of the base"),
            ("osmolality", 3000.0, "mmol/L", "solutes of the base"),
        )
    }
