"""What both fidelities of the twin-screw granulator share: interface, wetting, flow through the cells, soft sensors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import casadi as ca
import numpy as np

from fmus.blocks import block
from fmus.granules import SIZE_EDGES, GranuleFlow, enthalpy, granule_outlet, temperature
from fmus.model import Role, UnitModel
from fmus.physics import population_balance as pb
from fmus.streams import holdup, solid_inlet

#: the barrel is a chain of this many equal cells
CELLS = 4
#: size classes of the streams
GRID = pb.Grid(SIZE_EDGES)
#: cumulative mass of fragments (x/y)^q by diameter
DAUGHTER_EXPONENT = 1.2
#: breakage rate rises with diameter^1.5
BREAKAGE_SIZE_EXPONENT = 1.5
#: log-normal size of fresh nuclei by mass: median [m] and standard deviation of the logarithm
NUCLEI = (350e-6, 0.5)

ILLUSTRATIVE = "illustrative, uncalibrated"
_TABLE = "illustrative: fitted to the table of docs/models/twin_screw_granulator.md, which is itself a model's"
# liquid-to-solid ratios above this act like it: beyond, granules over-wet and the exponential means nothing
_WETTEST = 0.5
# the powder holds no more liquid than this, by mass: what the pump gives beyond runs out of the barrel by itself
_HELD = 1.5
# [kg] and [kg/kg]: keep quotients finite in an empty barrel
_EMPTY = 1e-9


def diameter_sum_kernel(volume_1: np.ndarray, volume_2: np.ndarray) -> np.ndarray:
    """(d_1 + d_2)/2 [m] of two particles of the given volumes [m^3]."""
    return np.asarray(0.5 * (np.cbrt(6 / np.pi * volume_1) + np.cbrt(6 / np.pi * volume_2)))


@cache
def operators(grid_edges: tuple[float, ...]) -> tuple[pb.Aggregation, np.ndarray]:
    """Aggregation with the diameter-sum kernel, and breakage at 1/s for 1 mm, on a grid."""
    grid = pb.Grid(np.array(grid_edges))
    share = pb.breakage(grid.volumes, DAUGHTER_EXPONENT / 3)
    breaking = (share - np.eye(len(grid))) * (grid.sizes / 1e-3) ** BREAKAGE_SIZE_EXPONENT
    return pb.aggregation(grid.volumes, diameter_sum_kernel), breaking


def moved(grid: pb.Grid, solids: Any, carried: Any, sticking: Any, breaking: Any) -> Any:
    """Rates of change of ``carried`` by aggregation and breakage.

    Args:
        grid: the size classes.
        solids: in granules by class [kg].
        carried: a matrix; its columns, by class, go where the solids go.
        sticking: the kernel's factor, see `Granulator.sticking`.
        breaking: the breakage rate [1/s] of 1 mm.
    """
    united, broken = operators(tuple(grid.edges))
    with_sticking = ca.mtimes(united.operator(sticking * solids / grid.volumes), carried)
    return with_sticking + breaking * ca.mtimes(ca.sparsify(ca.DM(broken)), carried)


@dataclass(frozen=True)
class Granulator:
    """Inputs and parameters of a granulator, and what follows from them directly.

    Attributes:
        values: by name, as `declare` declares them. ``pumped`` is the pump's mass flow with its pulsation [kg/s],
            ``liquid`` what of it the powder takes up, ``wetting`` is c_w of the present lot.
        powder_size: mass fractions of the dry powder.
    """

    values: dict[str, Any]
    powder_size: Any

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    @property
    def column(self) -> Any:
        """The values as one column, for `within`."""
        return ca.vertcat(*self.values.values())

    def within(self, column: Any) -> Granulator:
        """The same with other symbols, those of a block of equations."""
        return Granulator(dict(zip(self.values, ca.vertsplit(column), strict=True)), self.powder_size)

    @property
    def turning(self) -> Any:
        """Screw speed over the reference speed; not quite 0, which has no logarithm."""
        return ca.fmax(self["speed"], 1.0) / self["reference_speed"]

    @property
    def nucleated(self) -> Any:
        """The share of the powder that the liquid turns into nuclei."""
        ratio = self["liquid"] / ca.fmax(self["powder"], _EMPTY)
        return 1.0 - ca.exp(-ratio / self["wetting"])

    @property
    def arriving_heat(self) -> Any:
        """Enthalpy flow of powder and liquid above 0 degC [W]."""
        return enthalpy(self["powder"], 0.0, self["powder_temperature"]) + enthalpy(
            0.0, self["liquid"], self["liquid_temperature"]
        )

    def emptying(self, wet_mass: Any) -> Any:
        """What share of its content a cell with ``wet_mass`` [kg] hands on each second [1/s].

        Chosen so that at rest the whole barrel holds the material for t (n_ref/n)^a (w_ref/w)^b.
        """
        a, b = self["residence_speed_exponent"], self["residence_flow_exponent"]
        slow = self["residence_time"] * self["reference_flow"] ** b
        steady = (CELLS * self.turning**a / slow) ** (1.0 / (1.0 - b))
        return steady * (ca.fmax(wet_mass, 0.0) + 1e-6) ** (b / (1.0 - b))

    def steady_cell(self) -> Any:
        """Wet mass of a cell at rest [kg]."""
        a, b = self["residence_speed_exponent"], self["residence_flow_exponent"]
        slow = self["residence_time"] * self["reference_flow"] ** b
        flow = self["powder"] + self["liquid"]
        return slow / CELLS * self.turning ** (-a) * flow ** (1.0 - b)

    def sticking(self, dry: Any, water: Any) -> Any:
        """The kernel's factor in a cell, per kilogram of dry solids and per true density [m^2/s over m^3 to kg]."""
        ratio = ca.fmin(ca.fmax(water, 0.0) / ca.fmax(dry, _EMPTY), _WETTEST)
        strength = self["aggregation_rate"] * ca.exp(self["aggregation_liquid_effect"] * (ratio - 0.2))
        return strength / (self["true_density"] * ca.fmax(dry, _EMPTY))

    @property
    def breaking(self) -> Any:
        """Breakage rate of a granule of 1 mm [1/s]."""
        return self["breakage_rate"] * self.turning ** self["breakage_speed_exponent"]

    def consolidation(self, pores: Any, solids: Any) -> Any:
        """How fast the pore volume [m^3] of ``solids`` [kg] in granules shrinks."""
        least = self["least_porosity"] / (1.0 - self["least_porosity"]) * solids / self["true_density"]
        return self["consolidation_rate"] * self.turning * (pores - least)

    @property
    def fresh_pores(self) -> Any:
        """Pore volume that comes with new nuclei [m^3/s]."""
        porosity = self["nuclei_porosity"]
        solid = self.nucleated * self["powder"] / self["true_density"]
        return solid * porosity / (1.0 - porosity)

    def bulk_volume(self, solids: Any, powder: Any, pores: Any) -> Any:
        """Bulk volume [m^3] of granules (``solids`` and ``pores``) and dry ``powder``."""
        return (solids / self["true_density"] + pores) / self["packing"] + powder / self["bulk_density"]

    def torque(self, fill: Any, dry: Any, water: Any) -> Any:
        """Torque [N m] of a cell that holds the share ``fill`` of the barrel's volume; overfull counts as full."""
        ratio = ca.fmin(ca.fmax(water, 0.0) / ca.fmax(dry, _EMPTY), _WETTEST)
        return (
            self["wall"]
            * self["torque_factor"]
            * ca.fmin(fill, 1.0 / CELLS)
            * (1.0 + self["torque_liquid_effect"] * ratio)
            * (ca.fmax(self["speed"], 50.0) / self["reference_speed"]) ** -0.3
        )

    def warming(self, wet_mass: Any, at: Any, torque: Any) -> Any:
        """Heat [W] from barrel and screws into ``wet_mass`` [kg] at the temperature ``at`` [K]."""
        power = torque * self["speed"] * (2.0 * np.pi / 60.0)
        return self["wall_heat_transfer"] * wet_mass * (self["barrel_temperature"] - at) + power


