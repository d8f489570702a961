"""A chromatography column: the lumped rate model with pores, in finite volumes along the bed.

The antibody is carried by the liquid between the particles, spreads along the bed, passes through the film into the
pores and binds there. An eluent, which does not bind and fills all pores at once, weakens the binding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import casadi as ca

from fmus.model import UnitModel

# far below this step from cell to cell [g/L] convection is first order, so that the limiter is smooth where all is even
_FLAT = 1e-4


@dataclass(frozen=True)
class Resin:
    """What a packed bed is made of.

    Attributes:
        porosity: liquid between the particles per volume of bed.
        particle_porosity: pores per volume of particle.
        radius: of the particles [m].
        pore_diffusivity: effective, in the particle [m^2/s].
        free_diffusivity: in water [m^2/s].
        dispersion_length: axial dispersion over interstitial velocity [m].
        capacity: antibody that fresh resin binds [g per litre of bed].
        binding_rate: of the Langmuir kinetics [L/g/s].
        affinity: concentration at half the capacity [g/L], in buffer.
        eluted_affinity: the same in pure eluent.
    """

    porosity: Any
    particle_porosity: Any
    radius: Any
    pore_diffusivity: Any
    free_diffusivity: Any
    dispersion_length: Any
    capacity: Any
    binding_rate: Any
    affinity: Any
    eluted_affinity: Any

    @property
    def pores(self) -> Any:
        """Pores per volume of bed."""
        return (1.0 - self.porosity) * self.particle_porosity

    def film_transfer(self, velocity: Any) -> Any:
        """Lumped coefficient of the transfer into the particles [m/s] at a superficial velocity [m/s].

        The film after Wilson and Geankoplis (1966), Sh = 1.09/porosity (Re Sc)^(1/3), in series with the pores after
        Glueckauf, 5 D/r. One is added to Re Sc, so that the coefficient stays smooth where nothing flows.
        """
        diameter = 2.0 * self.radius
        peclet = velocity * diameter / self.free_diffusivity
        film = 1.09 / self.porosity * (peclet + 1.0) ** (1.0 / 3.0) * self.free_diffusivity / diameter
        pore = 5.0 * self.pore_diffusivity / self.radius
        return film * pore / (film + pore)


@dataclass(frozen=True)
class Column:
    """The states of a column, by cell from the inlet to the outlet.

    Attributes:
        liquid: antibody between the particles [g/L].
        pores: antibody in the pores [g/L].
        bound: antibody bound [g per litre of bed].
        eluent: share of eluent in the liquid, in and between particles.
        name: prefix of the states.
    """

    liquid: Any
    pores: Any
    bound: Any
    eluent: Any
    name: str

    def held(self, resin: Resin) -> Any:
        """Antibody in the column [g per litre of bed]."""
        held = resin.porosity * self.liquid + resin.pores * self.pores + self.bound
        return ca.sum1(held) / self.liquid.numel()

    @property
    def leaving(self) -> Any:
        """Antibody in the liquid at the outlet [g/L]: half a cell beyond the last value, never negative."""
        last, before = self.liquid[-1], self.liquid[-2]
        return 2.0 * last * last / (last + before + _FLAT)


@dataclass(frozen=True)
class Feed:
    """What enters a column: superficial velocity [m/s], antibody [g/L], share of eluent."""

    velocity: Any
    antibody: Any
    eluent: Any


def column(m: UnitModel, name: str, cells: int) -> Column:
    """Declare the states ``name.*`` of a clean column in buffer."""

    def cell(part: str, unit: str, description: str, nominal: float) -> Any:
        return m.state(f"{name}.{part}", [0.0] * cells, unit, f"{description}, by cell", minimum=0.0, nominal=nominal)

    return Column(
        cell("liquid", "g/L", "antibody between the particles", 1.0),
        cell("pores", "g/L", "antibody in the pores", 1.0),
        cell("bound", "g/L", "antibody bound per volume of bed", 10.0),
        cell("eluent", "1", "share of eluent in the liquid", 1.0),
        name,
    )


def flows_through(m: UnitModel, column: Column, resin: Resin, height: Any, feed: Feed, capacity: Any) -> None:
    """State the derivatives of a column.

    With u the superficial velocity, eps the porosity of the bed, eps_p of the particles, r_p their radius, c, c_p and q
    the antibody in liquid, pores and bound per bed volume, e the share of eluent::

        eps dc/dt                 = -u dc/dx + u lambda d2c/dx2 - (1 - eps) 3/r_p k (c - c_p)
        (1 - eps) eps_p dc_p/dt   = (1 - eps) 3/r_p k (c - c_p) - dq/dt
        dq/dt                     = k_a (c_p (q_max - q) - K(e) q),      K(e) = K_D (K_E/K_D)^e
        (eps + (1 - eps) eps_p) de/dt = -u de/dx

    with Danckwerts' conditions at both ends. The antibody's convection is upwind with slopes limited after van Albada:
    smooth, and nothing becomes negative. The eluent's is upwind: its fronts spread over the cells.

    Args:
        m: the unit model.
        column: its states.
        resin: what the bed is made of.
        height: of the bed [m].
        feed: what enters.
        capacity: antibody that the resin still binds [g per litre of bed].
    """
    cells = column.liquid.numel()
    rate = feed.velocity / (height / cells)  # [1/s]
    transfer = (1.0 - resin.porosity) * 3.0 / resin.radius * resin.film_transfer(feed.velocity)  # [1/s]
    unequal = column.liquid - column.pores
    affinity = resin.affinity * ca.exp(column.eluent * ca.log(resin.eluted_affinity / resin.affinity))
    binding = resin.binding_rate * (column.pores * (capacity - column.bound) - affinity * column.bound)
    steps = ca.vertcat(column.liquid[1:] - column.liquid[:-1], 0.0)  # none spreads across the ends
    faces = _faces(feed.antibody, column, steps) - resin.dispersion_length / (height / cells) * steps
    carried = ca.vertcat(feed.antibody, faces[:-1]) - faces
    m.derivative(column.liquid, rate / resin.porosity * carried - transfer / resin.porosity * unequal)
    m.derivative(column.pores, transfer / resin.pores * unequal - binding / resin.pores)
    m.derivative(column.bound, binding)
    entering = ca.vertcat(feed.eluent, column.eluent[:-1])
    m.derivative(column.eluent, rate / (resin.porosity + resin.pores) * (entering - column.eluent))


def _faces(entering: Any, column: Column, steps: Any) -> Any:
    """What convection carries across the end of each cell, per velocity; ``steps`` to the next cell, 0 at the end."""
    before = ca.vertcat(column.liquid[0] - entering, steps[:-2])
    squares = ca.vertcat(before, steps[-2]) ** 2
    a, b = squares[:-1], squares[1:]
    slopes = (b * before + a * steps[:-1]) / (a + b + _FLAT**2)
    return ca.vertcat(column.liquid[:-1] + 0.5 * slopes, column.leaving)


def one_of(index: Any, values: Sequence[Any]) -> Any:
    """The value at a place, from 0."""
    chosen = values[-1]
    for place, value in reversed(list(enumerate(values[:-1]))):
        chosen = ca.if_else(index < place + 0.5, value, chosen)
    return chosen
