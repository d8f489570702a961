"""The fluid-bed dryer with a log-normal granule size instead of 30 classes per cell, behind the same interface."""

from __future__ import annotations

from fmus.model import UnitModel
from fmus.units.fluid_bed_dryer import fluid_bed_dryer


def fluid_bed_dryer_fast() -> UnitModel:
    """Build the fast dryer: the equations of `fluid_bed_dryer`, but for the size of the granules.

    Of each cell's size distribution it carries mass, mean and mean square of the logarithm. The median that the drying
    rate depends on is that of the log-normal distribution with these moments, and so are the outlet's classes.
    """
    return fluid_bed_dryer("fluid_bed_dryer_fast", classes=False)
