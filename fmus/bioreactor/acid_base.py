"""pH of the broth from its alkalinity and total carbonate: bicarbonate and one lumped buffer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import casadi as ca

from fmus.bioreactor.interface import ILLUSTRATIVE
from fmus.model import UnitModel

_CO2 = 10.0**-6.1 * 1e3  # mmol/L: apparent first constant of carbonic acid in plasma and media at 37 degC
_BUFFER = 10.0**-7.2 * 1e3  # mmol/L: phosphate and amino acids, lumped
# the quotients of alkalinity and buffers between which the closed form below holds, about pH 5 to 8.7
_LEAST, _MOST = 0.04, 0.98


@dataclass(frozen=True)
class Buffers:
    """The declared composition of media.

    Attributes:
        carbonate: total carbonate of a medium, mmol/L.
        lumped: the lumped buffer, mmol/L.
    """

    carbonate: Any
    lumped: Any

    def alkalinity(self, carbonate: Any, ph: Any) -> Any:
        """Negative charge of the buffers [mmol/L] at ``ph``."""
        proton = 10.0 ** (3.0 - ph)
        return carbonate * _CO2 / (_CO2 + proton) + self.lumped * _BUFFER / (_BUFFER + proton)

    def proton(self, carbonate: Any, alkalinity: Any) -> Any:
        """Protons [mmol/L] at which the buffers carry the charge ``alkalinity``: the positive root of a quadratic.

        Water's own ions are left out, which limits it to about pH 5 to 8.7; beyond, it stays at the limit.
        """
        total = carbonate + self.lumped
        charge = ca.fmin(ca.fmax(alkalinity, _LEAST * total), _MOST * total)
        half = 0.5 * (charge * (_CO2 + _BUFFER) - carbonate * _CO2 - self.lumped * _BUFFER)
        last = (charge - total) * _CO2 * _BUFFER
        return (ca.sqrt(half**2 - charge * last) - half) / charge


def declare_buffers(m: UnitModel) -> Buffers:
    """Declare the buffers of medium, feed and inoculum."""
    carbonate = m.parameter(
        "buffer.carbonate",
        10.7,
        "mmol/L",
        "total carbonate of the media: 40 mmHg CO2 at pH 7",
        source=ILLUSTRATIVE,
        minimum=0.1,
    )
    lumped = m.parameter(
        "buffer.lumped", 8.0, "mmol/L", "other buffers of the media, pK 7.2", source=ILLUSTRATIVE, minimum=0.1
    )
    return Buffers(carbonate, lumped)


def dissolved_co2(carbonate: Any, proton: Any) -> Any:
    """Free carbon dioxide [mmol/L] of the total ``carbonate`` at ``proton`` mmol/L."""
    return carbonate * proton / (_CO2 + proton)


def ph(proton: Any) -> Any:
    """PH of ``proton`` mmol/L."""
    return 3.0 - ca.log10(proton)
