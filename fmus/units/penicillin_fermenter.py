"""Industrial penicillin fermentation, fed-batch, 100 m3: the equations of IndPenSim (Goldrick et al. 2015)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import casadi as ca

from fmus.model import Role, UnitModel
from fmus.penicillin.kinetics import CLASSES, Culture, Rates, available, growth_factor, rates, threshold
from fmus.penicillin.parameters import declare
from fmus.penicillin.vessel import (
    Flows,
    coil_heat,
    dissolved_carbon_dioxide_saturation,
    gas_transfer,
    hydrogen_change,
    offgas,
)

#: broth [L] that the outlet leaves behind, and how gradually
_HEEL, _DRAINING = 1000.0, 300.0


def penicillin_fermenter() -> UnitModel:
    """Build the fermenter.

    Rates per hour. Branching hyphae A0 extend, extending ones A1 branch, both at the substrate S; A0 differentiate into
    A1, in which vacuoles grow (number density n over the radius r, volume v); the largest degenerate the hyphae around
    them (A3), which autolyse (A4). X = A0 + A1 + A3 + A4. What A1 has beside its vacuoles makes penicillin P::

        mu    = mu_x f(pH) f(N) f(T) f(DO) f(CO2) f(PAA)                       growth
        r_b   = 0.4 mu A1 S/(K_b + S),   r_e = mu A0 S/(K_e + S)               branching, extension
        r_d   = mu_d A0/(K_d + S),   K_d = max(0.75 - 0.006 age/X, 0.09)      differentiation
        dn/dt = -k_v dn/dr + D d2n/dr2,   r_v = n_last k_v rho_d pi/6 (r + r')^3   vacuoles, degeneration
        r_p   = mu_p rho (A1/rho - v)/2 g(S) f(DO) f(PAA)                      production
        mu_h  = exp(B1 + B2 pH + B3 T + B4 pH^2 + B5 T^2)                      hydrolysis

        dA0/dt = r_b - r_d - D A0,   dA1/dt = r_e - r_b + r_d - r_v - D A1
        dP/dt  = r_p - mu_h P - D P,   D = (F_s + F_b + F_a + F_w + F_paa - F_evp)/V
        dS/dt  = -1.85 (r_b + r_e) - 0.9 r_p - r_m + (F_s c_s + F_oil c_oil)/V - D S
        dDO/dt = kLa (DO* - DO) - 650 dX/dt - 160 dP/dt - 17.5 X - D DO
        kLa    = a_kla v_s^0.38 (power/V)^0.34 (viscosity/100)^-0.38 (1 - (F_oil/V)^0.25)

    and balances of volume, weight, hydrogen ions, heat, nitrogen, phenylacetic acid, off-gas (``vessel.py``). f(PAA),
    f(N), f(CO2) and f(DO) are steep thresholds. pH and temperature are held from outside, through the flows of acid,
    base, cooling and heating water. A ``*_stuck_at`` that is not negative replaces its flow: the authors' faults.
    """
    m = UnitModel(
        "penicillin_fermenter",
        "Industrial penicillin fermentation, fed-batch (Goldrick et al. 2015, IndPenSim)",
        documentation=__doc__ or "",
    )
    u = _inputs(m)
    p = declare(m)
    states = _states(m, p)
    x = _bounded(states)
    f = _flows(u)
    t = m.time / 3600.0

    culture = Culture(
        substrate=x.substrate,
        branching=x.branching,
        extending=x.extending,
        degenerated=x.degenerated,
        biomass=ca.fmax(x.branching + x.extending + x.degenerated + x.autolysed, 1e-6),
        age=x.culture_age,
        vacuoles=x.vacuoles,
        vacuoles_largest=x.vacuoles_largest,
        vacuole_volume=x.vacuole_volume,
        penicillin=x.penicillin,
    )
    biomass = culture.biomass
    density = p.broth_density + x.penicillin + biomass
    ph = -ca.log10(x.hydrogen_ions)
    oxygen_in = p.oxygen_in_air + u.disturbance_oxygen_in_air
    gas = gas_transfer(
        p, f, volume=x.volume, density=density, viscosity=x.viscosity, temperature=x.temperature, oxygen=oxygen_in,
        kla=u.kla_coefficient,
    )  # fmt: skip
    k = p.inhibition_steepness
    growth = (
        ca.fmax(u.growth_rate_max + u.disturbance_growth_rate, 0.0)
        * growth_factor(
            p,
            hydrogen=x.hydrogen_ions,
            temperature=x.temperature,
            nitrogen=x.nitrogen,
            carbon_dioxide=x.dissolved_carbon_dioxide,
            paa=x.paa,
        )
        * threshold(k * (x.dissolved_oxygen - p.growth_oxygen_critical * gas.saturation))
    )
    production_rate = ca.fmax(u.production_rate_max + u.disturbance_production_rate, 0.0)
    production = (
        production_rate
        * threshold(k * (x.dissolved_oxygen - p.production_oxygen_critical * gas.saturation))
        * threshold(x.paa - p.paa_production_critical)
    )
    r = rates(p, culture, growth=growth, production=production, ph=ph, temperature=x.temperature)

    evaporation = states.volume * p.evaporation_rate * (
        ca.exp(2.5 * (x.temperature - p.freezing_temperature) / (p.boiling_temperature - p.freezing_temperature)) - 1.0
    )  # fmt: skip
    discharge = f.discharge * available(x.volume - _HEEL, _DRAINING)
    discharged = discharge / density * 1000.0
    inflow = f.sugar + f.base + f.acid + f.water + f.paa
    dilution = (inflow - evaporation) / x.volume

    change = _culture_changes(r, x, dilution)
    growing = change["branching"] + change["extending"] + change["degenerated"] + change["autolysed"]
    making = change["penicillin"]

    uptake = p.oxygen_per_biomass * growing + p.oxygen_per_penicillin * making + p.oxygen_maintenance * biomass
    transfer = _left(gas.kla * (gas.saturation - x.dissolved_oxygen), x.offgas_oxygen, 0.003)
    evolution = (x.branching + x.extending) * p.carbon_dioxide_rate * x.volume
    change["offgas_oxygen"], change["offgas_carbon_dioxide"] = offgas(
        p, gas, volume=x.volume, oxygen_in=oxygen_in, oxygen=x.offgas_oxygen, carbon_dioxide=x.offgas_carbon_dioxide,
        transfer=transfer, evolution=evolution,
    )  # fmt: skip
    saturated = dissolved_carbon_dioxide_saturation(gas, x.temperature, x.offgas_carbon_dioxide)
    sugar_in = p.sugar_concentration + u.disturbance_sugar
    oil_in = p.oil_concentration + u.disturbance_oil
    paa_in = ca.fmax(u.paa_feed_concentration + u.disturbance_paa, 0.0)
    formed = r.branching + r.extension + r.autolysis + r.differentiation
    # negative uptake, by a shrinking culture, gives back: as published
    paa_used = (
        _left(p.paa_per_penicillin * making + p.paa_per_biomass * growing, x.paa, 0.5)
        + p.paa_maintenance * x.penicillin * available(x.paa, 0.5)
    )  # fmt: skip
    nitrogen_used = _left(
        p.nitrogen_per_biomass * formed + p.nitrogen_per_penicillin * making + p.nitrogen_maintenance * biomass,
        x.nitrogen,
        0.5,
    )
    feed_density = p.water_density + sugar_in / 1000.0 * (p.glucose_density - p.water_density)
    heat = _heat(p, u, f, states, growing, making, gas.power, evaporation, density, feed_density)
    change |= {
        "substrate": (f.sugar * sugar_in + f.oil * oil_in) / x.volume
        - p.sugar_per_biomass * (r.branching + r.extension)
        - p.sugar_per_penicillin * r.production
        - r.maintenance
        - x.substrate * dilution,
        "dissolved_oxygen": transfer - _left(uptake, x.dissolved_oxygen, 0.05) - x.dissolved_oxygen * dilution,
        "volume": inflow - evaporation - discharged,
        "weight": f.sugar * feed_density / 1000.0
        + f.oil * p.oil_density / 1000.0
        + f.paa * p.paa_density / 1000.0
        + f.base + f.acid + f.water - discharge - evaporation,
        "hydrogen_ions": hydrogen_change(
            p, f, hydrogen=states.hydrogen_ions, volume=x.volume,
            strength=ca.fmax(p.acid_base_concentration + u.disturbance_acid_base, 0.0),
            reactions=formed + p.hydrogen_maintenance * biomass + r.production - r.hydrolysis,
        ),
        "temperature": heat / (x.volume / 1000.0 * p.broth_heat_capacity * density),
        "heat": heat,
        "viscosity": p.viscosity_rise
        * (ca.fmax(x.branching, 0.0) + 1e-9) ** (1.0 / 3.0)
        / (1.0 + ca.exp(-p.viscosity_rate_1 * (t - p.viscosity_time_1)))
        / (1.0 + ca.exp(-p.viscosity_rate_2 * (t - p.viscosity_time_2)))
        - p.viscosity_dilution * f.water * available(x.viscosity, 0.1),
        "culture_age": biomass,
        "vacuoles": r.vacuoles,
        "vacuoles_largest": r.vacuoles_largest,
        "vacuole_volume": r.vacuole_volume,
        "dissolved_carbon_dioxide": gas.kla * p.carbon_dioxide_transfer * (saturated - x.dissolved_carbon_dioxide)
        - x.dissolved_carbon_dioxide * dilution,
        "paa": f.paa * paa_in / x.volume - paa_used - x.paa * dilution,
        "nitrogen": (p.nitrogen_in_shot * f.ammonia + u.paa_feed_nitrogen * f.paa + p.nitrogen_in_oil * f.oil)
        / x.volume
        - nitrogen_used
        - x.nitrogen * dilution,
        "growth_integral": growth,
        "production_integral": production_rate,
        "penicillin_made": r.production * x.volume / 1000.0,
        "penicillin_hydrolysed": r.hydrolysis * x.volume / 1000.0,
        "penicillin_harvested": x.penicillin * discharged / 1000.0,
        "penicillin_harvested_published": x.penicillin * discharge / 1000.0,
        "paa_fed": f.paa * paa_in / 1e6,
        "paa_consumed": paa_used * x.volume / 1e6,
        "paa_discharged": x.paa * discharged / 1e6,
    }  # fmt: skip
    for name, rate in change.items():
        m.derivative(getattr(states, name), rate / 3600.0)
    _outputs(m, f, x, biomass=biomass, ph=ph, gas=gas, uptake=uptake, evolution=evolution, growth=growth)
    return m


def _bounded(states: SimpleNamespace) -> SimpleNamespace:
    """The states as the equations see them, kept where powers and logarithms exist while the integrator tries steps."""
    x = SimpleNamespace(**vars(states))
    x.volume = ca.fmax(states.volume, 100.0)
    x.hydrogen_ions = ca.fmax(states.hydrogen_ions, 1e-12)
    x.temperature = ca.fmin(ca.fmax(states.temperature, 260.0), 380.0)
    return x


def _left(consumption: Any, amount: Any, scale: float) -> Any:
    """``consumption`` as long as there is something; what is given back, always."""
    return ca.fmax(consumption, 0.0) * available(amount, scale) + ca.fmin(consumption, 0.0)


def _culture_changes(r: Rates, x: SimpleNamespace, dilution: Any) -> dict[str, Any]:
    """The changes of the hyphae and of penicillin [g/(L h)]."""
    return {
        "branching": r.branching - r.differentiation - x.branching * dilution,
        "extending": r.extension - r.branching + r.differentiation - r.degeneration - x.extending * dilution,
        "degenerated": r.degeneration - r.autolysis - x.degenerated * dilution,
        "autolysed": r.autolysis - x.autolysed * dilution,
        "penicillin": r.production - r.hydrolysis - x.penicillin * dilution,
    }


def _heat(
    p: SimpleNamespace,
    u: SimpleNamespace,
    f: Flows,
    x: SimpleNamespace,
    growing: Any,
    making: Any,
    power: Any,
    evaporation: Any,
    density: Any,
    feed_density: Any,
) -> Any:
    """The broth's heat balance [kJ/h]; agitation's kW and the missing temperature of evaporation as published."""
    metabolic = p.heat_per_oxygen * x.volume / 1000.0 * (
        p.oxygen_per_biomass * growing + p.oxygen_per_penicillin * making
    )  # fmt: skip
    coolant = ca.fmax(p.coolant_temperature + u.disturbance_coolant_temperature, 273.15)
    return (
        f.sugar * feed_density * p.feed_heat_capacity * (p.feed_temperature - x.temperature) / 1000.0
        + f.water * p.water_density * p.broth_heat_capacity * (p.water_temperature - x.temperature) / 1000.0
        - evaporation * density * p.broth_heat_capacity / 1000.0
        - p.evaporation_enthalpy * evaporation * p.water_density / 1000.0
        + ca.fmax(metabolic, 0.0)
        + power
        - coil_heat(p, flow=f.coolant, difference=x.temperature - coolant, density=density)
        - coil_heat(p, flow=f.heating, difference=x.temperature - p.heating_temperature, density=density)
        - p.loss_coefficient * p.jacket_area * (x.temperature - p.air_temperature)
    )


def _inputs(m: UnitModel) -> SimpleNamespace:
    """Flows, what differs between batches, disturbances within one, faults."""
    u = SimpleNamespace()
    flows = (
        # name, start, unit, text, maximum, nominal, role
        ("sugar_feed", 8.0, "L/h", "sugar feed", 1000.0, 80.0, Role.CPP),
        ("oil_feed", 22.0, "L/h", "soybean oil feed", 500.0, 30.0, Role.CPP),
        ("paa_feed", 5.0, "L/h", "phenylacetic acid feed", 500.0, 10.0, Role.CPP),
        ("water_feed", 0.0, "L/h", "water for injection", 5000.0, 100.0, Role.CPP),
        ("base_feed", 0.0, "L/h", "base", 1000.0, 50.0, Role.NONE),
        ("acid_feed", 0.0, "L/h", "acid", 1000.0, 5.0, Role.NONE),
        ("coolant_flow", 0.0, "L/h", "cooling water", 5000.0, 100.0, Role.NONE),
        ("heating_flow", 0.0, "L/h", "heating water", 5000.0, 100.0, Role.NONE),
        ("aeration", 30.0, "m^3/min", "air", 200.0, 60.0, Role.CPP),
        ("pressure", 0.6, "bar", "head pressure over ambient", 5.0, 1.0, Role.CPP),
        ("agitator_speed", 100.0, "rpm", "agitator speed", 300.0, 100.0, Role.CPP),
        ("discharge", 0.0, "kg/h", "broth taken out", 20000.0, 4000.0, Role.CPP),
        ("ammonia_feed", 0.0, "kg/h", "ammonium sulphate", 1000.0, 10.0, Role.NONE),
    )
    for name, start, unit, text, maximum, nominal, role in flows:
        u.__dict__[name] = m.input(name, start, unit, text, minimum=0.0, maximum=maximum, nominal=nominal, role=role)
    batch = (
        ("growth_rate_max", 0.41, "1/h", "maximal growth rate of the batch (SD 0.025)"),
        ("production_rate_max", 0.041, "1/h", "maximal production rate of the batch (SD 0.0025)"),
        ("kla_coefficient", 85.0, "1", "coefficient of kLa of the batch (SD 10)"),
        ("paa_feed_concentration", 530000.0, "mg/L", "phenylacetic acid in its feed (SD 20000)"),
        ("paa_feed_nitrogen", 150000.0, "mg/L", "nitrogen in the phenylacetic acid feed (SD 2000)"),
    )
    for name, start, unit, text in batch:
        u.__dict__[name] = m.input(name, start, unit, text, minimum=0.0, nominal=start, role=Role.DISTURBANCE)
    within = (
        ("growth_rate", "1/h", "growth rate", 0.0125),
        ("production_rate", "1/h", "production rate", 0.0015),
        ("sugar", "g/L", "sugar in its feed", 75.0),
        ("oil", "g/L", "substrate in the oil", 15.0),
        ("acid_base", "mol/L", "strength of acid and base", 0.01),
        ("paa", "mg/L", "phenylacetic acid in its feed", 15000.0),
        ("coolant_temperature", "K", "temperature of the cooling water", 5.0),
        ("oxygen_in_air", "1", "oxygen in the air fed", 0.001),
    )
    lowest = {
        "sugar": -600.0,
        "oil": -1000.0,
        "oxygen_in_air": -0.2,
    }  # without oxygen there is no saturation to measure against
    for name, unit, text, size in within:
        u.__dict__[f"disturbance_{name}"] = m.input(
            f"disturbance.{name}", 0.0, unit, f"added: {text}", minimum=lowest.get(name), nominal=size,
            role=Role.DISTURBANCE,
        )  # fmt: skip
    for name, unit in (
        ("aeration", "m^3/min"),
        ("pressure", "bar"),
        ("sugar_feed", "L/h"),
        ("base_feed", "L/h"),
        ("coolant_flow", "L/h"),
    ):
        u.__dict__[f"{name}_stuck_at"] = m.input(
            f"{name}_stuck_at", -1.0, unit, f"fault: {name.replace('_', ' ')} stays at this; negative: no fault",
            minimum=-1.0, role=Role.DISTURBANCE,
        )  # fmt: skip
    return u


def _flows(u: SimpleNamespace) -> Flows:
    def faulty(name: str) -> Any:
        stuck = getattr(u, f"{name}_stuck_at")
        return ca.if_else(stuck >= 0.0, stuck, getattr(u, name))

    return Flows(
        sugar=faulty("sugar_feed"),
        oil=u.oil_feed,
        paa=u.paa_feed,
        water=u.water_feed,
        base=faulty("base_feed"),
        acid=u.acid_feed,
        coolant=faulty("coolant_flow"),
        heating=u.heating_flow,
        aeration=faulty("aeration"),
        pressure=faulty("pressure"),
        agitator=u.agitator_speed,
        discharge=u.discharge,
        ammonia=u.ammonia_feed,
    )


def _states(m: UnitModel, p: SimpleNamespace) -> SimpleNamespace:
    """The 33 states of the paper, then what is added up for the balances."""
    states: tuple[tuple[str, Any, str, str, float], ...] = (
        ("substrate", p.initial_substrate, "g/L", "substrate", 0.01),
        ("dissolved_oxygen", p.initial_dissolved_oxygen, "mg/L", "dissolved oxygen", 10.0),
        ("offgas_oxygen", p.initial_offgas_oxygen, "1", "oxygen in the off-gas", 0.2),
        ("penicillin", 0.0, "g/L", "penicillin", 10.0),
        ("volume", p.initial_volume, "L", "volume of broth", 60000.0),
        ("weight", p.initial_weight, "kg", "weight of the vessel's contents", 60000.0),
        ("hydrogen_ions", 10.0 ** (-p.initial_ph), "mol/L", "hydrogen ions", 3e-7),
        ("temperature", p.initial_temperature, "K", "temperature of the broth", 300.0),
        ("heat", 0.0, "kJ", "heat taken up by the broth", 1e6),
        ("viscosity", 4.0, "cP", "viscosity of the broth", 50.0),
        ("culture_age", 0.0, "g*h/L", "integral of the biomass", 1000.0),
        ("branching", p.initial_biomass / 3.0, "g/L", "branching hyphae A0", 1.0),
        ("extending", p.initial_biomass * 2.0 / 3.0, "g/L", "extending hyphae A1", 10.0),
        ("degenerated", 0.0, "g/L", "degenerated hyphae A3", 1.0),
        ("autolysed", 0.0, "g/L", "autolysed hyphae A4", 0.1),
        ("vacuoles", [0.0] * CLASSES, "1/(L*cm)", "vacuoles by radius, number density", 1e12),
        ("vacuoles_largest", 0.0, "1/(L*cm)", "largest vacuoles, number density", 1e11),
        ("vacuole_volume", 0.0, "mL/L", "volume of the first class of vacuoles", 10.0),
        ("offgas_carbon_dioxide", p.initial_offgas_carbon_dioxide, "%", "carbon dioxide in the off-gas", 2.0),
        ("dissolved_carbon_dioxide", 0.0, "g/L", "dissolved carbon dioxide", 5.0),
        ("paa", p.initial_paa, "mg/L", "phenylacetic acid", 1000.0),
        ("nitrogen", p.initial_nitrogen, "mg/L", "nitrogen", 1000.0),
        ("growth_integral", 0.0, "1", "integral of the growth rate", 10.0),
        ("production_integral", 0.0, "1", "integral of the maximal production rate", 10.0),
        ("penicillin_made", 0.0, "kg", "penicillin made so far", 1000.0),
        ("penicillin_hydrolysed", 0.0, "kg", "penicillin hydrolysed so far", 1000.0),
        ("penicillin_harvested", 0.0, "kg", "penicillin discharged so far", 1000.0),
        ("penicillin_harvested_published", 0.0, "kg", "the same as the authors count: 1 kg of broth as 1 L", 1000.0),
        ("paa_fed", 0.0, "kg", "phenylacetic acid fed so far", 1000.0),
        ("paa_consumed", 0.0, "kg", "phenylacetic acid consumed so far", 1000.0),
        ("paa_discharged", 0.0, "kg", "phenylacetic acid discharged so far", 1000.0),
    )
    x = SimpleNamespace()
    for name, start, unit, text, nominal in states:
        setattr(x, name, m.state(name, start, unit, text, nominal=nominal))
    return x


def _outputs(
    m: UnitModel, f: Flows, x: SimpleNamespace, *, biomass: Any, ph: Any, gas: Any, uptake: Any, evolution: Any,
    growth: Any,
) -> None:  # fmt: skip
    held = x.penicillin * x.volume / 1000.0
    m.output(
        "penicillin_concentration",
        ca.fmax(x.penicillin, 0.0),
        "g/L",
        "penicillin",
        minimum=0.0,
        nominal=10.0,
        role=Role.CQA,
    )
    m.output("penicillin_total", held + x.penicillin_harvested, "kg", "penicillin in the vessel and harvested")
    m.output(
        "penicillin_yield", held + x.penicillin_harvested_published, "kg",
        "penicillin of the batch as the authors count it: 1 kg of discharged broth as 1 L", nominal=1000.0,
        role=Role.CQA,
    )  # fmt: skip
    m.output("ph", ph, "1", "pH", role=Role.CPP, nominal=6.5)
    m.output("broth_temperature", x.temperature, "K", "temperature of the broth", display_unit="degC", role=Role.CPP)
    m.output("paa_concentration", x.paa, "mg/L", "phenylacetic acid", nominal=1000.0)
    m.output("nitrogen_concentration", x.nitrogen, "mg/L", "nitrogen", nominal=1000.0)
    m.output("substrate_concentration", x.substrate, "g/L", "substrate", nominal=0.01)
    m.output("biomass", biomass, "g/L", "biomass", nominal=10.0)
    m.output("oxygen_concentration", x.dissolved_oxygen, "mg/L", "dissolved oxygen", nominal=10.0)
    m.output("oxygen_saturation", 100.0 * x.dissolved_oxygen / gas.saturation, "%", "dissolved oxygen of saturation")
    m.output("kla", gas.kla, "1/h", "oxygen transfer coefficient", nominal=100.0)
    m.output("oxygen_uptake", uptake, "mg/(L*h)", "oxygen uptake", nominal=500.0)
    m.output("carbon_dioxide_evolution", evolution / 1000.0, "kg/h", "carbon dioxide evolved", nominal=100.0)
    m.output("oxygen_in_offgas", 100.0 * x.offgas_oxygen, "%", "oxygen in the off-gas", nominal=20.0)
    m.output("carbon_dioxide_in_offgas", x.offgas_carbon_dioxide, "%", "carbon dioxide in the off-gas")
    m.output("broth_viscosity", x.viscosity, "cP", "viscosity of the broth", nominal=50.0)
    m.output("growth_rate", growth, "1/h", "growth rate under all inhibitions", nominal=0.1)
    m.output("broth_volume", x.volume, "L", "volume of broth", nominal=60000.0)
    m.output("vessel_weight", x.weight, "kg", "weight of the vessel's contents", nominal=60000.0)
    m.output("base_flow", f.base, "L/h", "base that flows, stuck or not", nominal=50.0)
    m.output("coolant_flow_actual", f.coolant, "L/h", "cooling water that flows, stuck or not", nominal=100.0)
    m.output("holdup.penicillin", held, "kg", "penicillin in the vessel", role=Role.BALANCE)
    m.output("made.penicillin", x.penicillin_made, "kg", "penicillin made", role=Role.BALANCE)
    m.output("hydrolysed.penicillin", x.penicillin_hydrolysed, "kg", "penicillin hydrolysed", role=Role.BALANCE)
    m.output("harvested.penicillin", x.penicillin_harvested, "kg", "penicillin harvested", role=Role.BALANCE)
    m.output("holdup.paa", x.paa * x.volume / 1e6, "kg", "phenylacetic acid in the vessel", role=Role.BALANCE)
