"""Fixed pivot against the analytical solutions of aggregation and breakage, on grids of 15 to 160 classes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import casadi as ca
import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp
from scipy.special import ive

from fmus.physics import population_balance as pb

Density = Callable[[float], float]
DURATION = {"constant": 4.0, "sum": 1.0}
KERNELS: dict[str, Callable[[Any, Any], Any]] = {"constant": lambda v, w: 1.0, "sum": lambda v, w: v + w}
LARGEST = {"constant": 100.0, "sum": 1000.0}


def number_density(kernel: str) -> Density:
    """The solutions that begin with exp(-v): Smoluchowski's for the constant kernel 1, Golovin's for v + w."""
    t = DURATION[kernel]
    if kernel == "constant":
        return lambda v: (2 / (2 + t)) ** 2 * np.exp(-2 * v / (2 + t))
    phi = 1 - np.exp(-t)
    root = np.sqrt(phi)
    return lambda v: (1 - phi) / (v * root) * np.exp(-(1 + phi) * v + 2 * v * root) * ive(1, 2 * v * root)


def mass_in_classes(density: Density, edges: np.ndarray) -> np.ndarray:
    """Integrals of v times the number density, over the logarithm of v."""
    bounds = zip(np.log(edges[:-1]), np.log(edges[1:]), strict=True)
    return np.array([quad(lambda s: np.exp(2 * s) * density(np.exp(s)), a, b, epsabs=1e-14)[0] for a, b in bounds])


class Solution:
    """Masses by class at the end of a run, on a geometric grid of volumes."""

    def __init__(self, kernel: str, classes: int) -> None:
        self.edges = np.geomspace(1e-3, LARGEST[kernel], classes + 1)
        self.volumes = np.sqrt(self.edges[:-1] * self.edges[1:])
        self.start = mass_in_classes(lambda v: float(np.exp(-v)), self.edges)
        mass = ca.MX.sym("mass", classes)
        aggregation = pb.aggregation(self.volumes, KERNELS[kernel])
        rate = ca.Function("rate", [mass], [ca.mtimes(aggregation.operator(mass / self.volumes), mass)])
        run = solve_ivp(
            lambda _, m: rate(m).full().ravel(), (0, DURATION[kernel]), self.start, "LSODA", rtol=1e-9, atol=1e-13
        )
        self.end = run.y[:, -1]
        self.exact = mass_in_classes(number_density(kernel), self.edges)

    @property
    def resolved(self) -> np.ndarray:
        """The classes between the 1st and the 95th percentile of the exact mass."""
        below = np.cumsum(self.exact)
        return (below > 0.01) & (below < 0.95)

    @property
    def error(self) -> float:
        """Mass in wrong classes over all mass."""
        return float(np.abs(self.end - self.exact).sum() / self.exact.sum())


@cache
def solution(kernel: str, classes: int) -> Solution:
    return Solution(kernel, classes)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("classes", [30, 60])
def test_number_and_mass_are_the_analytical_ones_on_any_grid(kernel: str, classes: int) -> None:
    s = solution(kernel, classes)
    before, after = (np.sum(m / s.volumes) for m in (s.start, s.end))
    t, mass = DURATION[kernel], s.start.sum()
    expected = before * (2 / (2 + before * t) if kernel == "constant" else np.exp(-mass * t))
    assert after == pytest.approx(expected, rel=1e-6)
    assert s.end.sum() == pytest.approx(mass, rel=1e-12)


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_number_density_is_the_analytical_one_within_1_percent(kernel: str) -> None:
    s = solution(kernel, 160)
    assert s.resolved.sum() > 40
    np.testing.assert_allclose(s.end[s.resolved], s.exact[s.resolved], rtol=0.01)
    assert s.error < 0.01


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_error_falls_with_the_square_of_the_class_width(kernel: str) -> None:
    errors = [solution(kernel, classes).error for classes in (15, 30, 60, 120)]
    assert np.all(np.diff(errors) < 0)
    assert errors[1] / errors[2] > 3.0
    assert errors[2] / errors[3] > 3.4


def test_random_scission_is_the_analytical_one() -> None:
    # exp(-v) at first, breakage rate v into two: n = (1 + t)^2 exp(-v (1 + t))
    t, edges = 3.0, np.geomspace(1e-5, 30.0, 121)
    volumes = np.sqrt(edges[:-1] * edges[1:])
    matrix = (pb.breakage(volumes, 2.0) - np.eye(120)) * volumes
    start = mass_in_classes(lambda v: float(np.exp(-v)), edges)
    run = solve_ivp(lambda _, m: matrix @ m, (0, t), start, "LSODA", rtol=1e-9, atol=1e-13)
    exact = mass_in_classes(lambda v: float((1 + t) ** 2 * np.exp(-v * (1 + t))), edges)
    below = np.cumsum(exact)
    resolved = (below > 0.01) & (below < 0.95)
    np.testing.assert_allclose(run.y[resolved, -1], exact[resolved], rtol=0.01)
    assert run.y[:, -1].sum() == pytest.approx(start.sum(), rel=1e-12)
    # each event makes one particle more of one: d(number)/dt is the mass
    assert np.sum(run.y[:, -1] / volumes) == pytest.approx(np.sum(start / volumes) + t * start.sum(), rel=2e-3)


@pytest.mark.parametrize("exponent", [0.4, 1.0, 2.0])
def test_fragments_have_the_mass_of_what_broke(exponent: float) -> None:
    grid = pb.Grid.geometric(20e-6, 4e-3, 30)
    shares = pb.breakage(grid.volumes, exponent)
    np.testing.assert_allclose(shares.sum(axis=0), 1.0, rtol=1e-12)
    assert np.all(shares >= 0)
    assert np.all(np.tril(shares, -1) == 0)


def test_what_granules_carry_goes_where_they_go() -> None:
    grid = pb.Grid.geometric(20e-6, 4e-3, 30)
    mass = pb.lognormal(grid.edges, 1e-3, 0.8)
    operator = pb.aggregation(grid.volumes, lambda v, w: 1.0).operator(ca.DM(mass / grid.volumes)).full()
    assert np.abs(operator.sum(axis=0)).max() < 1e-12 * np.abs(operator).max()
    rate, carried = operator @ mass, operator @ (0.2 * mass)
    np.testing.assert_allclose(carried, 0.2 * rate, rtol=1e-12)
    # number falls by one for each pair that sticks; what would outgrow the grid stays as mass in the last class
    numbers = mass / grid.volumes
    assert np.sum(rate / grid.volumes) == pytest.approx(-0.5 * numbers.sum() ** 2, rel=1e-6)


@pytest.mark.parametrize("classes", [15, 30, 60])
def test_percentiles_and_shares_are_those_of_the_distribution(classes: int) -> None:
    grid = pb.Grid.geometric(20e-6, 4e-3, classes)
    fractions = ca.DM(pb.lognormal(grid.edges, 400e-6, 0.6))
    coarse = 0.02 * 30 / classes
    assert float(pb.percentile(fractions, grid.edges, 0.5)) == pytest.approx(400e-6, rel=coarse)
    assert float(pb.percentile(fractions, grid.edges, 0.9)) == pytest.approx(863e-6, rel=coarse)
    d10 = float(pb.percentile(fractions, grid.edges, 0.1))
    assert float(pb.fraction_below(fractions, grid.edges, d10)) == pytest.approx(0.1, rel=1e-9)
