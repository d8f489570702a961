"""A bioreactor for mammalian cells, fed-batch and perfusion: kinetics one file each, the vessel around them once."""

from fmus.bioreactor.badr2021 import PARAMETER_SETS, parameter_set
from fmus.bioreactor.reactor import KINETICS, bioreactor

__all__ = ["KINETICS", "PARAMETER_SETS", "bioreactor", "parameter_set"]
