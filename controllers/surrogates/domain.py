"""Where a surrogate was trained, and how much less is believed of it elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cosim.component import FloatArray
from fmus.errors import GalenicError


@dataclass(frozen=True)
class Domain:
    r"""A box, and within it the ellipsoid that holds all training data.

    The Mahalanobis distance of u is d(u) = sqrt((u - c)' S^-1 (u - c)); ``radius`` is its largest in training. It tells
    combinations that no run visited although each value alone was visited.

    Args:
        names: of the inputs.
        low: shape (m,).
        high: shape (m,).
        center: mean of the training inputs, shape (m,), or None without data.
        precision: S^-1, shape (m, m), or None.
        radius: see above.
    """

    names: Sequence[str]
    low: FloatArray
    high: FloatArray
    center: FloatArray | None = None
    precision: FloatArray | None = None
    radius: float = math.inf

    @classmethod
    def of(cls, names: Sequence[str], low: FloatArray, high: FloatArray, inputs: FloatArray) -> Domain:
        """From training inputs, shape (N, m), and the box that was excited."""
        center = inputs.mean(axis=0)
        spread = np.cov(inputs, rowvar=False).reshape(len(names), len(names))
        size = np.where(spread.diagonal() > 0.0, spread.diagonal(), 1.0)
        precision = np.linalg.pinv(spread / np.sqrt(np.outer(size, size)), rcond=1e-9) / np.sqrt(np.outer(size, size))
        away = inputs - center
        radius = float(np.sqrt(np.einsum("ki,ij,kj->k", away, precision, away).max()))
        return cls(tuple(names), low, high, center, precision, radius)

    def contains(self, inputs: FloatArray) -> bool:
        """Whether inputs, shape (m,), are inside."""
        return self.inflation(inputs) <= 1.0

    def distance(self, inputs: FloatArray) -> float:
        """Of inputs, shape (m,): 1 at the edge of the domain, less inside, growing linearly outside."""
        u = np.asarray(inputs, dtype=np.float64)
        bounded = np.isfinite(self.low) & np.isfinite(self.high)
        half, middle = (self.high - self.low)[bounded] / 2.0, (self.high + self.low)[bounded] / 2.0
        away = np.abs(u[bounded] - middle)
        ratio = np.where(half > 0.0, away / np.where(half > 0.0, half, 1.0), np.where(away > 0.0, math.inf, 0.0))
        found = float(ratio.max(initial=0.0))
        one_sided = ~bounded & ((u < self.low) | (u > self.high))
        if one_sided.any():
            return math.inf
        if self.center is not None and self.precision is not None and self.radius > 0.0:
            off = u - self.center
            found = max(found, math.sqrt(max(float(off @ self.precision @ off), 0.0)) / self.radius)
        return found

    def inflation(self, inputs: FloatArray) -> float:
        """Factor on standard deviations of the model's predictions at inputs, shape (m,): 1 inside, more outside."""
        distance = self.distance(inputs)
        return 1.0 if distance <= 1.0 + 1e-9 else distance

    def check(self, low: FloatArray, high: FloatArray) -> None:
        """Refuse operating bounds that leave the box; shapes (m,).

        Raises:
            GalenicError: naming the first input and what is covered.
        """
        for name, a, b, least, most in zip(self.names, low, high, self.low, self.high, strict=True):
            slack = 1e-9 * max(abs(least), abs(most)) if math.isfinite(least) and math.isfinite(most) else 0.0
            if a < least - slack or b > most + slack:
                raise GalenicError(
                    f"'{name}' may go from {a:g} to {b:g}, but the surrogate is only known from {least:g} to {most:g}",
                    cure="narrow the limits of that variable, or identify the surrogate over a wider range",
                )
