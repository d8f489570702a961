"""Bioreactor, fed-batch and perfusion, with the kinetics `badr2021`. See `fmus.bioreactor`."""

from __future__ import annotations

from fmus.bioreactor import bioreactor
from fmus.model import UnitModel


def bioreactor_badr2021() -> UnitModel:
    """Build the detailed bioreactor with the kinetics of `fmus.bioreactor.badr2021`."""
    return bioreactor("badr2021")
