"""Population balance of particles in size classes: fixed pivot (Kumar and Ramkrishna 1996), on any grid.

A particle between two pivots is shared between them so that number and mass are both kept. The operators act on the
mass in each class, or on anything else that the particles of a class carry (liquid, API), which goes where the mass
goes: with P the amounts by class, dP/dt = A P. The columns of A sum to zero, so that the total of P is kept exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import casadi as ca
import numpy as np


@dataclass(frozen=True)
class Grid:
    """Size classes between ``edges`` [m]; their pivots are the geometric means of the edges."""

    edges: np.ndarray

    @classmethod
    def geometric(cls, smallest: float, largest: float, classes: int) -> Grid:
        """``classes`` classes of equal ratio between two sizes [m]."""
        return cls(np.geomspace(smallest, largest, classes + 1))

    @cached_property
    def sizes(self) -> np.ndarray:
        """Pivots [m]."""
        return np.asarray(np.sqrt(self.edges[:-1] * self.edges[1:]))

    @cached_property
    def volumes(self) -> np.ndarray:
        """Volume of one particle at each pivot [m^3]."""
        return np.asarray(np.pi / 6 * self.sizes**3)

    def __len__(self) -> int:
        return len(self.edges) - 1


@dataclass(frozen=True)
class Aggregation:
    """Aggregation with a given kernel on a grid.

    Attributes:
        classes: how many.
        transfer: the entries of the operator (lower triangle, column by column) are ``transfer`` times the numbers.
    """

    classes: int
    transfer: Any

    def operator(self, numbers: Any) -> Any:
        """The matrix A [1/s] for these ``numbers`` per unit of what the kernel is per."""
        return type(numbers)(ca.Sparsity.lower(self.classes), ca.mtimes(self.transfer, numbers))


def aggregation(volumes: np.ndarray, kernel: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Aggregation:
    """The operator of aggregation.

    Particles of classes i and j (class k the one whose pivot is the next below v = v_i + v_j) give, by mass,
    a v_(k+1)/v to class k+1 and (1 - a) v_k/v to class k, with a = (v - v_k)/(v_(k+1) - v_k) the share by number.
    What would outgrow the last class stays in it, by mass.

    Args:
        volumes: of one particle at each pivot, increasing.
        kernel: volumes v and w of two particles -> the rate at which they meet and stick, a symmetric function.
    """
    n = len(volumes)
    i, j = (index.ravel() for index in np.meshgrid(np.arange(n), np.arange(n), indexing="ij"))
    rate = np.broadcast_to(kernel(volumes[i], volumes[j]), i.shape)
    united = volumes[i] + volumes[j]
    below = np.searchsorted(volumes, united, side="right") - 1
    last = below == n - 1
    above = np.where(last, below, below + 1)
    gap = np.where(last, 1.0, volumes[above] - volumes[below])
    up = np.where(last, 0.0, (united - volumes[below]) / gap * volumes[above] / united)
    # what stays in its own class is never taken out of it: no difference of large numbers
    stays = np.where(below == i, 1.0 - up, 0.0)
    dense = np.zeros((n, n, n))
    np.add.at(dense, (above, i, j), rate * up)
    np.add.at(dense, (below, i, j), np.where(below == i, 0.0, rate * (1.0 - up)))
    np.add.at(dense, (i, i, j), np.where(below == i, -rate * up, -rate * (1.0 - stays)))
    columns = [dense[i:, i, :] for i in range(n)]
    return Aggregation(n, ca.sparsify(ca.DM(np.vstack(columns))))


def breakage(volumes: np.ndarray, exponent: float) -> np.ndarray:
    """Where the mass of a broken particle goes: entry (k, j) is the share of class j that arrives in class k.

    Of the fragments of a particle of volume y, the share (x/y)^exponent of the mass is smaller than x; the exponent
    is a third of the one for diameters. 2 is random scission into two. What is smaller than the first pivot stays
    in the first class.
    """
    n, a = len(volumes), exponent
    shares = np.zeros((n, n))
    for j in range(n):
        mother = volumes[j]
        v = volumes[: j + 1]
        mass = (v / mother) ** a  # below each pivot
        number = np.log(v) * a if abs(a - 1) < 1e-9 else a / (a - 1) * v ** (a - 1) / mother**a
        if abs(a - 1) < 1e-9:
            number = number / mother
        lower, upper = v[:-1], v[1:]
        d_mass, d_number = np.diff(mass), np.diff(number)
        # to the upper pivot: the number share (x - lower)/(upper - lower) of each fragment, as mass at the pivot
        to_upper = upper / (upper - lower) * (d_mass - lower * d_number)
        shares[1 : j + 1, j] += to_upper
        shares[:j, j] += d_mass - to_upper
        shares[0, j] += mass[0]
    return shares


def lognormal(edges: np.ndarray, median: float, sigma: float) -> np.ndarray:
    """Mass fractions of the classes for a log-normal distribution by mass; the outer classes take the tails."""
    cumulative = np.array([0.5 * math.erfc(-z / math.sqrt(2.0)) for z in np.log(edges / median) / sigma])
    cumulative[0], cumulative[-1] = 0.0, 1.0
    return np.diff(cumulative)


def percentile(fractions: Any, edges: np.ndarray, share: float) -> Any:
    """The size [m] below which ``share`` of the mass lies; within a class mass is uniform in the logarithm of size.

    ``fractions`` is a CasADi column that sums to 1.
    """
    widths = np.diff(np.log(edges))
    below = ca.cumsum(fractions) - fractions
    filled = ca.fmin(ca.fmax((share - below) / ca.fmax(fractions, 1e-15), 0.0), 1.0)
    return edges[0] * ca.exp(ca.dot(ca.DM(widths), filled))


def fraction_below(fractions: Any, edges: np.ndarray, size: float) -> Any:
    """The share of mass below ``size`` [m]; within a class mass is uniform in the logarithm of size."""
    inside = np.clip((np.log(size) - np.log(edges[:-1])) / np.diff(np.log(edges)), 0.0, 1.0)
    return ca.dot(ca.DM(inside), fractions)
