"""The culture: volume, cells, substrates and products with their balances, harvest through a filter, bleed.

Everything is carried as an amount, so that the balances close to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import casadi as ca

from fmus.bioreactor.interface import ILLUSTRATIVE, Inputs
from fmus.bioreactor.kinetics import Broth, Kinetics, Rates
from fmus.liquids import Liquid
from fmus.model import UnitModel

_HOUR = 3600.0
_ML = 1000.0  # mL/L
_SOLUTES = ("glucose", "glutamine", "lactate", "ammonia")


@dataclass(frozen=True)
class Culture:
    """The declared states; cells as numbers, solutes in mmol, mAb in g, volume in L.

    Attributes:
        volume: L.
        amounts: by the names of the contents of a liquid, and ``other`` osmotically active solutes.
        totals: produced and consumed since the start.
        fouling: of the filter, resistance added over the clean resistance.
    """

    volume: Any
    amounts: dict[str, Any]
    totals: dict[str, Any]
    fouling: Any

    def concentration(self, name: str) -> Any:
        """In the unit of a liquid's content."""
        per_volume = self.amounts[name] / ca.fmax(self.volume, 1e-9)
        return per_volume / _ML if name.endswith("cells") else per_volume

    @property
    def broth(self) -> Broth:
        """What the cells see: never negative, whatever an integrator's stage tries."""
        return Broth(*(ca.fmax(self.concentration(name), 0.0) for name in _SOLUTES))

    @property
    def osmolality(self) -> Any:
        """Mmol/kg, at 1 kg of water per litre."""
        return sum(self.concentration(name) for name in (*_SOLUTES, "other"))


def declare_culture(m: UnitModel, kinetics: Kinetics, inputs: Inputs) -> Culture:
    """Declare the states and the parameters of their start."""
    begin, source = kinetics.start, kinetics.source
    volume = m.parameter("initial.volume", begin.volume, "L", "volume at the start", source=source, minimum=1e-3)
    starts: dict[str, Any] = {}
    for name, unit in (
        ("viable_cells", "1/mL"),
        ("dead_cells", "1/mL"),
        *((solute, "mmol/L") for solute in _SOLUTES),
        ("mab", "g/L"),
    ):
        value = getattr(begin, name) if name != "mab" else 0.0
        text = f"{name.replace('_', ' ').replace('mab', 'antibody')} at the start"
        starts[name] = m.parameter(f"initial.{name}", value, unit, text, source=source, minimum=0.0)
    osmolality = m.parameter(
        "initial.osmolality", 300.0, "mmol/kg", "osmolality at the start", source=ILLUSTRATIVE, minimum=0.0
    )
    starts["other"] = ca.fmax(osmolality - sum(starts[name] for name in _SOLUTES), 0.0)
    starts["viable_cells"] = inputs.inoculum_factor * _ML * starts["viable_cells"]
    starts["dead_cells"] = inputs.inoculum_factor * _ML * starts["dead_cells"]

    held = m.state("volume", volume, "L", "volume of the broth", nominal=begin.volume)
    amounts: dict[str, Any] = {}
    for name, unit, usual in (
        ("viable_cells", "1", 1e10),
        ("dead_cells", "1", 1e9),
        ("glucose", "mmol", 20.0),
        ("glutamine", "mmol", 2.0),
        ("lactate", "mmol", 20.0),
        ("ammonia", "mmol", 2.0),
        ("mab", "g", 1.0),
        ("other", "mmol", 300.0),
    ):
        text = "other osmotically active solutes" if name == "other" else f"{name.replace('_', ' ')} in the vessel"
        amounts[name] = m.state(
            f"amount.{name}", volume * starts[name], unit, text.replace("mab", "antibody"), nominal=usual * begin.volume
        )
    totals = {
        name: m.state(f"total.{name}", 0.0, unit, text, nominal=nominal * begin.volume)
        for name, unit, text, nominal in (
            ("mab_produced", "g", "antibody produced so far", 1.0),
            ("glucose_consumed", "mmol", "glucose consumed so far", 20.0),
            ("lactate_produced", "mmol", "lactate produced so far", 20.0),
            ("base_added", "L", "base added so far", 0.01),
        )
    }
    fouling = m.state("filter.fouling", 0.0, "1", "resistance added over that of the clean filter")
    return Culture(held, amounts, totals, fouling)


