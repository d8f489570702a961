"""Disturbances by name, each with a realistic default and its source: ``typical: pump_pulsation``.

Each belongs to an input that the unit models have for it. Where the source says illustrative, nothing was measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_ILLUSTRATIVE = "illustrative, uncalibrated"
_GOLDRICK = "Goldrick et al. 2015, J. Biotechnol. 193, 70-82: from batch to batch, and low-pass noise within one"


@dataclass(frozen=True)
class Typical:
    """The default of a disturbance on one input.

    Args:
        parts: what adds up, each by its kind as a scenario says it.
        source: where the numbers are from.
    """

    parts: tuple[dict[str, Any], ...]
    source: str


def _noise(std: str, time_constant: str) -> dict[str, Any]:
    return {"noise": {"std": std, "time_constant": time_constant}}


def _batch(rsd: str) -> dict[str, Any]:
    return {"lots": {"every": "10000 h", "rsd": rsd}}


def _wear(by: str, over: str, again: bool = False) -> dict[str, Any]:
    return {"ramp": {"at": 0, "over": over, "by": by} | ({"every": over} if again else {})}


#: By name, then by the input's name at the end of a signal.
TYPICAL: dict[str, dict[str, Typical]] = {
    "pump_pulsation": {
        "pump_factor": Typical((_noise("1.5 %", "2 s"),), "1 to 2 % is usual; illustrative, uncalibrated"),
    },
    "feeder_pulsation": {
        "flow_disturbance": Typical(
            (_noise("1 %", "2 s"),), "relative SD over 1 s: 0.5 to 2 % of excipients, 1 to 5 % of APIs"
        ),
    },
    "filter_blockage": {
        "filter_blockage": Typical((_wear("0.2", "8 h", again=True),), f"cleaned every 8 h; {_ILLUSTRATIVE}"),
    },
    "screen_wear": {"screen_wear": Typical((_wear("0.05", "200 h"),), _ILLUSTRATIVE)},
    "screen_blinding": {
        "screen_blinding": Typical((_wear("0.2", "8 h", again=True),), f"cleaned every 8 h; {_ILLUSTRATIVE}")
    },
    "probe_drift": {
        "oxygen_probe_drift": Typical(({"walk": {"std": 1.0, "per": "24 h"}},), _ILLUSTRATIVE),
        "ph_probe_drift": Typical(({"walk": {"std": 0.02, "per": "24 h"}},), _ILLUSTRATIVE),
        "temperature_probe_drift": Typical(({"walk": {"std": "0.05 K", "per": "24 h"}},), _ILLUSTRATIVE),
    },
    "inoculum": {"inoculum_factor": Typical((_batch("10 %"),), "0.5 +- 0.05 g/L in Goldrick et al. 2015")},
    "growth_rate_variation": {
        # 0.41 +- 0.025 1/h from batch to batch; 0.005 g / sqrt(1 - 0.995^2) = 0.012516 1/h within one, g = 0.25
        "growth_rate_factor": Typical((_batch("6.098 %"), _noise("3.053 %", "39.9 h")), _GOLDRICK),
        "growth_rate_max": Typical((_batch("6.098 %"),), _GOLDRICK),
        "disturbance.growth_rate": Typical((_noise("0.012516 1/h", "39.9 h"),), _GOLDRICK),
    },
    "air_humidity": {
        "inlet_air.humidity": Typical((_noise("20 %", "6 h"),), _ILLUSTRATIVE),
    },
}
