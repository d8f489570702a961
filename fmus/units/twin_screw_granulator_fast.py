"""Twin-screw wet granulator, fast: sizes from a map of the detailed model at rest, carried through the same cells."""

from __future__ import annotations

from typing import Any

import casadi as ca

from fmus.blocks import block
from fmus.granules import GranuleFlow, temperature
from fmus.model import UnitModel
from fmus.physics.granulation import CELLS, declare, declare_outputs
from fmus.physics.granulation_map import sizes

_CONTENTS = {
    "solids": ("kg", "dry solids of the nuclei", 1e-2),
    "water": ("kg", "water", 2e-3),
    "powder": ("kg", "dry powder", 2e-3),
    "api": ("kg", "API", 1e-3),
    "pores": ("m^3", "pores in the granules", 1e-6),
    "heat": ("J", "enthalpy above 0 degC", 500.0),
}


def twin_screw_granulator_fast() -> UnitModel:
    """Build the fast granulator; interface and parameters are those of `twin_screw_granulator`.

    Mass, water, API, pores and heat move through the same four cells. The sizes of the nuclei that leave are those
    that the detailed model would give at rest, which depend on two numbers, of the material that leaves::

        Pi_a = phi beta_0 exp(g (W/D - 0.2)) t / rho_t        aggregation
        Pi_b = S_0 (n/n_ref)^m t                              breakage
        t/5 dt_n/dt = t(n, hold-up) - t_n,   t/5 dPi_n/dt = Pi_b(n, t) - Pi_n

    with the symbols of `twin_screw_granulator` and phi, W/D of the last cell. t and Pi_b, which a change of speed
    changes in all cells at once, follow with a lag of a fifth of the residence time. The map is fitted to solutions
    of the detailed balance when the unit is built.
    """
    m = UnitModel(
        "twin_screw_granulator_fast",
        "Twin-screw wet granulator, fast: sizes from a map of the detailed model",
        integrator="erk",
        relative_tolerance=1e-6,
        absolute_tolerance=1e-8,
        documentation=__doc__ or "",
    )
    g = declare(m)
    phi = g.nucleated
    upstream = {
        "solids": phi * g["powder"],
        "water": g["liquid"],
        "powder": (1.0 - phi) * g["powder"],
        "api": g["powder"] * g["api_fraction"],
        "pores": g.fresh_pores,
        "heat": g.arriving_heat,
    }
    seconds = g.steady_cell() / ca.fmax(g["powder"] + g["liquid"], 1e-9)
    entering = upstream
    held: dict[str, Any] = dict.fromkeys(_CONTENTS, ca.SX(0))
    torque, fill, residence = ca.SX(0), ca.SX(0), ca.SX(0)
    for cell in range(1, CELLS + 1):
        content = {
            name: m.state(
                f"cell_{cell}.{name}",
                seconds * entering[name],
                unit,
                f"{text}, cell {cell}",
                minimum=0.0,
                nominal=nominal,
            )
            for name, (unit, text, nominal) in _CONTENTS.items()
        }
        dry = content["solids"] + content["powder"]
        wet = dry + content["water"]
        cell_fill = g.bulk_volume(content["solids"], content["powder"], content["pores"]) / g["free_volume"]
        cell_torque = g.torque(cell_fill, dry, content["water"])
        emptying = g.emptying(wet)
        sources = {
            "pores": -g.consolidation(content["pores"], content["solids"]),
            "heat": g.warming(wet, temperature(dry, content["water"], content["heat"]), cell_torque),
        }
        for name, amount in content.items():
            m.derivative(amount, upstream[name] - emptying * amount + sources.get(name, 0.0))
        upstream = {name: emptying * amount for name, amount in content.items()}
        held = {name: held[name] + amount for name, amount in content.items()}
        torque, fill, residence = torque + cell_torque, fill + cell_fill, residence + 1.0 / emptying

    time_now = m.state("residence_time_lagged", CELLS * seconds, "s", "t_n: residence time, lagged", nominal=10.0)
    broken = m.state("breakage_lagged", CELLS * seconds * g.breaking, "1", "Pi_n: breakage, lagged", nominal=10.0)
    # an almost empty barrel has no residence time: the lag stays one of seconds
    bounded = ca.fmin(residence, 60.0)
    m.derivative(time_now, (bounded - time_now) / (0.2 * bounded))
    m.derivative(broken, (g.breaking * bounded - broken) / (0.2 * bounded))

    last_dry = content["solids"] + content["powder"]
    nucleated = content["solids"] / ca.fmax(last_dry, 1e-12)
    aggregated = nucleated * g.sticking(last_dry, content["water"]) * last_dry * time_now
    (fractions,) = block("granule_sizes", lambda a, b: [sizes(a, b)], aggregated, broken)

    def flow(part: dict[str, Any]) -> GranuleFlow:
        return GranuleFlow(
            dry=part["solids"] + part["powder"],
            api=part["api"],
            water=part["water"],
            volume=g.bulk_volume(part["solids"], part["powder"], part["pores"]),
            heat=part["heat"],
            size=part["solids"] * fractions + part["powder"] * g.powder_size,
        )

    envelope = upstream["pores"] + upstream["solids"] / g["true_density"]
    porosity = upstream["pores"] / ca.fmax(envelope, 1e-15)
    declare_outputs(m, g, flow(upstream), flow(held), porosity, fill, torque)
    return m
