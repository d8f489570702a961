"""How a tablet disintegrates and dissolves: a surrogate, mostly of what a plant's records do not tell.

Its equations are in the docstring of `fmus.units.tablet_press.tablet_press`. Within one product the records relate
release neither to the force nor to the API's size beyond their own uncertainty (docs/units.md).
"""

from __future__ import annotations

from typing import Any

import casadi as ca

from fmus.model import Role, UnitModel
from fmus.physics.powder_attributes import PowderAttributes

_ILLUSTRATIVE = "illustrative, uncalibrated"
_WITHIN = "Zagar & Mihelic 2022: regression within products; "
#: minutes at which release is handed out
TIMES = (10, 20, 30, 45)


def declare_release(m: UnitModel, solid_fraction: Any, powder: PowderAttributes, reference: PowderAttributes) -> None:
    """Declare what disintegration and dissolution depend on, and both as outputs."""
    api_size = m.input("api_size", 40.0, "um", "median size of the API lot", minimum=1.0, maximum=500.0, role=Role.CMA)
    lot = m.input(
        "release_factor",
        1.0,
        "1",
        "factor on the time that the API needs to dissolve: what nothing recorded explains",
        minimum=0.1,
        maximum=10.0,
        role=Role.DISTURBANCE,
    )
    compact = m.parameter(
        "reference_solid_fraction",
        0.845,
        "1",
        "of the tablets of the reference times",
        source="product 3: the calibrated press",
    )
    api_reference = m.parameter(
        "reference_api_size", 40.0, "um", "API size of the reference times", source="median of the plant's lots, 40 um"
    )
    time_ref = m.parameter(
        "release_time", 8.77, "min", "T_D of the reference", source="plant's mean of 90.3 % after 30 min", minimum=0.1
    )
    shape = m.parameter("release_shape", 0.7, "1", "b of the Weibull curve", source=_ILLUSTRATIVE, minimum=0.2)
    by_density = m.parameter(
        "release_by_solid_fraction",
        0.15,
        "1",
        "effect of the solid fraction on ln T_D",
        source=_WITHIN + "the most that its interval allows; no effect is seen",
    )
    by_lubrication = m.parameter("release_by_lubrication", 0.15, "1", "of lubrication", source=_ILLUSTRATIVE)
    by_size = m.parameter(
        "release_by_api_size", 0.03, "1", "of ln(API size)", source=_WITHIN + "0.03 +- 0.025, not resolved"
    )
    by_moisture = m.parameter("release_by_moisture", 5.0, "1", "of the moisture", source=_ILLUSTRATIVE)
    falling_apart = m.parameter(
        "disintegration_time_reference", 3.0, "min", "of the reference tablet", source=_ILLUSTRATIVE, minimum=0.0
    )
    apart_by_density = m.parameter(
        "disintegration_by_solid_fraction", 10.0, "1", "of the solid fraction on its logarithm", source=_ILLUSTRATIVE
    )
    apart_by_lubrication = m.parameter(
        "disintegration_by_lubrication", 0.1, "1", "of lubrication on its logarithm", source=_ILLUSTRATIVE
    )
    lag = m.parameter(
        "release_lag", 0.2, "1", "share of the disintegration time before release starts", source=_ILLUSTRATIVE
    )

    denser = solid_fraction - compact
    slicker = powder.lubrication - reference.lubrication
    disintegration = falling_apart * ca.exp(apart_by_density * denser + apart_by_lubrication * slicker)
    slower = by_density * denser + by_lubrication * slicker + by_moisture * (powder.moisture - reference.moisture)
    time = time_ref * lot * ca.exp(slower) * (api_size / api_reference) ** by_size
    m.output(
        "disintegration_time", disintegration, "min", "disintegration time of a tablet", role=Role.CQA, nominal=3.0
    )
    m.output(
        "release_time_constant",
        time,
        "min",
        "T_D: 63 % of the API dissolved, after the lag",
        role=Role.CQA,
        nominal=10.0,
    )
    for minutes in TIMES:
        # a power of exactly 0 has no derivative
        scaled = ca.fmax(minutes - lag * disintegration, 1e-9) / time
        m.output(
            f"dissolved_{minutes}_min",
            100.0 * (1.0 - ca.exp(-(scaled**shape))),
            "%",
            f"API dissolved after {minutes} min",
            role=Role.CQA,
            nominal=100.0,
        )
