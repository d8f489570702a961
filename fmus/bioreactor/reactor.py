"""The bioreactor: one interface, the kinetics and the fidelity chosen by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import casadi as ca

from fmus.bioreactor import gas
from fmus.bioreactor.amribt2013 import AMRIBT2013
from fmus.bioreactor.badr2021 import BADR2021
from fmus.bioreactor.culture import Culture, Outflows, arriving, balance, contents, declare_culture, liquid, outflows
from fmus.bioreactor.environment import declare_effects
from fmus.bioreactor.interface import declare_inputs
from fmus.bioreactor.kinetics import Kinetics, Rates
from fmus.bioreactor.kornecki2018 import KORNECKI2018
from fmus.bioreactor.surroundings import Detailed, Respiration, Surroundings, ideal, respiration
from fmus.errors import GalenicError, nearest
from fmus.liquids import liquid_outlet
from fmus.model import Role, UnitModel

Fidelity = Literal["detailed", "fast"]

#: the kinetics by name
KINETICS: dict[str, Kinetics] = {k.name: k for k in (BADR2021, AMRIBT2013, KORNECKI2018)}


def bioreactor(kinetics: str, fidelity: Fidelity = "detailed") -> UnitModel:
    """Build a bioreactor.

    Args:
        kinetics: a name in `KINETICS`.
        fidelity: "detailed" with gas transfer, acid and base, heat and their loops; "fast" with kinetics and volume
            only, dissolved oxygen, pH and temperature at their setpoints. Inputs and outputs are the same.

    Raises:
        GalenicError: there are no kinetics of that name.
    """
    if kinetics not in KINETICS:
        raise GalenicError(f"there are no bioreactor kinetics '{kinetics}'", cure=nearest(kinetics, sorted(KINETICS)))
    cells = KINETICS[kinetics]
    suffix = "" if fidelity == "detailed" else "_fast"
    m = UnitModel(
        f"bioreactor_{kinetics}{suffix}",
        f"Bioreactor for fed-batch and perfusion, {fidelity}, kinetics {kinetics}",
        integrator="erk",
        documentation=f"Kinetics: {cells.paper}. Inner loops for dissolved oxygen, pH and temperature.",
    )
    inputs = declare_inputs(m, cells.start.volume)
    culture = declare_culture(m, cells, inputs)
    working_volume = 2.0 * cells.start.volume
    detailed = Detailed(m, culture, inputs, working_volume) if fidelity == "detailed" else None
    now = detailed.now() if detailed else ideal(m, inputs, working_volume, culture)
    effects = declare_effects(m, inputs, now.temperature, now.ph, now.oxygen)
    rates = cells.rates(m, culture.broth, effects)
    breath = respiration(m, culture, now.uptake)
    out = outflows(m, culture, inputs, now.vessel.working, arriving(inputs).volume + now.base)
    balance(m, culture, inputs, rates, out, now.base, now.base_osmolality)
    if detailed:
        detailed.balance(now, rates, breath, out)
    _outputs(m, culture, now, rates, breath, out)
    return m


def _outputs(
    m: UnitModel, culture: Culture, now: Surroundings, rates: Rates, breath: Respiration, out: Outflows
) -> None:
    carried = contents(culture, now.temperature, now.ph)
    harvest = liquid(culture, out.harvest, now.temperature, now.ph, cells=1.0 - out.kept, mab=out.passed)
    filtered = {name: (1.0 - out.kept) * carried[name] for name in ("viable_cells", "dead_cells")}
    liquid_outlet(m, harvest, carried | filtered | {"mab": out.passed * carried["mab"]}, "harvest")
    liquid_outlet(m, liquid(culture, out.bleed, now.temperature, now.ph), carried, "bleed")

    def output(name: str, value: Any, unit: str, text: str, nominal: float = 1.0, role: Role = Role.NONE) -> None:
        m.output(name, value, unit, text, nominal=nominal, role=role, display_unit="degC" if unit == "K" else "")

    viable, dead = carried["viable_cells"], carried["dead_cells"]
    output("viable_cell_density", viable, "1/mL", "viable cell density", 1e7, Role.CQA)
    output("dead_cell_density", dead, "1/mL", "dead cell density", 1e6)
    output("viability", 100.0 * viable / ca.fmax(viable + dead, 1e-3), "%", "viable of all cells", 100.0)
    for name, nominal in (("glucose", 20.0), ("glutamine", 2.0), ("lactate", 20.0), ("ammonia", 2.0)):
        output(name, carried[name], "mmol/L", name, nominal)
    output("titre", carried["mab"], "g/L", "antibody", 1.0, Role.CQA)
    output("osmolality", carried["osmolality"], "mmol/kg", "osmolality", 300.0)
    output("broth_volume", culture.volume, "L", "volume of the broth", 50.0)
    output("level", 100.0 * culture.volume / now.vessel.working, "%", "volume over working volume", 50.0)
    output("temperature", now.temperature, "K", "temperature of the broth", 300.0, Role.CPP)
    output("ph", now.ph, "1", "pH of the broth", 7.0, Role.CPP)
    output("oxygen", now.oxygen, "%", "dissolved oxygen, of air saturation", 50.0, Role.CPP)
    output("measured.temperature", now.shown.temperature, "K", "temperature as shown", 300.0)
    output("measured.ph", now.shown.ph, "1", "pH as shown", 7.0)
    output("measured.oxygen", now.shown.oxygen, "%", "dissolved oxygen as shown", 50.0)
    _gas_outputs(output, culture, now, breath)
    output("growth_rate", rates.growth, "1/h", "specific growth rate", 0.03)
    output("death_rate", rates.death, "1/h", "specific death rate", 0.01)
    output("filter.pressure", out.pressure, "bar", "across the cell retention", 0.1)
    perfused = out.harvest * 24.0 / (ca.fmax(culture.amounts["viable_cells"], 1.0) * 1e-12)
    output("perfusion_rate", perfused, "pL/day", "harvest per viable cell", 50.0)
    holdups = (("volume", culture.volume, "L"), ("mab", culture.amounts["mab"], "g"))
    for name, value, unit in (*holdups, ("glucose", culture.amounts["glucose"], "mmol")):
        output(f"holdup.{name}", value, unit, f"{name} held up", 50.0, Role.BALANCE)
    total = culture.totals
    output("produced.mab", total["mab_produced"], "g", "antibody produced so far", 50.0, Role.BALANCE)
    output("produced.lactate", total["lactate_produced"], "mmol", "lactate produced so far", 1000.0, Role.BALANCE)
    output("consumed.glucose", total["glucose_consumed"], "mmol", "glucose consumed so far", 1000.0, Role.BALANCE)
    output("added.base", total["base_added"], "L", "base added so far", 1.0, Role.BALANCE)


def _gas_outputs(output: Any, culture: Culture, now: Surroundings, breath: Respiration) -> None:
    litres = ca.fmax(culture.volume, 1e-9)
    moved = now.transfer
    if moved is None:
        # an ideal loop: oxygen that the air lacks is added
        supplied = replace(now.gases, oxygen=ca.fmax(now.gases.oxygen, breath.oxygen))
        fractions = gas.off_gas(supplied, breath.oxygen, breath.carbon_dioxide)
        kla: Any = 0.0
        released: Any = breath.carbon_dioxide
    else:
        fractions, kla, released = (moved.off_oxygen, moved.off_carbon_dioxide), moved.kla, moved.carbon_dioxide
    output("off_gas.oxygen", fractions[0], "1", "oxygen in the dry off-gas, by moles", 0.2)
    output("off_gas.carbon_dioxide", fractions[1], "1", "carbon dioxide in the dry off-gas, by moles", 0.02)
    output("oxygen_uptake_rate", breath.oxygen / litres, "mmol/(L*h)", "uptake of oxygen")
    output("carbon_dioxide_transfer_rate", released / litres, "mmol/(L*h)", "carbon dioxide stripped")
    pressure = now.carbon_dioxide / gas.solubility(now.temperature).carbon_dioxide
    output("dissolved_co2", 1000.0 * pressure, "mbar", "partial pressure of the dissolved carbon dioxide", 50.0)
    output("kla", kla, "1/h", "volumetric transfer coefficient of oxygen; 0 in the fast variant", 5.0)
    output("power_input", now.vessel.power_input, "W/m^3", "power of the stirrer", 10.0)
    output("mixing_time", now.vessel.mixing_time, "s", "mixing time", 20.0)
    output("agitation", now.actuators.agitation, "rpm", "stirrer speed", 100.0)
    output("oxygen_flow", now.actuators.oxygen, "1/min", "oxygen per working volume", 0.01)
    output("co2_flow", now.actuators.carbon_dioxide, "1/min", "carbon dioxide per working volume", 0.01)
    output("base_flow", now.base, "L/h", "base", 0.01)
    output("jacket_temperature", now.actuators.jacket, "K", "asked of the jacket", 300.0)
