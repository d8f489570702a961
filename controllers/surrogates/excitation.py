"""Inputs that make a plant show what it does: PRBS, random levels, Latin hypercubes of setpoints.

All are shapes in -1..1, shape (N, m), to be scaled to the range of each input.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import qmc

from cosim.component import FloatArray
from fmus.errors import GalenicError

Excitation = Literal["steps", "prbs", "levels", "lhs"]
EXCITATIONS: tuple[Excitation, ...] = ("steps", "prbs", "levels", "lhs")

#: Feedback taps of shift registers that run through all states but zero, by their length.
_TAPS = {
    2: (2, 1), 3: (3, 2), 4: (4, 3), 5: (5, 3), 6: (6, 5), 7: (7, 6), 8: (8, 6, 5, 4), 9: (9, 5), 10: (10, 7),
    11: (11, 9), 12: (12, 11, 10, 4), 13: (13, 12, 11, 8), 14: (14, 13, 12, 2), 15: (15, 14), 16: (16, 15, 13, 4),
}  # fmt: skip
#: A clock of this share of the fastest time constant excites it; a period of this many of the slowest shows its gain.
_CLOCK = 2.8 / 2.0
_PERIOD = 2.0 * math.pi * 3.0


@dataclass(frozen=True)
class Design:
    """A PRBS for a span of time constants.

    Attributes:
        order: of the shift register; the sequence has 2^order - 1 bits.
        clock: samples that a bit is held.
    """

    order: int
    clock: int

    @property
    def samples(self) -> int:
        """Of one period of the sequence."""
        return ((1 << self.order) - 1) * self.clock


def design_prbs(period: float, fastest: float, slowest: float) -> Design:
    r"""The PRBS whose spectrum covers 1/(beta tau_slow) .. alpha/tau_fast with alpha = 2, beta = 3 (Rivera 1992).

    Clock <= 2.8 tau_fast / alpha, and (2^n - 1) clock >= 2 pi beta tau_slow.

    Args:
        period: sampling period in s.
        fastest: smallest dominant time constant in s.
        slowest: largest.
    """
    if not 0.0 < fastest <= slowest:
        raise GalenicError(
            f"time constants of {fastest:g} s and {slowest:g} s make no range", cure="give 0 < fastest <= slowest"
        )
    clock = max(1, math.floor(_CLOCK * fastest / period))
    bits = _PERIOD * slowest / (clock * period) + 1.0
    order = min(max(4, math.ceil(math.log2(bits))), max(_TAPS))
    return Design(order, clock)


def maximum_length_sequence(order: int) -> FloatArray:
    """One period of a PRBS, values -1 and 1, shape (2^order - 1,)."""
    if order not in _TAPS:
        raise GalenicError(f"no PRBS of order {order}", cure=f"choose {min(_TAPS)} to {max(_TAPS)}")
    register, bits = [1] * order, []
    for _ in range(2**order - 1):
        bits.append(register[-1])
        fed = 0
        for tap in _TAPS[order]:
            fed ^= register[tap - 1]
        register = [fed, *register[:-1]]
    return 2.0 * np.array(bits, dtype=np.float64) - 1.0


def prbs(design: Design, inputs: int, samples: int, start: int = 0) -> FloatArray:
    """One sequence for all inputs, each shifted by the m-th part of its period, so that they are nearly uncorrelated.

    Args:
        design: of the sequence.
        inputs: m.
        samples: N; the sequence repeats.
        start: bit at which it begins, so that runs differ.

    Raises:
        GalenicError: the sequence is too short for so many inputs.
    """
    bits = maximum_length_sequence(design.order)
    if len(bits) < 2 * inputs:
        raise GalenicError(
            f"{len(bits)} bits are too few for {inputs} inputs", cure="lengthen the slowest time constant"
        )
    position = np.arange(samples) // design.clock + start
    shifts = [round(j * len(bits) / inputs) for j in range(inputs)]
    return np.stack([bits[(position + shift) % len(bits)] for shift in shifts], axis=1)


def levels(rng: np.random.Generator, inputs: int, samples: int, clock: int = 0, longest: int = 0) -> FloatArray:
    """Random levels, each held for a random time.

    Args:
        rng: of the levels and times.
        inputs: m.
        samples: N.
        clock: shortest hold in samples; 0: 1/20 to 1/4 of the record.
        longest: longest hold; between them all orders of magnitude are as likely, so that fast and slow modes show.
    """
    least, most = (clock, max(clock, longest)) if clock > 0 else (max(1, samples // 20), max(2, samples // 4))
    result = np.empty((samples, inputs))
    for j in range(inputs):
        k = 0
        while k < samples:
            hold = round(least * (most / least) ** rng.random()) if clock else int(rng.integers(least, most + 1))
            result[k : k + hold, j] = rng.uniform(-1.0, 1.0)
            k += hold
    return result


def hypercube(rng: np.random.Generator, inputs: int, samples: int, hold: int) -> FloatArray:
    """Setpoints that fill the range evenly (a Latin hypercube), all changed together, each held ``hold`` samples."""
    count = max(1, math.ceil(samples / max(1, hold)))
    points = 2.0 * qmc.LatinHypercube(inputs, rng=rng).random(count) - 1.0
    return np.repeat(points, max(1, hold), axis=0)[:samples]


def time_constants(response: FloatArray, period: float) -> tuple[float, float]:
    """The smallest and the largest time constant that step responses show: from when they begin to move to 63 %.

    Responses that are small beside the largest of their output do not count, nor ramps.

    Args:
        response: shape (K + 1, p, m).
        period: in s.
    """
    found = []
    scale = np.abs(response).max(axis=(0, 2))
    for i in range(response.shape[1]):
        for j in range(response.shape[2]):
            y = response[:, i, j] * (np.sign(response[-1, i, j]) or 1.0)
            end = y[-1]
            late = y[round(0.8 * (len(y) - 1))]
            if end < 0.1 * scale[i] or end <= 0.0 or (end - late) > 0.1 * end:
                continue
            begins, rises = int(np.argmax(y > 0.02 * end)), int(np.argmax(y > 0.632 * end))
            found.append(max(rises - begins, 1) * period)
    if not found:
        return period, max(period, len(response) * period / 5.0)
    return float(min(found)), float(max(found))
