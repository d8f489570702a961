"""What stays as it is while a batch of granules dries: API, bulk volume and size, per dry solids.

It is collected while a cell is filled, kept with the cell, and handed out as the composition of the last discharge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import casadi as ca

from fmus.granules import GranuleFlow, GranuleInlet, enthalpy
from fmus.model import UnitModel
from fmus.physics import fluid_bed
from fmus.physics.fluid_bed import Bed, Kinetics, Rate


@dataclass(frozen=True)
class Batches:
    """The batches in the cells.

    Attributes:
        bed: what the cells hold.
        kinetics: of drying.
        classes: whether sizes are the mass fractions of the classes, or moments of the logarithm of the size.
        api: per dry solids, a column with a row per cell.
        volume: bulk volume per dry solids [m^3/kg], likewise.
        size: fractions or moments, a column for each cell.
        rate: how drying of the batches falls, columns.
        collected_api: of the cell that is filled [kg].
        collected_volume: [m^3].
        collected_size: fractions or moments times dry solids [kg], a column.
        last: of the batch discharged last.
    """

    bed: Bed
    kinetics: Kinetics
    classes: bool
    api: Any
    volume: Any
    size: list[Any]
    rate: Rate
    collected_api: Any
    collected_volume: Any
    collected_size: Any
    last: LastBatch

    def jumps(self, moves: Any, filled: Any, following: Any, leaves: Any) -> dict[str, Any]:
        """What jumps in the carousel's event, see `fmus.physics.carousel.carousel`.

        When the inlet moves on, the cell keeps what was collected, and the next one's heel starts the next collection.
        When the discharge of a cell starts, it becomes the last batch.
        """
        dry, heel = ca.fmax(ca.dot(filled, self.bed.dry), 1e-12), ca.dot(following, self.bed.dry)
        rate = fluid_bed.rate_of_size(_median(self.collected_size / dry, self.classes), self.kinetics)

        def kept(values: Any, new: Any, k: int) -> Any:
            return ca.if_else(moves * filled[k], new, values)

        cells = range(len(self.size))
        api = ca.vertcat(*(kept(self.api[k], self.collected_api / dry, k) for k in cells))
        volume = ca.vertcat(*(kept(self.volume[k], self.collected_volume / dry, k) for k in cells))
        size = [kept(self.size[k], self.collected_size / dry, k) for k in cells]
        jumps: dict[str, Any] = {
            "collected.api": ca.if_else(moves, heel * ca.dot(following, self.api), self.collected_api),
            "collected.volume": ca.if_else(moves, heel * ca.dot(following, self.volume), self.collected_volume),
            **_elements("collected.size", ca.if_else(moves, heel * _of(following, self.size), self.collected_size)),
            **_elements("batch.api", api),
            **_elements("batch.volume", volume),
        }
        for k in cells:
            jumps |= {
                f"batch.critical_moisture[{k + 1}]": kept(self.rate.critical[k], rate.critical, k),
                f"batch.rate_exponent[{k + 1}]": kept(self.rate.exponent[k], rate.exponent, k),
                **_elements(f"batch_{k + 1}.size", size[k]),
            }
        leaving = _of(leaves, size)
        starts = ca.sum1(leaves)
        last = {
            "last.moisture": (self.last.moisture, ca.dot(leaves, self.bed.moisture)),
            "last.temperature": (self.last.temperature, ca.dot(leaves, self.bed.temperature)),
            "last.api": (self.last.api, ca.dot(leaves, api)),
            "last.volume": (self.last.volume, ca.dot(leaves, volume)),
        }
        jumps |= {name: ca.if_else(starts, new, old) for name, (old, new) in last.items()}
        fractions = leaving if self.classes else fluid_bed.lognormal_from_moments(leaving)
        return jumps | _elements("last.size", ca.if_else(starts, fractions, self.last.size))


@dataclass(frozen=True)
class LastBatch:
    """The batch discharged last, as it was when its discharge started; API, volume and size per dry solids."""

    moisture: Any
    temperature: Any
    api: Any
    volume: Any
    size: Any

    def flow(self, dry: Any, water: Any, heat: Any) -> GranuleFlow:
        """What leaves with these dry solids, water and enthalpy."""
        return GranuleFlow(dry, dry * self.api, water, dry * self.volume, heat, dry * self.size)

    @property
    def unit_mass(self) -> GranuleFlow:
        """A kilogram of its dry solids."""
        return self.flow(ca.SX(1), self.moisture, enthalpy(1.0, self.moisture, self.temperature))


def batches(
    m: UnitModel, inlet: GranuleInlet, bed: Bed, initial_mass: Any, kinetics: Kinetics, classes: bool
) -> Batches:
    """Declare the states; every cell starts with ``initial_mass`` of the inlet's composition, dry."""
    cells, moisture = bed.dry.numel(), kinetics.equilibrium
    fractions = inlet.size / ca.fmax(ca.sum1(inlet.size), 1e-12)
    size = fractions if classes else fluid_bed.log_moments(fractions)
    rate = fluid_bed.rate_of_size(_median(size, classes), kinetics)
    volume = (1.0 + moisture) / inlet.bulk_density
    what = "by size class" if classes else "moments of the logarithm of size"
    scale = 0.1 if classes else 10.0
    collected = (
        m.state(
            "collected.api", initial_mass * inlet.api_fraction, "kg", "API in the cell that is filled", nominal=0.1
        ),
        m.state(
            "collected.volume", initial_mass * volume, "m^3", "bulk volume in the cell that is filled", nominal=2e-3
        ),
        m.state("collected.size", initial_mass * size, "kg", f"dry solids in that cell, {what}", nominal=scale),
    )
    result = Batches(
        bed=bed,
        kinetics=kinetics,
        classes=classes,
        api=m.state("batch.api", [inlet.api_fraction] * cells, "1", "API per dry solids, by cell", nominal=0.1),
        volume=m.state("batch.volume", [volume] * cells, "m^3/kg", "bulk volume per dry solids, by cell", nominal=2e-3),
        size=[
            m.state(f"batch_{k + 1}.size", size, "1", f"dry solids of the cell, {what}", nominal=scale)
            for k in range(cells)
        ],
        rate=Rate(
            m.state("batch.critical_moisture", [rate.critical] * cells, "1", "where its rate falls", nominal=0.1),
            m.state("batch.rate_exponent", [rate.exponent] * cells, "1", "of its falling rate"),
        ),
        collected_api=collected[0],
        collected_volume=collected[1],
        collected_size=collected[2],
        last=LastBatch(
            moisture=m.state("last.moisture", moisture, "1", "water per dry solids of the last batch", nominal=0.1),
            temperature=m.state("last.temperature", inlet.temperature, "K", "its temperature", nominal=300.0),
            api=m.state("last.api", inlet.api_fraction, "1", "its API per dry solids", nominal=0.1),
            volume=m.state("last.volume", volume, "m^3/kg", "its bulk volume per dry solids", nominal=2e-3),
            size=m.state("last.size", fractions, "1", "its dry solids by size class", nominal=0.1),
        ),
    )
    flows = inlet.flows
    m.derivative(result.collected_api, flows.api)
    m.derivative(result.collected_volume, flows.volume)
    m.derivative(result.collected_size, flows.size if classes else fluid_bed.log_moments(flows.size))
    return result


def _median(size: Any, classes: bool) -> Any:
    return fluid_bed.median_size(size) if classes else fluid_bed.median_from_moments(size)


def _of(cell: Any, columns: list[Any]) -> Any:
    return ca.mtimes(ca.horzcat(*columns), cell)


def _elements(name: str, values: Any) -> dict[str, Any]:
    return {f"{name}[{i + 1}]": values[i] for i in range(values.numel())}
