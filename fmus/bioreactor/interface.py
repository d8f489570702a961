"""What every bioreactor, of any kinetics and fidelity, has in common outside: its inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fmus.liquids import LiquidInlet, liquid_inlet
from fmus.model import Role, UnitModel

#: K, 37 degC: where the published kinetics hold
REFERENCE_TEMPERATURE = 310.15
ILLUSTRATIVE = "illustrative, uncalibrated"


@dataclass(frozen=True)
class Loop:
    """The inputs of an inner control loop.

    Attributes:
        setpoint: of the measured variable.
        manual: 0 the loop acts, 1 ``output`` does; between them a blend.
        output: what a person sets by hand.
        drift: what the probe shows too much.
    """

    setpoint: Any
    manual: Any
    output: Any
    drift: Any


@dataclass(frozen=True)
class Inputs:
    """The declared inputs; flows in L/h."""

    inlets: tuple[LiquidInlet, ...]
    feed_factor: Any
    harvest: Any
    bleed: Any
    level_control: Any
    volume_setpoint: Any
    agitation: Any
    air: Any
    oxygen_loop: Loop
    ph_loop: Loop
    temperature_loop: Loop
    inoculum_factor: Any
    growth_factor: Any
    productivity_factor: Any
    blockage: Any


def declare_inputs(m: UnitModel, volume: float) -> Inputs:
    """Declare the inputs of a bioreactor that starts with ``volume`` litres."""
    flow = 0.01 * volume

    def setpoint(name: str, start: float, unit: str, text: str, **range_: Any) -> Any:
        return m.input(name, start, unit, text, role=Role.CPP, **range_)

    def disturbance(
        name: str, start: float, unit: str, text: str, low: float, high: float, nominal: float = 1.0
    ) -> Any:
        return m.input(name, start, unit, text, minimum=low, maximum=high, nominal=nominal, role=Role.DISTURBANCE)

    def loop(name: str, wanted: Any, output: tuple[float, str, str, float, float], drift: tuple[str, float]) -> Loop:
        start, unit, text, low, high = output
        display = "degC" if unit == "K" else ""
        manual = m.input(
            f"{name}_loop.manual", 0.0, "1", "0 the loop acts, 1 its manual output", minimum=0.0, maximum=1.0
        )
        by_hand = m.input(
            f"{name}_loop.output",
            start,
            unit,
            text,
            minimum=low,
            maximum=high,
            nominal=max(high, 1.0),
            display_unit=display,
        )
        probe = disturbance(f"{name}_probe_drift", 0.0, drift[0], "what the probe shows too much", -drift[1], drift[1])
        return Loop(wanted, manual, by_hand, probe)

    return Inputs(
        inlets=tuple(liquid_inlet(m, name, nominal=flow) for name in ("medium", "feed", "supplement")),
        feed_factor=disturbance(
            "feed_concentration_factor", 1.0, "1", "factor on glucose and glutamine of feed and supplement", 0.0, 3.0
        ),
        harvest=setpoint(
            "harvest_flow_setpoint", 0.0, "L/h", "flow through the cell retention", minimum=0.0, nominal=flow
        ),
        bleed=setpoint("bleed_flow_setpoint", 0.0, "L/h", "flow that takes cells along", minimum=0.0, nominal=flow),
        level_control=m.input(
            "level_control", 0.0, "1", "1: the harvest holds the volume, 0: its setpoint", minimum=0.0, maximum=1.0
        ),
        volume_setpoint=setpoint(
            "volume_setpoint", volume, "L", "volume that the level control holds", minimum=0.0, nominal=volume
        ),
        agitation=setpoint("agitation_setpoint", _stirrer(volume), "rpm", "stirrer speed", minimum=0.0, maximum=2000.0),
        air=setpoint("air_flow_setpoint", 0.01, "1/min", "air per working volume", minimum=0.0, maximum=2.0),
        oxygen_loop=loop(
            "oxygen",
            setpoint("oxygen_setpoint", 40.0, "%", "dissolved oxygen, of air saturation", minimum=0.0, maximum=300.0),
            (0.0, "%", "nitrogen below 0, then oxygen to 50, then agitation to 100", -100.0, 100.0),
            ("%", 50.0),
        ),
        ph_loop=loop(
            "ph",
            setpoint("ph_setpoint", 7.0, "1", "pH", minimum=5.5, maximum=8.5),
            (0.0, "%", "base below 0, carbon dioxide above", -100.0, 100.0),
            ("1", 1.0),
        ),
        temperature_loop=loop(
            "temperature",
            setpoint(
                "temperature_setpoint",
                REFERENCE_TEMPERATURE,
                "K",
                "temperature",
                minimum=277.15,
                maximum=318.15,
                display_unit="degC",
            ),
            (REFERENCE_TEMPERATURE, "K", "jacket temperature", 275.15, 363.15),
            ("K", 5.0),
        ),
        inoculum_factor=disturbance("inoculum_factor", 1.0, "1", "factor on the inoculum, at the start", 0.0, 3.0),
        growth_factor=disturbance("growth_rate_factor", 1.0, "1", "factor on the growth rate", 0.0, 3.0),
        productivity_factor=disturbance("productivity_factor", 1.0, "1", "factor on the release of mAb", 0.0, 3.0),
        blockage=disturbance("filter_blockage", 0.0, "1", "share of the filter that is blocked", 0.0, 1.0),
    )


def _stirrer(volume: float) -> float:
    """100 rpm in 50 L (Badr et al. 2021), elsewhere the same power per volume: N ~ V^(-2/9)."""
    return float(round(100.0 * (50.0 / volume) ** (2.0 / 9.0)))
