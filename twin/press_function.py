"""The press model as a fast function of many operating points, with exact derivatives.

The equations stand once, in the unit model: this takes the unit model's own CasADi functions (initial state, implicit
equation, outputs) at rest in an operating point and maps them over rows. Nothing is written down a second time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import casadi as ca
import numpy as np
import numpy.typing as npt

from fmus import GalenicError, unit_model
from fmus.equations import unit_functions

FloatArray = npt.NDArray[np.float64]

UNIT = "tablet_press"
#: what is returned, in this order
OUTPUTS = ("main_compression_force", "tablet_weight", "tensile_strength", "hardness", "thickness", "solid_fraction")
_FILL, _GAP, _SPEED, _EFFECT = range(4)
_POINT = 4


@dataclass(frozen=True)
class Gains:
    """Open-loop gains at an operating point: kN/mm, and relative force per relative mass."""

    fill: float
    gap: float
    mass: float


class PressFunction:
    """The press at rest in operating points, for parameters that vary as logarithms.

    Args:
        values: parameters that differ from the unit model's defaults, in its units.
        free: parameters that are given anew in each call, as natural logarithms.

    ``fill_volume_offset``, unless given in ``values``, is half of ``cup_volume``: one punch of two equal cups.

    Raises:
        GalenicError: a name is not a parameter of the unit model.
    """

    def __init__(self, values: Mapping[str, float], free: Sequence[str] = ()) -> None:
        model = unit_model(UNIT)
        self.free = tuple(free)
        self.defaults = {v.name: float(v.start or 0.0) for v, _ in model.parameters}
        self.units = {v.name: v.unit for v, _ in model.parameters}
        self.sources = {v.name: v.source for v, _ in model.parameters}
        for name in (*values, *free):
            if name not in self.defaults:
                raise GalenicError(f"'{UNIT}' has no parameter '{name}'")
        self.values = {**self.defaults, **values}
        self._tied = "fill_volume_offset" not in values
        self._maps: dict[tuple[str, int], Any] = {}
        self._build(model)

    def _build(self, model: Any) -> None:
        functions = unit_functions(model)
        row = ca.MX.sym("row", _POINT + len(self.free))
        p = {name: ca.MX(value) for name, value in self.values.items()}
        p |= {name: ca.exp(row[_POINT + i]) for i, name in enumerate(self.free)}
        if self._tied:
            p["fill_volume_offset"] = p["cup_volume"] / 2
        u = {v.name: ca.MX(v.start) for v, _ in model.inputs}
        u["fill_depth_setpoint"], u["gap_setpoint"] = row[_FILL], row[_GAP]
        u["turret_speed_setpoint"] = row[_SPEED]
        u["inlet.bulk_density"] = p["reference_bulk_density"] * ca.exp(row[_EFFECT])
        inputs, parameters = ca.vertcat(*u.values()), ca.vertcat(*p.values())
        x = functions.initial(inputs, parameters, ca.MX.zeros(functions.initial.size1_in(2), 1))
        z = functions.algebraic(0, x, inputs, parameters)
        q = functions.integrand(0, x, z, inputs, parameters)
        y = functions.outputs(0, x, z, inputs, parameters, q)
        names = [v.name for v, _ in model.outputs]
        y = ca.vertcat(*(y[names.index(name)] for name in OUTPUTS))
        slope = ca.jacobian(y, row)
        gains = slope[0, :2].T
        self._functions = {
            "values": ca.Function("press", [row], [y]),
            "slopes": ca.Function("press_slopes", [row], [y, ca.vec(slope[:2, :].T)]),
            "gains": ca.Function("press_gains", [row], [gains, ca.jacobian(gains, row)]),
        }

    def rows(
        self,
        fill: npt.ArrayLike,
        gap: npt.ArrayLike,
        speed: npt.ArrayLike,
        effect: npt.ArrayLike = 0.0,
        theta: npt.ArrayLike | None = None,
    ) -> FloatArray:
        """Stack operating points, shape (n, 4 + free): mm, mm, 1/h, log density over the reference, log parameters."""
        logs = np.zeros(0) if theta is None else np.asarray(theta, dtype=float)
        columns = np.broadcast_arrays(*(np.atleast_1d(np.asarray(a, dtype=float)) for a in (fill, gap, speed, effect)))
        points = np.stack([c.ravel() for c in columns], axis=1)
        return np.hstack([points, np.broadcast_to(logs, (len(points), len(logs)))])

    def evaluate(self, rows: FloatArray) -> FloatArray:
        """`OUTPUTS` at each row, shape (n, 6)."""
        return np.asarray(self._mapped("values", len(rows))(rows.T), dtype=float).T

    def force_and_weight(self, rows: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Force kN and weight mg, shapes (n,), and their derivatives by the row's entries, shape (n, 2, 4 + free)."""
        y, slope = self._mapped("slopes", len(rows))(rows.T)
        values = np.asarray(y, dtype=float)
        slopes = np.asarray(slope, dtype=float).T.reshape(len(rows), 2, rows.shape[1])
        return values[0], values[1], slopes

    def force_gains(self, row: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(dF/dfill, dF/dgap) at one row, shape (2,), and their derivatives by its entries, shape (2, 4 + free)."""
        gains, slope = self._functions["gains"](row)
        return np.asarray(gains, dtype=float).ravel(), np.asarray(slope, dtype=float)

    def density_effect(
        self,
        fill: FloatArray,
        gap: FloatArray,
        speed: FloatArray,
        force: FloatArray,
        theta: npt.ArrayLike | None = None,
    ) -> FloatArray:
        """The log density at which the model gives ``force`` kN in each point, shape (n,); Newton's method.

        A force of (nearly) 0 tells nothing about the density: NaN.
        """
        rows = self.rows(fill, gap, speed, 0.0, theta)
        target = np.broadcast_to(np.asarray(force, dtype=float), (len(rows),))
        # every die is loaded at +50 %: from there the convex force curve brings Newton's method down monotonically
        rows[:, _EFFECT] = 0.5
        for _ in range(60):
            current, _, slope = self.force_and_weight(rows)
            step = (target - current) / np.maximum(slope[:, 0, _EFFECT], 1e-3)
            rows[:, _EFFECT] += np.clip(step, -0.2, 0.2)
            if np.abs(step).max(initial=0.0) < 1e-10:
                break
        current = self.force_and_weight(rows)[0]
        return np.where((np.abs(current - target) < 1e-6) & (target > 0), rows[:, _EFFECT], np.nan)

    def gains_at_force(
        self, fill: float, gap: float, speed: float, force: float, theta: npt.ArrayLike | None = None
    ) -> Gains:
        """Gains in a point with the density such that the model gives ``force`` kN there."""
        effect = self.density_effect(np.array([fill]), np.array([gap]), np.array([speed]), np.array([force]), theta)
        row = self.rows(fill, gap, speed, effect, theta)
        slopes = self.force_and_weight(row)[2]
        return Gains(float(slopes[0, 0, _FILL]), float(slopes[0, 0, _GAP]), float(slopes[0, 0, _EFFECT] / force))

    def parameters(self, theta: npt.ArrayLike) -> dict[str, float]:
        """All parameters of the unit model for these logarithms."""
        fitted = {name: float(np.exp(v)) for name, v in zip(self.free, np.asarray(theta, dtype=float), strict=True)}
        values = {**self.values, **fitted}
        if self._tied:
            values["fill_volume_offset"] = values["cup_volume"] / 2
        return values

    def _mapped(self, name: str, count: int) -> Any:
        # a map is built for one number of rows; those of the last few numbers are kept
        if (name, count) not in self._maps:
            if len(self._maps) > 32:
                self._maps.clear()
            self._maps[name, count] = self._functions[name].map(count)
        return self._maps[name, count]
