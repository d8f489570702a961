"""A predictive controller as a Python component: what runs in the FMU is Galenic."""

from __future__ import annotations

import math

import numpy as np

from controllers.mpc import MPCController
from controllers.operation.border import Border
from controllers.operation.law import ControlLaw
from cosim.component import Port


class PredictiveController(MPCController):
    """A predictive controller of Galenic, with whatever law and engine its scenario gives it."""

    requires = ("galenic>=0.1",)

    def __init__(self, name: str, law: ControlLaw, border: Border) -> None:
        text = "whether the fallback inputs are what it gives way to"
        self._follows = border.wiring.read(Port("fallback_connected", "1", 0.0, 0.0, 1.0, text, "boolean"), None)
        super().__init__(name, law, border)
        self._fallbacks = np.array([c.index for c in border.fallbacks], dtype=np.intp)
        for channel, start in zip(border.fallbacks, border.start, strict=True):
            self.input_values[channel.index] = (start - channel.offset) / channel.factor
        for measured in border.measured:
            at = border.operating_point[measured.output]
            self.input_values[measured.index] = (at - measured.offset) / measured.factor
        self.output_values[~np.isfinite(self.output_values)] = 0.0

    def do_step(self, communication_point: float, step_size: float) -> None:
        """One execution at ``communication_point`` (s); fallback inputs that are not connected count for nothing."""
        if self.input_values[self._follows] < 0.5:
            self.input_values[self._fallbacks] = math.nan
        super().do_step(communication_point, step_size)