def declare(m: UnitModel) -> Granulator:
    """Declare inputs and parameters."""
    inlet = solid_inlet(m, "inlet", 20.0 / 3600, 0.1)
    liquid = m.input(
        "liquid.mass_flow",
        4.0 / 3600,
        "kg/s",
        "mass flow of the pump",
        minimum=0.0,
        nominal=1e-3,
        display_unit="kg/h",
        role=Role.CPP,
    )
    liquid_temperature = m.input(
        "liquid.temperature",
        298.15,
        "K",
        "temperature of the liquid",
        minimum=273.15,
        maximum=370.0,
        display_unit="degC",
    )
    m.terminal(
        "liquid",
        "granulation_liquid",
        {"mass_flow": "liquid.mass_flow", "temperature": "liquid.temperature"},
        "granulation liquid: water",
    )
    speed = m.input(
        "screw_speed", 675.0, "rpm", "screw speed", minimum=0.0, maximum=1500.0, nominal=675.0, role=Role.CPP
    )
    barrel = m.input(
        "barrel_temperature",
        298.15,
        "K",
        "temperature of the barrel",
        minimum=273.15,
        maximum=370.0,
        display_unit="degC",
        role=Role.CPP,
    )
    pump, lot, wall = (
        m.input(name, 1.0, "1", text, minimum=low, maximum=high, role=Role.DISTURBANCE)
        for name, text, low, high in (
            ("pump_factor", "factor on the liquid: pulsation of the pump, 1 to 2 % is usual", 0.0, 2.0),
            ("lot_factor", "factor on the liquid that wets the powder: solubility and size of the lot", 0.3, 3.0),
            ("wall_factor", "factor on the torque: build-up on the wall", 0.2, 5.0),
        )
    )
    wetting = m.parameter("wetting_constant", 0.111, "1", "c_w: L/S that wets 63 % of the powder", source=_TABLE)
    powder_size = m.parameter(
        "powder_size",
        pb.lognormal(SIZE_EDGES, 102e-6, 0.56).tolist(),
        "1",
        "mass fractions of the dry powder in the size classes",
        source=_TABLE,
        minimum=0.0,
    )
    values = {
        name: m.parameter(name, value, unit, text, source=source) for name, value, unit, text, source in _PARAMETERS
    }
    values |= {
        "powder": inlet.mass_flow,
        "api_fraction": inlet.api_fraction,
        "bulk_density": inlet.bulk_density,
        "liquid": ca.fmin(liquid * pump, _HELD * inlet.mass_flow),
        "pumped": liquid * pump,
        "liquid_temperature": liquid_temperature,
        "barrel_temperature": barrel,
        "speed": speed,
        "wetting": wetting * lot,
        "wall": wall,
    }
    return Granulator(values, powder_size / ca.fmax(ca.sum1(powder_size), _EMPTY))


