"""Freeze dryer: primary drying of vials, with the shelf's temperature programme and the chamber's pressure.

One vial stands for all: ice sublimes below a cake that grows from the top and resists the vapour, and the shelf
supplies the heat through the vial's bottom and the remaining ice. The temperature at which ice sublimes is the root of
that balance. Equations and defaults are those of LyoPRONTO's calculator of primary drying, written anew from the
equations.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import casadi as ca

from fmus.model import Role, UnitModel

_LYOPRONTO = "LyoPRONTO, default example of primary drying"
_WATER = "LyoPRONTO, physical constant"
_ILLUSTRATIVE = "illustrative, uncalibrated"
_TORR = 101325.0 / 760.0  # Pa
# Torr over which the driving force of sublimation sets in; far above it changes it by 1e-7
_SMOOTH = 1e-3


class _Vial(NamedTuple):
    """What the heat and mass balances of a vial need: cm, g, cal, h, Torr as in the literature of the field."""

    vial_area: Any
    product_area: Any
    fill_volume: Any
    solids: Any
    resistance: tuple[Any, Any, Any]
    heat_transfer: tuple[Any, Any, Any]
    ice_density: Any
    solute_density: Any
    solution_density: Any
    conductivity: Any
    sublimation_heat: Any

    @property
    def frozen_height(self) -> Any:
        """Height of the frozen product [cm]."""
        swelling = self.solution_density - self.solids * (self.solution_density - self.ice_density) / (
            self.solute_density
        )
        return self.fill_volume / (self.product_area * self.ice_density) * swelling

    @property
    def ice_per_height(self) -> Any:
        """Ice per height of frozen product [g/cm]; 1.5 % more than the water of the default solution, see the page."""
        ice = 1.0 - self.solids * self.solution_density / self.solute_density
        return self.product_area * self.ice_density * ice


def freeze_dryer() -> UnitModel:
    """Build the freeze dryer.

    With l the height of the dried cake and L that of the frozen product, T_sh shelf, T_sub sublimation front, T_bot
    bottom of the product, P_ch chamber pressure, A_p and A_v the inner and outer area of a vial::

        P_sub(T) = 2.698e10 exp(-6144.96/T)                        [Torr]
        R_p      = R_0 + A_1 l/(1 + A_2 l)                         resistance of the cake
        K_v      = K_C + K_P P_ch/(1 + K_D P_ch)                   heat transfer from the shelf
        dm/dt    = A_p/R_p max(P_sub(T_sub) - P_ch, 0)             [g/h], with the corner rounded over 0.001 Torr
        T_bot    = T_sub + dH_s dm/dt (L - l)/(A_p k_ice)
        0        = K_v A_v (T_sh - T_bot) - dH_s dm/dt             implicit, for T_sub
        dl/dt    = dm/dt / (A_p rho_ice (1 - c rho_solution/rho_solute))
        dT_sh/dt = (T_set - T_sh)/tau, not faster than the ramp
        dT_p/dt  = (T_bot - T_p)/tau_p                             probe; after drying, T_p warms up to T_sh

    Drying ends, by an event, when l reaches L. The implicit equation falls and is concave in T_sub, so that Newton's
    method from T_sh, where it is not positive, converges for every input.
    """
    m = UnitModel(
        "freeze_dryer",
        "Freeze dryer: primary drying of vials on temperature-controlled shelves",
        documentation=__doc__ or "",
    )
    setpoint = m.input(
        "shelf_temperature_setpoint",
        293.15,
        "K",
        "shelf temperature asked for",
        minimum=213.15,
        maximum=333.15,
        display_unit="degC",
        role=Role.CPP,
    )
    ramp = m.input("shelf_ramp_rate", 1.0, "K/min", "how fast the shelf moves", minimum=0.0, maximum=5.0, role=Role.CPP)
    pressure = m.input(
        "chamber_pressure", 0.15 * _TORR, "Pa", "pressure in the chamber", minimum=1.0, maximum=200.0, role=Role.CPP
    )
    resistance_factor = m.input(
        "resistance_factor",
        1.0,
        "1",
        "factor on the cake's resistance, of another freezing",
        minimum=0.2,
        maximum=5.0,
        role=Role.DISTURBANCE,
    )
    heat_factor = m.input(
        "heat_transfer_factor",
        1.0,
        "1",
        "factor on the heat transfer, as at the edge of a shelf",
        minimum=0.2,
        maximum=5.0,
        role=Role.DISTURBANCE,
    )
    vial = _vial(m)
    vials = m.parameter("vials", 400.0, "1", "in the chamber", source=_ILLUSTRATIVE, minimum=1.0)
    critical = m.parameter(
        "critical_temperature",
        268.15,
        "K",
        "above which the product collapses",
        source=_LYOPRONTO,
        display_unit="degC",
    )
    shelf_start = m.parameter(
        "initial_shelf_temperature", 238.15, "K", "at the start", source=_LYOPRONTO, display_unit="degC", minimum=213.15
    )
    tau = m.parameter("shelf_time_constant", 10.0, "s", "of the shelf's control", source=_ILLUSTRATIVE, minimum=1.0)
    tau_probe = m.parameter("probe_time_constant", 30.0, "s", "of the probe", source=_ILLUSTRATIVE, minimum=1.0)
    tau_cake = m.parameter("cake_time_constant", 1200.0, "s", "of a dry vial", source=_ILLUSTRATIVE, minimum=1.0)

    dried = m.state("dried_height", 0.0, "cm", "height of the dried cake", minimum=0.0, nominal=0.5)
    shelf = m.state("shelf", shelf_start, "K", "shelf temperature", nominal=100.0, display_unit="degC")
    probe = m.state("probe", shelf_start, "K", "temperature at the bottom", nominal=100.0, display_unit="degC")
    finished = m.state("finished", 0.0, "1", "primary drying is over", kind="Boolean")
    finished_at = m.state("finished_at", 0.0, "s", "when it ended; 0 before", nominal=1e4)
    front = m.algebraic("front", shelf, "K", "temperature where ice sublimes", nominal=100.0, display_unit="degC")

    over = finished > 0.5
    height = vial.frozen_height
    torr = pressure / _TORR
    r_0, a_1, a_2 = vial.resistance
    k_c, k_p, k_d = vial.heat_transfer
    resistance = resistance_factor * (r_0 + a_1 * dried / (1.0 + a_2 * dried))
    heat_transfer = heat_factor * (k_c + k_p * torr / (1.0 + k_d * torr)) * vial.vial_area  # cal/(s K)
    vapour_pressure = 2.698e10 * ca.exp(-6144.96 / front)
    excess = vapour_pressure - torr
    drives = ca.if_else(over, 0.0, 0.5 * (excess + ca.sqrt(excess**2 + _SMOOTH**2)))
    rate = vial.product_area / resistance * drives  # g/h
    heat = vial.sublimation_heat * rate / 3600.0  # cal/s
    ice = ca.fmax(height - dried, 0.0)
    bottom = front + heat * ice / (vial.product_area * vial.conductivity)
    m.residual(front, shelf - bottom - heat / heat_transfer)

    m.derivative(dried, rate / vial.ice_per_height / 3600.0)
    fastest = ramp / 60.0
    m.derivative(shelf, ca.fmin(ca.fmax((setpoint - shelf) / tau, -fastest), fastest))
    m.derivative(probe, ca.if_else(over, (shelf - probe) / tau_cake, (bottom - probe) / tau_probe))
    m.event(
        "primary drying ends",
        ca.if_else(over, 1.0, height - dried),
        {"finished": 1.0, "finished_at": m.time},
    )

    def temperature(name: str, value: Any, description: str, role: Role = Role.NONE) -> None:
        m.output(name, value, "K", description, nominal=300.0, display_unit="degC", role=role)

    temperature("product_temperature", probe, "product at the bottom of the vial, as a probe shows it", Role.CQA)
    temperature("sublimation_temperature", front, "where ice sublimes; the shelf's after drying")
    temperature("shelf_temperature", shelf, "of the shelf")
    m.output(
        "collapse_margin",
        critical - probe,
        "K",
        "of the product to its critical temperature",
        role=Role.CQA,
        nominal=10.0,
    )
    m.output("progress", 100.0 * dried / height, "%", "dried height over all", nominal=100.0)
    flux = rate / vial.product_area * 10.0
    m.output("sublimation_flux", flux, "kg/h/m^2", "vapour per product area")
    m.output(
        "vapour_flow", m.mean(vials * rate / 3.6e6), "kg/s", "vapour of all vials", nominal=1e-4, display_unit="kg/h"
    )
    m.output("is_finished", finished, "1", "primary drying is over", kind="Boolean")
    m.output("drying_time", finished_at, "s", "when primary drying ended; 0 before", nominal=1e4, display_unit="h")
    held = vials * vial.ice_per_height * 1e-3
    m.output("balance.ice", held * (height - dried), "kg", "ice in the vials", role=Role.BALANCE)
    return m


def _vial(m: UnitModel) -> _Vial:
    def declare(name: str, value: float, unit: str, description: str, source: str = _LYOPRONTO) -> Any:
        return m.parameter(name, value, unit, description, source=source, minimum=0.0)

    return _Vial(
        vial_area=declare("vial_area", 3.80, "cm^2", "outer area of a vial's bottom"),
        product_area=declare("product_area", 3.14, "cm^2", "inner area of a vial"),
        fill_volume=declare("fill_volume", 2.0, "mL", "solution in a vial"),
        solids=declare("solids", 0.05, "g/mL", "solids in the solution"),
        resistance=(
            declare("resistance_0", 1.4, "cm^2*h*torr/g", "resistance without a cake"),
            declare("resistance_1", 16.0, "cm*h*torr/g", "how resistance grows with the cake"),
            declare("resistance_2", 0.0, "1/cm", "how that growth levels off"),
        ),
        heat_transfer=(
            declare("heat_transfer_contact", 2.75e-4, "cal/s/K/cm^2", "from the shelf, without gas"),
            declare("heat_transfer_gas", 8.93e-4, "cal/s/K/cm^2/torr", "through the gas, at low pressure"),
            declare("heat_transfer_limit", 0.46, "1/torr", "how that levels off with pressure"),
        ),
        ice_density=declare("ice_density", 0.918, "g/mL", "of ice", _WATER),
        solute_density=declare("solute_density", 1.5, "g/mL", "of the solids", _WATER),
        solution_density=declare("solution_density", 1.0, "g/mL", "of the solution", _WATER),
        conductivity=declare("ice_conductivity", 0.0059, "cal/cm/s/K", "of ice", _WATER),
        sublimation_heat=declare("sublimation_heat", 678.0, "cal/g", "of ice", _WATER),
    )
