"""What a kinetic model of the cells is given and what it answers, so that the vessel takes any of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import casadi as ca

from fmus.model import UnitModel

#: cells per 1e9 cells: papers state rates per cell, the vessel reckons per 1e9 cells
GIGA = 1e9


@dataclass(frozen=True)
class Broth:
    """Concentrations in the vessel, never negative.

    Attributes:
        glucose: mmol/L.
        glutamine: mmol/L.
        lactate: mmol/L.
        ammonia: mmol/L.
    """

    glucose: Any
    glutamine: Any
    lactate: Any
    ammonia: Any


@dataclass(frozen=True)
class Effects:
    """Factors of temperature, pH, oxygen and disturbances on the published rates; 1 at the reference conditions."""

    growth: Any
    death: Any
    productivity: Any


@dataclass(frozen=True)
class Rates:
    """Specific rates per 1e9 viable cells and hour.

    Attributes:
        growth: 1/h.
        death: 1/h.
        glucose: uptake, mmol.
        glutamine: uptake, mmol.
        lactate: release, mmol.
        ammonia: release, mmol.
        mab: release, g.
    """

    growth: Any
    death: Any
    glucose: Any
    glutamine: Any
    lactate: Any
    ammonia: Any
    mab: Any


@dataclass(frozen=True)
class Start:
    """How the published culture begins: litres, cells/mL, mmol/L."""

    volume: float
    viable_cells: float
    dead_cells: float
    glucose: float
    glutamine: float
    lactate: float
    ammonia: float


@dataclass(frozen=True)
class Kinetics:
    """A kinetic model.

    Attributes:
        name: as in the unit's name.
        paper: one phrase.
        start: of the published culture.
        source: where the start is from.
        rates: declares the parameters ``kinetics.*`` in the unit model and returns the specific rates.
    """

    name: str
    paper: str
    start: Start
    source: str
    rates: Callable[[UnitModel, Broth, Effects], Rates]


def left(concentration: Any, trace: float) -> Any:
    """1 where there is plenty, smoothly 0 where nothing is left to take up: 1 - 1e-9 at 20 ``trace``.

    For published rates that do not vanish with what they consume; it keeps concentrations from turning negative.
    """
    return 1.0 - ca.exp(-concentration / trace)