_PARAMETERS = (
    ("aggregation_rate", 4.13e-4, "kg/(m*s)", "beta_0 at L/S 0.2, per kg of dry solids", _TABLE),
    ("aggregation_liquid_effect", 8.0, "1", "g: how aggregation rises with L/S", _TABLE),
    ("breakage_rate", 0.9, "1/s", "S_0: breakage of 1 mm granules at the reference speed", _TABLE),
    ("breakage_speed_exponent", 1.0, "1", "m: how breakage rises with the speed", _TABLE),
    ("reference_speed", 675.0, "rpm", "screw speed of the reference values", "middle of 450 to 900 rpm"),
    ("residence_time", 8.0, "s", "at the reference speed and flow", "range 3-15 s; " + ILLUSTRATIVE),
    ("reference_flow", 24.0 / 3600, "kg/s", "wet mass flow of the residence time", "20 kg/h powder at L/S 0.2"),
    ("residence_speed_exponent", 0.6, "1", "a: how the residence time falls with the speed", ILLUSTRATIVE),
    ("residence_flow_exponent", 0.3, "1", "b: how it falls with the flow, below 1", ILLUSTRATIVE),
    ("true_density", 1540.0, "kg/m^3", "true density of the dry solids", "assumed: API, lactose, MCC"),
    ("nuclei_porosity", 0.5, "1", "porosity of fresh nuclei", ILLUSTRATIVE),
    ("least_porosity", 0.2, "1", "porosity of granules that are kneaded for long", ILLUSTRATIVE),
    ("consolidation_rate", 0.15, "1/s", "at the reference speed", ILLUSTRATIVE),
    ("packing", 0.5, "1", "share of the bulk volume that granules fill", ILLUSTRATIVE),
    ("free_volume", 0.22e-3, "m^3", "free volume of the barrel", "25 mm screws, L/D 20; " + ILLUSTRATIVE),
    ("screw_diameter", 0.025, "m", "of one screw", "ConsiGma-25-like"),
    ("torque_factor", 3.8, "N*m", "torque of full, dry screws at the reference speed", "1-6 N m; " + ILLUSTRATIVE),
    ("torque_liquid_effect", 4.0, "1", "k_L: how torque rises with L/S", ILLUSTRATIVE),
    ("wall_heat_transfer", 280.0, "W/(kg*K)", "barrel to material, per hold-up", ILLUSTRATIVE),
    ("powder_temperature", 298.15, "K", "of the powder that comes in", ILLUSTRATIVE),
)