@dataclass(frozen=True)
class Outflows:
    """What leaves, in L/h.

    Attributes:
        harvest: through the filter.
        bleed: with the cells.
        kept: share of the cells that the filter keeps.
        passed: share of the antibody that passes the filter.
        pressure: across the filter, bar.
        foul: rise of the fouling in each hour.
    """

    harvest: Any
    bleed: Any
    kept: Any
    passed: Any
    pressure: Any
    foul: Any

    @property
    def total(self) -> Any:
        """L/h."""
        return self.harvest + self.bleed


def outflows(m: UnitModel, culture: Culture, inputs: Inputs, working: Any, entering: Any) -> Outflows:
    """Harvest and bleed, given what enters [L/h].

    With w the level control, R the fouling, b the share blocked, A the filter's area and L_p its permeability::

        F_wanted  = (1 - w) F_setpoint + w max(F_in - F_bleed + (V - V_setpoint)/tau_V, 0)
        F_harvest = min(F_wanted, L_p A (1 - b)/(1 + R) p_max) s,   F_bleed = F_bleed_setpoint s
        dR/dt     = k_foul F_harvest/A (X_v + X_d)
        s         = 1 - exp(-max(V - V_0, 0)/V_e)     an emptying vessel starves its pumps
    """
    kept = m.parameter(
        "filter.cell_retention",
        1.0,
        "1",
        "share of the cells that stay",
        source="chosen: ideal retention",
        minimum=0.0,
        maximum=1.0,
        tunable=True,
    )
    passed = m.parameter(
        "filter.sieving",
        1.0,
        "1",
        "share of the antibody that passes",
        source="chosen: ideal sieving",
        minimum=0.0,
        maximum=1.0,
        tunable=True,
    )
    relative_area = m.parameter(
        "filter.area", 65.0, "1/m", "area per working volume (m^2/m^3)", source=ILLUSTRATIVE, minimum=1e-3
    )
    permeability = m.parameter(
        "filter.permeability", 50.0, "L/(m^2*h*bar)", "of the clean filter", source=ILLUSTRATIVE, minimum=1e-3
    )
    highest = m.parameter("filter.pressure_max", 0.3, "bar", "pump's limit", source=ILLUSTRATIVE, minimum=1e-6)
    k_foul = m.parameter(
        "filter.fouling_rate", 1e-11, "mL/mm", "fouling per cell and metre filtered", source=ILLUSTRATIVE, minimum=0.0
    )
    slack = m.parameter("level_control_time", 0.5, "h", "time constant of the level", source="chosen", minimum=1e-3)
    heel = m.parameter("heel", 0.5, "%", "of the working volume: never drawn", source=ILLUSTRATIVE, minimum=0.01)
    bottom = 0.01 * heel * working
    supply = 1.0 - ca.exp(-ca.fmax(culture.volume - bottom, 0.0) / bottom)
    bleed = inputs.bleed * supply
    level = ca.fmax(entering - bleed + (culture.volume - inputs.volume_setpoint) / slack, 0.0)
    wanted = (1.0 - inputs.level_control) * inputs.harvest + inputs.level_control * level
    area = 1e-3 * relative_area * working  # m^2
    conductance = permeability * area * (1.0 - inputs.blockage) / (1.0 + culture.fouling)  # L/(h bar)
    harvest = ca.fmin(wanted, conductance * highest) * supply
    cells = ca.fmax(culture.concentration("viable_cells") + culture.concentration("dead_cells"), 0.0)
    pressure = ca.fmin(harvest / (conductance + 1e-12), highest)
    return Outflows(harvest, bleed, kept, passed, pressure, k_foul * harvest / area * cells)


