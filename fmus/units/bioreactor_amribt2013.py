"""Bioreactor, fed-batch and perfusion, with the kinetics `amribt2013`. See `fmus.bioreactor`."""

from __future__ import annotations

from fmus.bioreactor import bioreactor
from fmus.model import UnitModel


def bioreactor_amribt2013() -> UnitModel:
    """Build the detailed bioreactor with the kinetics of `fmus.bioreactor.amribt2013`."""
    return bioreactor("amribt2013")