def declare_outputs(
    m: UnitModel, g: Granulator, flow: GranuleFlow, held: GranuleFlow, porosity: Any, fill: Any, torque: Any
) -> None:
    """Declare the outlet and what is measured.

    Args:
        m: the unit model.
        g: of `declare`.
        flow: what leaves.
        held: what is in the barrel.
        porosity: of the granules that leave.
        fill: of the free volume.
        torque: N m.
    """
    granule_outlet(m, flow, held)
    d10, d50, d90, fines, oversize = block("size_statistics", _statistics, flow.size, g.powder_size)
    for name, value, text in (("d10", d10, "10 %"), ("d50", d50, "half"), ("d90", d90, "90 %")):
        text = f"size below which {text} of the dry mass lies"
        m.output(name, value, "um", text, role=Role.CQA, nominal=500.0)
    m.output("fines", fines, "%", "dry mass below 150 um", role=Role.CQA, nominal=10.0)
    m.output("oversize", oversize, "%", "dry mass above 1.4 mm", role=Role.CQA, nominal=10.0)
    m.output("granule_porosity", porosity, "1", "porosity of the granules that leave", role=Role.CQA)
    m.output("torque", torque, "N*m", "torque of the screws", nominal=3.0)
    m.output("fill_level", fill, "1", "share of the free volume that is filled")
    turns = ca.fmax(g["speed"], 1.0) / 60.0
    m.output(
        "powder_feed_number",
        g["powder"] / (g["bulk_density"] * turns * g["screw_diameter"] ** 3),
        "1",
        "powder mass flow / (bulk density, revolutions per second, screw diameter cubed)",
        nominal=0.1,
    )
    m.output(
        "liquid_to_solid",
        g["pumped"] / ca.fmax(g["powder"], _EMPTY),
        "1",
        "liquid per powder that come in, pulsation included",
        nominal=0.2,
    )
    m.output(
        "spilled_liquid",
        m.mean(g["pumped"] - g["liquid"]),
        "kg/s",
        "liquid beyond 1.5 per powder, which runs out by itself, mean of the step",
        nominal=1e-3,
        display_unit="kg/h",
    )
    m.output("material_temperature", temperature(held.dry, held.water, held.heat), "K", "mean", display_unit="degC")
    holdup(m, held.dry + held.water, held.api)
    m.output("holdup.water", held.water, "kg", "water held up", role=Role.BALANCE, nominal=0.01)


def _statistics(size: Any, powder: Any) -> list[Any]:
    """d10, d50, d90 [um], shares [%] below 150 um and above 1.4 mm of what leaves; an empty barrel shows powder."""
    still = 1e-9  # kg/s
    fractions = (ca.fmax(size, 0.0) + still * powder) / (ca.sum1(ca.fmax(size, 0.0)) + still)
    percentiles = [1e6 * pb.percentile(fractions, SIZE_EDGES, share) for share in (0.1, 0.5, 0.9)]
    fines, most = (pb.fraction_below(fractions, SIZE_EDGES, limit) for limit in (150e-6, 1.4e-3))
    return [*percentiles, 100.0 * fines, 100.0 * (1.0 - most)]
