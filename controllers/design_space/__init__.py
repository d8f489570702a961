"""The design space: where setpoints may be, and limits of critical quality attributes, from a file.

- `space`: `DesignSpace`. `ranges`, `region` (polytope, or where the specification is probable enough), `box` inside it.
- `fit`: a region from an ensemble. `back_off`: how far a controller keeps off the limits.
- `constraint`: the region for a control law: rows, a smooth expression, the nearest setpoint inside.
"""

from controllers.design_space.space import DesignSpace

__all__ = ["DesignSpace"]
