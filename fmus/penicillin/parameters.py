"""The parameters of IndPenSim: Goldrick et al., J. Biotechnol. 193 (2015) 70-82, and the authors' simulator, version 2.

Units are those in which the equations balance; where the authors state another one, the number is theirs all the same.
Two of their 105 parameters act on nothing with all inhibitions on (a constant hydrolysis rate, gravity twice) and are
left out; five vary from batch to batch and are inputs of the unit.
"""

from __future__ import annotations

from types import SimpleNamespace

from fmus.model import UnitModel

PAPER = "Goldrick et al. 2015, J. Biotechnol. 193:70"
_V2 = f"{PAPER}; authors' simulator, version 2"

#: name -> value, unit, description, and the source where it is not the paper
TABLE: dict[str, tuple[float, str, str] | tuple[float, str, str, str]] = {
    # growth, differentiation and product of the hyphal regions
    "branching_ratio": (0.4, "1", "branching rate over extension rate"),
    "production_optimum": (0.002, "g/L", "substrate at which production is fastest"),
    "production_width": (0.0015, "g/L", "standard deviation of the production's optimum"),
    "production_height": (2.5, "1", "scale of the production's optimum"),
    "vacuolation_rate": (1.71e-4, "g/(L*h)", "rate of vacuole formation"),
    "autolysis_rate": (3.5e-3, "1/h", "autolysis of degenerated regions"),
    "differentiation_rate": (5.36e-3, "g/(L*h)", "rate of differentiation"),
    "ageing": (0.006, "g/(L*h)", "how differentiation's constant falls with the culture's age"),
    "branching_constant": (0.05, "g/L", "saturation of branching"),
    "differentiation_constant": (0.75, "g/L", "constant of differentiation of a young culture"),
    "differentiation_constant_min": (0.09, "g/L", "constant of differentiation of an old culture"),
    "extension_constant": (0.009, "g/L", "saturation of extension"),
    "vacuolation_constant": (0.05, "g/L", "saturation of vacuole formation"),
    "vacuole_class_width": (0.75e-4, "cm", "width of a class of vacuole radii"),
    "vacuole_growth": (3.22e-5, "cm/h", "growth rate of a vacuole's radius"),
    "vacuole_dispersion": (2.66e-11, "cm^2/h", "dispersion of vacuole growth"),
    "hyphal_density": (0.35, "g/mL", "dry density of hyphae"),
    "degenerated_density": (0.18, "g/mL", "dry density of degenerated regions"),
    "vacuole_radius": (1.5e-4, "cm", "radius of the first class of vacuoles"),
    "vacuole_radius_step": (1.0e-4, "cm", "added to the radius at which vacuoles form"),
    # substrate, oxygen, heat, nitrogen, precursor: yields and maintenance
    "sugar_per_biomass": (1.85, "g/g", "substrate per biomass"),
    "sugar_per_penicillin": (0.9, "g/g", "substrate per penicillin"),
    "sugar_maintenance": (0.029, "g/(L*h)", "substrate for maintenance"),
    "oil_concentration": (1000.0, "g/L", "substrate in the soybean oil"),
    "sugar_concentration": (600.0, "g/L", "substrate in the sugar feed"),
    "oxygen_per_biomass": (650.0, "mg/g", "oxygen per biomass"),
    "oxygen_per_penicillin": (160.0, "mg/g", "oxygen per penicillin"),
    "oxygen_maintenance": (17.5, "mg/(g*h)", "oxygen for maintenance"),
    "heat_per_oxygen": (25.0, "kJ/g", "metabolic heat per oxygen"),
    "nitrogen_in_oil": (20000.0, "mg/L", "nitrogen in the soybean oil"),
    "nitrogen_in_shot": (400000.0, "mg/kg", "nitrogen in ammonium sulphate"),
    "nitrogen_per_biomass": (10.0, "mg/g", "nitrogen per biomass"),
    "nitrogen_per_penicillin": (80.0, "mg/g", "nitrogen per penicillin"),
    "nitrogen_maintenance": (0.03, "mg/(g*h)", "nitrogen for maintenance"),
    "paa_per_penicillin": (187.5, "mg/g", "phenylacetic acid per penicillin"),
    "paa_per_biomass": (45.0, "mg/g", "phenylacetic acid per biomass", f"{_V2}; 37.5 in the paper"),
    "paa_maintenance": (1.05, "mg/(g*h)", "phenylacetic acid used per penicillin present"),
    "carbon_dioxide_rate": (0.1353, "g/(g*h)", "carbon dioxide per biomass", _V2),
    # what inhibits
    "growth_oxygen_critical": (0.1, "1", "fraction of oxygen saturation below which growth stops"),
    "production_oxygen_critical": (0.3, "1", "fraction of oxygen saturation below which production stops"),
    "inhibition_steepness": (1.0, "L/mg", "steepness of the inhibitions' thresholds"),
    "nitrogen_critical": (150.0, "mg/L", "nitrogen below which growth stops"),
    "paa_growth_critical": (2400.0, "mg/L", "phenylacetic acid above which growth stops"),
    "paa_production_critical": (200.0, "mg/L", "phenylacetic acid below which production stops"),
    "carbon_dioxide_critical": (7570.0, "mg/L", "dissolved carbon dioxide above which growth stops"),
    "ph_constant_high": (1e-5, "mol/L", "hydrogen ions that halve growth"),
    "ph_constant_low": (2.5e-8, "mol/L", "hydrogen ions so few that growth halves"),
    "growth_energy": (14880.0, "J/mol", "activation energy of growth"),
    "death_energy": (173250.0, "J/mol", "activation energy of the loss of growth"),
    "growth_arrhenius": (450.0, "1", "Arrhenius factor of growth"),
    "death_arrhenius": (2.5e29, "1", "Arrhenius factor of the loss of growth"),
    "hydrolysis_0": (-64.29, "1", "hydrolysis of penicillin, constant"),
    "hydrolysis_ph": (-1.825, "1", "hydrolysis of penicillin, pH"),
    "hydrolysis_t": (0.3649, "1/K", "hydrolysis of penicillin, temperature"),
    "hydrolysis_ph2": (0.1280, "1", "hydrolysis of penicillin, pH squared"),
    "hydrolysis_t2": (-4.9496e-4, "1/K^2", "hydrolysis of penicillin, temperature squared"),
    # gas and agitation
    "kla_velocity_exponent": (0.38, "1", "exponent of the superficial gas velocity in kLa"),
    "kla_power_exponent": (0.34, "1", "exponent of the power per volume in kLa"),
    "kla_viscosity_exponent": (-0.38, "1", "exponent of the viscosity in kLa"),
    "kla_oil_exponent": (0.25, "1", "exponent of the oil feed in kLa"),
    "henry_oxygen": (0.0251, "bar*L/mg", "Henry's constant of oxygen"),
    "impellers": (3.0, "1", "number of impellers"),
    "vessel_radius": (2.1, "m", "radius of the vessel"),
    "impeller_radius": (0.85, "m", "radius of the impellers"),
    "power_number": (5.0, "1", "power number of an impeller"),
    "gas_holdup": (0.1, "1", "gas hold-up"),
    "gas_constant": (8.314, "J/(mol*K)", "gas constant"),
    "gravity": (9.81, "m/s^2", "gravity"),
    "oxygen_in_air": (0.21, "1", "oxygen in the air fed"),
    "nitrogen_in_air": (0.79, "1", "inert gas in the air fed"),
    "carbon_dioxide_in_air": (0.033, "%", "carbon dioxide in the air fed"),
    "carbon_dioxide_transfer": (0.89, "1", "transfer of carbon dioxide over that of oxygen"),
    # heat
    "feed_temperature": (288.0, "K", "temperature of the sugar feed"),
    "water_temperature": (288.0, "K", "temperature of the water"),
    "coolant_temperature": (285.0, "K", "temperature of the cooling water"),
    "heating_temperature": (333.0, "K", "temperature of the heating water"),
    "air_temperature": (290.0, "K", "temperature around the vessel"),
    "feed_heat_capacity": (5.9, "kJ/(kg*K)", "heat capacity of the sugar feed"),
    "broth_heat_capacity": (4.18, "kJ/(kg*K)", "heat capacity of broth and water"),
    "evaporation_enthalpy": (2430.7, "kJ/kg", "enthalpy of evaporation"),
    "loss_coefficient": (36.0, "kJ/(h*m^2*K)", "heat loss through the wall", f"{PAPER}, which says kW/(m2 K)"),
    "jacket_area": (105.0, "m^2", "area of the wall"),
    "coil_exponent": (2.88, "1", "exponent of the coils' heat transfer"),
    "coil_coefficient": (2451.8, "1", "coefficient of the coils' heat transfer"),
    "evaporation_rate": (5.24e-4, "1/h", "evaporation per volume"),
    "boiling_temperature": (373.0, "K", "temperature of boiling"),
    "freezing_temperature": (273.0, "K", "temperature of freezing"),
    # acid and base, viscosity, densities
    "acid_base_concentration": (0.033, "mol/L", "strength of acid and base"),
    "hydrogen_per_reaction": (3.25e-7, "mol/g", "hydrogen ions per growth and production"),
    "hydrogen_per_feed": (2.5e-11, "mol/L^2", "hydrogen ions per liquid fed"),
    "hydrogen_maintenance": (0.0025, "1/h", "hydrogen ions from maintenance"),
    "ph_mixing_time": (
        0.01,
        "h",
        "flow of acid and base that counts in the ions' balance",
        f"{_V2}: its solver's step",
    ),
    "ph_relaxation_time": (1.0, "h", "how fast the ions follow their balance", f"{_V2}: implied"),
    "viscosity_dilution": (0.005, "cP/L", "how water thins the broth"),
    "viscosity_rise": (3.0, "cP/h", "how 1 g/L of branching hyphae thickens the broth"),
    "viscosity_rate_1": (0.001, "1/h", "first rate of the viscosity's rise"),
    "viscosity_rate_2": (0.0001, "1/h", "second rate of the viscosity's rise"),
    "viscosity_time_1": (1.0, "h", "first time of the viscosity's rise"),
    "viscosity_time_2": (250.0, "h", "second time of the viscosity's rise"),
    "broth_density": (1100.0, "g/L", "density of broth without its solids"),
    "glucose_density": (1540.0, "kg/m^3", "density of glucose"),
    "oil_density": (900.0, "kg/m^3", "density of soybean oil"),
    "water_density": (1000.0, "kg/m^3", "density of water"),
    "paa_density": (1000.0, "kg/m^3", "density of the phenylacetic acid feed"),
}

