"""A soft sensor: tablet hardness from what the press measures in every turn, between the checks in the laboratory.

The regression is in a file that `fit_hardness_sensor.py` writes. Both are embedded when the sensor is exported.
"""

from __future__ import annotations

from pathlib import Path

import joblib
import numpy as np

from cosim import Port


class HardnessSensor:
    """Tablet hardness estimated from main compression force and fill depth."""

    requires = ("scikit-learn>=1.5", "joblib>=1.3")
    files = ("hardness_sensor.joblib",)

    def __init__(self, name, period, model, reads):
        self.name = name
        self.period = period
        self.inputs = (
            Port("main_compression_force", "kN", 6.0, 0.0, 100.0, "measured force"),
            Port("fill_depth", "mm", 6.74, 2.0, 12.0, "measured fill depth"),
        )
        self.outputs = (
            Port("hardness", "N", description="estimated hardness; 0 before the first estimate"),
            Port("trusted", description="1 inside the data of the fit, 0 outside", kind="boolean"),
        )
        self.input_values = np.array([port.start for port in self.inputs])
        self.output_values = np.zeros(2)
        self.reads = reads
        self.writes = (None, None)
        self.supervises = ()
        self._regression = model["regression"]
        self._low, self._high = model["low"], model["high"]

    @classmethod
    def from_config(cls, name, config, context):
        """From a section of a scenario; alone, with the period that stands here."""
        model = joblib.load(Path(__file__).with_name(cls.files[0]))
        return cls(name, float(config.get("period", 10.0)), model, (config.get("force"), config.get("fill_depth")))

    def do_step(self, communication_point, step_size):
        """Estimate from the values at the communication point; scikit-learn refuses NaN."""
        self.output_values[0] = self._regression.predict(self.input_values[None, :])[0]
        inside = (self._low <= self.input_values) & (self.input_values <= self._high)
        self.output_values[1] = float(inside.all())
