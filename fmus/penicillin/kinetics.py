"""Growth, differentiation, vacuoles, product: the hyphal model of IndPenSim. Rates per litre of broth and hour.

Regions of the hyphae: branching A0, extending A1, degenerated A3, autolysed A4 [g/L]; vacuoles in A1 by radius.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

import casadi as ca
import numpy as np

#: classes of vacuole radii
CLASSES = 10


class Culture(NamedTuple):
    """What the kinetics depend on, in the states' units."""

    substrate: Any
    branching: Any
    extending: Any
    degenerated: Any
    biomass: Any
    age: Any
    vacuoles: Any
    vacuoles_largest: Any
    vacuole_volume: Any
    penicillin: Any


class Rates(NamedTuple):
    """Rates of conversion, all >= 0 but the vacuoles' [g/(L h), vacuoles in their own unit per hour]."""

    branching: Any
    extension: Any
    differentiation: Any
    degeneration: Any
    autolysis: Any
    production: Any
    hydrolysis: Any
    maintenance: Any
    growth_rate: Any
    vacuoles: Any
    vacuoles_largest: Any
    vacuole_volume: Any


def available(amount: Any, scale: float) -> Any:
    """1 for any amount that matters and 0 where there is none: keeps what is consumed from falling below zero.

    The authors' simulator sets negative concentrations to a small value after each step instead.
    """
    return 1.0 - ca.exp(-ca.fmax(amount, 0.0) / scale)


def threshold(distance: Any) -> Any:
    """0 far below zero, 1 far above."""
    return 0.5 * (1.0 + ca.tanh(distance))


def hydrolysis_rate(p: SimpleNamespace, ph: Any, temperature: Any) -> Any:
    """Of penicillin [1/h]."""
    return ca.exp(
        p.hydrolysis_0
        + p.hydrolysis_ph * ph
        + p.hydrolysis_t * temperature
        + p.hydrolysis_ph2 * ph**2
        + p.hydrolysis_t2 * temperature**2
    )


def growth_factor(
    p: SimpleNamespace, *, hydrogen: Any, temperature: Any, nitrogen: Any, carbon_dioxide: Any, paa: Any
) -> Any:
    """What is left of the growth rate under pH, temperature, nitrogen, carbon dioxide and phenylacetic acid.

    Not below zero: above 308 K the loss would exceed the growth.
    """
    ph = 1.0 / (1.0 + hydrogen / p.ph_constant_high + p.ph_constant_low / hydrogen)
    heat = p.gas_constant * temperature
    thermal = p.growth_arrhenius * ca.exp(-p.growth_energy / heat) - p.death_arrhenius * ca.exp(-p.death_energy / heat)
    k = p.inhibition_steepness
    return (
        ph
        * ca.fmax(thermal, 0.0)
        * threshold(k * (nitrogen - p.nitrogen_critical))
        * threshold(k * (p.carbon_dioxide_critical - 1000.0 * carbon_dioxide))
        * threshold(p.paa_growth_critical - paa)
    )


def rates(p: SimpleNamespace, c: Culture, *, growth: Any, production: Any, ph: Any, temperature: Any) -> Rates:
    """All rates, from the inhibited maximal rates of growth and of production [1/h]."""
    s = ca.fmax(c.substrate, 0.0)
    fed = available(c.substrate, 1e-5)
    branching = p.branching_ratio * growth * c.extending * s / (p.branching_constant + s)
    extension = growth * c.branching * s / (p.extension_constant + s)
    constant = ca.fmax(p.differentiation_constant - p.ageing * c.age / c.biomass, p.differentiation_constant_min)
    differentiation = p.differentiation_rate * c.branching / (constant + s)

    # vacuoles take up part of the extending regions; what is left of these makes penicillin
    radii = [p.vacuole_radius + i * p.vacuole_class_width for i in range(CLASSES - 1)]
    volume = c.vacuole_volume + sum(
        4.0 * np.pi / 3.0 * radius**3 * c.vacuoles[i + 1] * p.vacuole_class_width for i, radius in enumerate(radii)
    )
    producing = ca.fmax(0.5 * (c.extending / p.hyphal_density - volume), 0.0)
    optimum = (
        p.production_height
        / np.sqrt(2.0 * np.pi)
        * ca.exp(-0.5 * ((s - p.production_optimum) / p.production_width) ** 2)
    )
    penicillin = production * p.hyphal_density * producing * optimum * fed
    made = p.vacuolation_rate * producing / (p.vacuolation_constant + s)
    classes, largest, lost = _vacuole_balance(p, c, made)
    share = available(c.extending, 1e-3)
    # the radius at which a vacuole's surroundings degenerate
    radius = 2.0 * p.vacuole_radius + 2.0 * (CLASSES - 1) * p.vacuole_class_width
    degeneration = np.pi / 6.0 * radius**3 * p.degenerated_density * p.vacuole_growth * ca.fmax(lost, 0.0) * share
    return Rates(
        branching=branching,
        extension=extension,
        differentiation=differentiation,
        degeneration=degeneration,
        autolysis=p.autolysis_rate * c.degenerated,
        production=penicillin,
        hydrolysis=hydrolysis_rate(p, ph, temperature) * c.penicillin,
        maintenance=(
            p.sugar_maintenance * c.branching / (constant + s) * fed
            + p.sugar_maintenance * p.hyphal_density * producing * s / (p.vacuolation_constant + s)
        ),
        growth_rate=growth,
        vacuoles=classes,
        vacuoles_largest=largest,
        vacuole_volume=made - p.vacuole_growth * c.vacuoles[0] * _first_volume(p),
    )


def _first_volume(p: SimpleNamespace) -> Any:
    return np.pi / 6.0 * (p.vacuole_radius + p.vacuole_radius_step) ** 3


def _vacuole_balance(p: SimpleNamespace, c: Culture, made: Any) -> tuple[Any, Any, Any]:
    """Growth and dispersion over the radius by central differences; what the last class loses degenerates."""
    k, dr = p.vacuole_growth, p.vacuole_class_width
    n = [*(c.vacuoles[i] for i in range(CLASSES)), c.vacuoles_largest]
    change = [made / _first_volume(p) - k * n[0]]
    for i in range(1, CLASSES):
        convection = -k * (n[i + 1] - n[i - 1]) / (2.0 * dr)
        change.append(convection + p.vacuole_dispersion * (n[i + 1] - 2.0 * n[i] + n[i - 1]) / dr**2)
    # from the last class to the largest vacuoles, as published: by the last class's rate of change
    largest = k * change[-1] / (2.0 * dr) - p.autolysis_rate * n[-1]
    return ca.vertcat(*change), largest, n[CLASSES - 1]