def liquid(culture: Culture, flow: Any, temperature: Any, ph: Any, *, cells: Any = 1.0, mab: Any = 1.0) -> Liquid:
    """The broth that flows with ``flow`` [L/h], with shares of the cells and the antibody."""
    carried = contents(culture, temperature, ph)
    share = {"viable_cells": cells, "dead_cells": cells, "mab": mab}
    return Liquid(flow, {name: flow * value * share.get(name, 1.0) for name, value in carried.items()})


def contents(culture: Culture, temperature: Any, ph: Any) -> dict[str, Any]:
    """What a litre of broth carries, by the names of a liquid's contents."""
    dissolved = {name: culture.concentration(name) for name in culture.amounts if name != "other"}
    return dissolved | {"temperature": temperature, "ph": ph, "osmolality": culture.osmolality}


def balance(
    m: UnitModel,
    culture: Culture,
    inputs: Inputs,
    rates: Rates,
    out: Outflows,
    base: Any,
    base_osmolality: Any,
) -> None:
    """State the balances of cells and amounts.

    They are::

    d(V)/dt    = sum F_in + F_base - F_harvest - F_bleed
    d(V X_v)/dt = sum F_in X_v,in + (mu - mu_d) V X_v - (F_harvest (1 - kept) + F_bleed) X_v
    d(V X_d)/dt = sum F_in X_d,in + mu_d V X_v - k_lysis V X_d - (F_harvest (1 - kept) + F_bleed) X_d
    d(V c)/dt  = sum F_in c_in -+ q V X_v - (F_harvest + F_bleed) c
    d(V P)/dt  = sum F_in P_in + q_P V X_v - (F_harvest passed + F_bleed) P
    """
    lysis = m.parameter(
        "lysis_rate", 0.0, "1/h", "dead cells that dissolve", source="0: left out as in the papers", minimum=0.0
    )
    entering = arriving(inputs)
    viable = culture.amounts["viable_cells"]
    giga = viable / 1e9
    made = {
        "viable_cells": (rates.growth - rates.death) * viable,
        "dead_cells": rates.death * viable - lysis * culture.amounts["dead_cells"],
        "glucose": -rates.glucose * giga,
        "glutamine": -rates.glutamine * giga,
        "lactate": rates.lactate * giga,
        "ammonia": rates.ammonia * giga,
        "mab": rates.mab * giga,
        "other": base * base_osmolality,
    }
    leaving: dict[str, Any] = dict.fromkeys(culture.amounts, out.total)
    leaving |= dict.fromkeys(("viable_cells", "dead_cells"), out.harvest * (1.0 - out.kept) + out.bleed)
    leaving["mab"] = out.harvest * out.passed + out.bleed
    m.derivative(culture.volume, (entering.volume + base - out.total) / _HOUR)
    for name, amount in culture.amounts.items():
        drawn = leaving[name] * amount / ca.fmax(culture.volume, 1e-9)
        factor = _ML if name.endswith("cells") else 1.0
        m.derivative(amount, (factor * entering.carried[name] + made[name] - drawn) / _HOUR)
    m.derivative(culture.totals["mab_produced"], made["mab"] / _HOUR)
    m.derivative(culture.totals["glucose_consumed"], -made["glucose"] / _HOUR)
    m.derivative(culture.totals["lactate_produced"], made["lactate"] / _HOUR)
    m.derivative(culture.totals["base_added"], base / _HOUR)
    m.derivative(culture.fouling, out.foul / _HOUR)


def arriving(inputs: Inputs) -> Liquid:
    """The sum of the inlets, with ``other`` osmotically active solutes; glucose and glutamine of feeds as disturbed."""
    volume: Any = 0.0
    carried: dict[str, Any] = {}
    for inlet, factor in zip(inputs.inlets, (1.0, inputs.feed_factor, inputs.feed_factor), strict=True):
        flows = dict(inlet.flows.carried)
        named = sum(inlet.content[name] for name in _SOLUTES)
        flows["other"] = inlet.flow * ca.fmax(inlet.content["osmolality"] - named, 0.0)
        flows |= {name: factor * flows[name] for name in ("glucose", "glutamine")}
        volume += inlet.flow
        carried = {name: carried.get(name, 0.0) + flow for name, flow in flows.items()}
    return Liquid(volume, carried)
