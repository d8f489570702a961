"""Controllers as a user would write them, for the tests of what the system does with a controller."""

from __future__ import annotations

import numpy as np

from cosim import Port


class Loop:
    """Proportional control that can be supervised: output = start + gain (setpoint - measured)."""

    def __init__(self, name, config, context):
        if "gain" not in config:
            raise context.error((), "a loop needs a gain", "add 'gain: 1'")
        if not isinstance(config["gain"], int | float):
            raise context.error("gain", f"'{config['gain']}' is not a number", "give a number")
        measured, target = context.port(config["measures"]), context.port(config["drives"])
        self.name, self.period = name, float(config.get("period", context.step_size))
        self.inputs = (
            Port("measured", measured.unit),
            Port("setpoint", measured.unit, config.get("setpoint", 0.0)),
            Port("track.output", target.unit, 0.0),
            Port("track.active", "1", 0.0),
        )
        self.outputs = (Port("output", target.unit, target.start), Port("executions", "1", 0.0))
        self.input_values = np.array([0.0, config.get("setpoint", 0.0), 0.0, 0.0])
        self.output_values = np.array([target.start, 0.0])
        self.reads = (config["measures"], None, None, None)
        self.writes = (config["drives"], None)
        self.supervises = ()
        self._gain, self._start = config["gain"], target.start
        self.context = context

    @classmethod
    def from_config(cls, name, config, context):
        return cls(name, config, context)

    def do_step(self, communication_point, step_size):
        measured, setpoint, _, _ = self.input_values
        self.output_values[0] = self._start + self._gain * (setpoint - measured)
        self.output_values[1] += 1


class Supervisor:
    """Drives the target with 100 from `begins`, before that with what the supervised loop would do."""

    def __init__(self, name, config, context):
        target = context.port(config["drives"])
        self.name, self.period = name, context.step_size
        self.inputs = (Port(f"fallback.{config['drives']}", target.unit, target.start),)
        self.outputs = (Port("output", target.unit, target.start), Port("active", "1", 0.0))
        self.input_values, self.output_values = np.zeros(1), np.array([target.start, 0.0])
        self.reads, self.writes = (None,), (config["drives"], None)
        self.supervises = tuple(config.get("supervises", ()))
        self._begins = config["begins"]

    @classmethod
    def from_config(cls, name, config, context):
        return cls(name, config, context)

    def do_step(self, communication_point, step_size):
        active = communication_point >= self._begins - 1e-9
        self.output_values[:] = 100.0 if active else self.input_values[0], float(active)


class Stumbling(Loop):
    def do_step(self, communication_point, step_size):
        if communication_point > 0.355:
            raise ZeroDivisionError("no measurement")


class Misshapen(Loop):
    def __init__(self, name, config, context):
        super().__init__(name, config, context)
        self.reads = (None,)


class NotAController:
    pass