#: at the start: nominal values, from which the authors vary batch by batch
INITIAL: dict[str, tuple[float, str, str]] = {
    "initial_substrate": (1.0, "g/L", "substrate at the start (SD 0.1)"),
    "initial_dissolved_oxygen": (15.0, "mg/L", "dissolved oxygen at the start (SD 0.5)"),
    "initial_offgas_oxygen": (0.20, "1", "oxygen in the off-gas at the start (SD 0.05)"),
    "initial_volume": (58000.0, "L", "volume at the start (SD 500)"),
    "initial_weight": (62000.0, "kg", "weight at the start (SD 500)"),
    "initial_ph": (6.5, "1", "pH at the start (SD 0.1)"),
    "initial_temperature": (297.0, "K", "temperature at the start (SD 0.5)"),
    "initial_biomass": (0.5, "g/L", "biomass at the start (SD 0.05)"),
    "initial_offgas_carbon_dioxide": (0.038, "%", "carbon dioxide in the off-gas at the start (SD 0.001)"),
    "initial_paa": (1400.0, "mg/L", "phenylacetic acid at the start (SD 50)"),
    "initial_nitrogen": (1700.0, "mg/L", "nitrogen at the start (SD 50)"),
}


def declare(m: UnitModel) -> SimpleNamespace:
    """Declare all parameters; their symbols by name."""
    p = SimpleNamespace()
    for name, (value, unit, text, *source) in TABLE.items():
        setattr(p, name, m.parameter(name, value, unit, text, source=source[0] if source else PAPER))
    for name, (value, unit, text) in INITIAL.items():
        setattr(p, name, m.parameter(name, value, unit, text, source=_V2, minimum=0.0))
    return p
