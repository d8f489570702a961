"""Bioreactor, fed-batch and perfusion, with the kinetics `kornecki2018`. See `fmus.bioreactor`."""

from __future__ import annotations

from fmus.bioreactor import bioreactor
from fmus.model import UnitModel


def bioreactor_kornecki2018() -> UnitModel:
    """Build the detailed bioreactor with the kinetics of `fmus.bioreactor.kornecki2018`."""
    return bioreactor("kornecki2018")
