"""What both fidelities of the cone mill share: interface, breakage and passage through the screen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import casadi as ca
import numpy as np

from fmus.blocks import block
from fmus.granules import N_SIZES, SIZE_EDGES, SIZES, GranuleFlow, GranuleInlet, granule_inlet, granule_outlet
from fmus.model import Role, UnitModel
from fmus.physics import population_balance as pb
from fmus.streams import holdup

#: cumulative mass of fragments (x/y)^q by diameter
DAUGHTER_EXPONENT = 1.2
#: share b_kj of a broken granule of class j that arrives in class k
FRAGMENTS = pb.breakage(pb.Grid(SIZE_EDGES).volumes, DAUGHTER_EXPONENT / 3)

ILLUSTRATIVE = "illustrative, uncalibrated"
_TABLE = "illustrative: fitted to the table of docs/models/cone_mill.md, which is itself a model's"
# granules this much smaller and larger than the limit of breakage, relative to it, break hardly and fully
_LIMIT_WIDTH = 0.1
# the impeller [rpm] below which the equations count it as turning so: a mill at rest would never empty
_SLOWEST = 50.0


@dataclass(frozen=True)
class Mill:
    """Inputs and what the present state of mill and granules makes of them.

    Attributes:
        inlet: granules.
        breaking: breakage rate by class [1/s].
        passing: rate at which granules of each class leave through the screen [1/s].
        open_share: of the screen, not blinded and not smeared.
        residence: [s] of granules smaller than the screen, at a clean screen.
        aperture: of the worn screen [mm].
    """

    inlet: GranuleInlet
    breaking: Any
    passing: Any
    open_share: Any
    residence: Any
    aperture: Any


def declare(m: UnitModel) -> Mill:
    """Declare inputs and parameters; the rates follow from the granules that come in."""
    inlet = granule_inlet(m, "inlet", 20.4 / 3600, 0.1, moisture=0.02, median=900e-6)
    speed = m.input(
        "impeller_speed", 900.0, "rpm", "impeller speed", minimum=0.0, maximum=3500.0, nominal=900.0, role=Role.CPP
    )
    wear = m.input(
        "screen_wear", 0.0, "1", "relative growth of the openings", minimum=0.0, maximum=1.0, role=Role.DISTURBANCE
    )
    blinding = m.input(
        "screen_blinding",
        0.0,
        "1",
        "share of the openings that is shut",
        minimum=0.0,
        maximum=0.95,
        role=Role.DISTURBANCE,
    )
    strength = m.input(
        "strength_factor",
        1.0,
        "1",
        "factor on the resistance of the granules to breakage",
        minimum=0.2,
        maximum=5.0,
        role=Role.DISTURBANCE,
    )
    p = {name: m.parameter(name, value, unit, text, source=source) for name, value, unit, text, source in _PARAMETERS}

    aperture = p["screen_aperture"] * (1.0 + wear)
    relative = ca.DM(SIZES * 1e3) / aperture
    breaks = _ramp((relative / p["breakage_limit"] - 1.0) / (2.0 * _LIMIT_WIDTH) + 0.5)
    fits = _ramp((1.0 - relative) / (1.0 - p["free_passage"]))
    turning = (ca.fmax(speed, _SLOWEST) / p["reference_speed"]) ** p["speed_exponent"]
    moisture = ca.fmin(ca.fmax(inlet.moisture, 0.0), 0.3)
    toughness = strength * ca.exp(p["moisture_toughness"] * (moisture - p["reference_moisture"]))
    smeared = (ca.fmax(moisture - p["smearing_moisture"], 0.0) / p["smearing_width"]) ** 2
    share = (1.0 - blinding) / (1.0 + smeared)
    return Mill(
        inlet,
        breaking=p["breakage_rate"] * turning / toughness * ca.DM(SIZES * 1e3) ** 2 * breaks,
        passing=fits * share / p["residence_time"],
        open_share=share,
        residence=p["residence_time"],
        aperture=aperture,
    )


_PARAMETERS = (
    ("screen_aperture", 1.0, "mm", "openings of the new screen", "range 0.8-2 mm; " + ILLUSTRATIVE),
    ("residence_time", 3.0, "s", "tau: of granules that fit the screen", "range 2-5 s; " + ILLUSTRATIVE),
    ("free_passage", 0.8, "1", "size over opening up to which granules pass freely", ILLUSTRATIVE),
    ("breakage_rate", 1.228, "1/s", "S_0: of 1 mm granules at the reference speed", _TABLE),
    ("breakage_limit", 0.25, "1", "size over opening below which granules do not break", ILLUSTRATIVE),
    ("reference_speed", 900.0, "rpm", "impeller speed of the breakage rate", ILLUSTRATIVE),
    ("speed_exponent", 1.5, "1", "how breakage rises with the speed", ILLUSTRATIVE),
    ("moisture_toughness", 10.0, "1", "how resistance to breakage rises with moisture", ILLUSTRATIVE),
    ("reference_moisture", 0.02, "1", "moisture of the breakage rate", ILLUSTRATIVE),
    ("smearing_moisture", 0.04, "1", "moisture above which granules smear the screen", "about 4 %; " + ILLUSTRATIVE),
    ("smearing_width", 0.05, "1", "moisture above that at which half the screen is smeared", ILLUSTRATIVE),
)


def _ramp(value: Any) -> Any:
    return ca.fmin(ca.fmax(value, 0.0), 1.0)


def declare_outputs(m: UnitModel, mill: Mill, flow: GranuleFlow, held: GranuleFlow) -> None:
    """Declare the outlet and what is measured of what leaves."""
    granule_outlet(m, flow, held)
    names = ("d10", "d50", "d90")
    statistics = block("size_statistics", _statistics, flow.size, held.size, mill.inlet.size)
    for name, value, text in zip(names, statistics, ("10 %", "half", "90 %"), strict=False):
        text = f"size below which {text} of the dry mass lies"
        m.output(name, value, "um", text, role=Role.CQA, nominal=500.0)
    m.output("fines", statistics[3], "%", "dry mass below 150 um", role=Role.CQA, nominal=10.0)
    m.output("screen_opening", mill.aperture, "mm", "openings of the worn screen")
    m.output("screen_open_share", mill.open_share, "1", "share of the screen that is neither blinded nor smeared")
    holdup(m, held.dry + held.water, held.api)
    m.output("holdup.water", held.water, "kg", "water held up", role=Role.BALANCE, nominal=1e-3)


def _statistics(leaving: Any, held: Any, arriving: Any) -> list[Any]:
    """d10, d50, d90 [um] and the share [%] below 150 um of what leaves; of what is there where nothing leaves."""
    still = 1e-9  # kg/s, kg
    size = ca.fmax(leaving, 0.0) + still * (ca.fmax(held, 0.0) + still * (ca.fmax(arriving, 0.0) + 1e-12))
    fractions = size / ca.sum1(size)
    percentiles = [1e6 * pb.percentile(fractions, SIZE_EDGES, share) for share in (0.1, 0.5, 0.9)]
    return [*percentiles, 100.0 * pb.fraction_below(fractions, SIZE_EDGES, 150e-6)]


@dataclass(frozen=True)
class Vessel:
    """What the mill holds up besides the sizes; leaves in proportion to the dry solids."""

    api: Any
    water: Any
    volume: Any
    heat: Any

    def leaving(self, dry_flow: Any, dry: Any) -> Vessel:
        """What leaves each second with ``dry_flow`` [kg/s] of the ``dry`` solids [kg] held."""
        share = dry_flow / ca.fmax(dry, 1e-12)
        return Vessel(self.api * share, self.water * share, self.volume * share, self.heat * share)

    def flow(self, size: Any) -> GranuleFlow:
        """The stream or hold-up with these dry solids by class."""
        return GranuleFlow(ca.sum1(size), self.api, self.water, self.volume, self.heat, size)


def declare_vessel(m: UnitModel, arriving: GranuleFlow, seconds: Any) -> Vessel:
    """Declare the states of a vessel that at the start holds what arrives in ``seconds``."""
    parts = (
        ("api", "kg", "API held up", arriving.api, 1e-3),
        ("water", "kg", "water held up", arriving.water, 1e-3),
        ("volume", "m^3", "bulk volume held up", arriving.volume, 1e-4),
        ("heat", "J", "enthalpy above 0 degC of what is held up", arriving.heat, 500.0),
    )
    return Vessel(
        *(m.state(f"held.{n}", seconds * flow, unit, text, nominal=size) for n, unit, text, flow, size in parts)
    )


def steady(mill: Mill, arriving: Any) -> Any:
    """Dry solids by class [kg] that a mill at rest holds when ``arriving`` [kg/s] comes in, from the largest down."""
    held: list[Any] = [ca.SX(0)] * N_SIZES
    for k in reversed(range(N_SIZES)):
        larger = range(k + 1, N_SIZES)
        fragments = sum(FRAGMENTS[k, j] * mill.breaking[j] * held[j] for j in larger)
        held[k] = (arriving[k] + fragments) / (mill.passing[k] + mill.breaking[k] * (1.0 - FRAGMENTS[k, k]))
    return ca.vertcat(*held)


def broken(mill: Mill, held: Any) -> Any:
    """Rate of change [kg/s] by breakage of the dry solids ``held`` by class [kg]."""
    matrix = ca.sparsify(ca.DM(FRAGMENTS - np.eye(N_SIZES)))
    return block("breakage", lambda events: [ca.mtimes(matrix, events)], mill.breaking * held)[0]
