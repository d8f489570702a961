"""The fast bioreactor with the kinetics `badr2021`: kinetics and volume only. See `fmus.bioreactor`."""

from __future__ import annotations

from fmus.bioreactor import bioreactor
from fmus.model import UnitModel


def bioreactor_badr2021_fast() -> UnitModel:
    """Build the bioreactor whose oxygen, pH and temperature are where their setpoints are."""
    return bioreactor("badr2021", "fast")
