"""A nonlinear MPC of do-mpc: the API feeder so that the blend keeps its API fraction while the total flow moves."""

from __future__ import annotations

import do_mpc
import numpy as np

from cosim import Port

HOLDUP = 1.0  # kg in the blender
ASSAY = 0.944  # API mass fraction of what the feeder delivers
PERIOD = 10.0  # s
HORIZON = 15  # periods


class BlendMpc:
    """Holds the API fraction of a blend with the API feeder, looking two and a half minutes ahead."""

    requires = ("do-mpc>=5.0", "numpy>=1.26")

    def __init__(self, name, reads=(None, None, None), writes=(None, None)):
        self.name = name
        self.period = PERIOD
        self.inputs = (
            Port("api_fraction", "1", 0.0885, 0.0, 1.0, "measured API mass fraction of the blend"),
            Port("total_mass_flow", "kg/h", 27.1, 1.0, 100.0, "measured flow through the blender"),
            Port("setpoint", "1", 0.0885, 0.0, 0.5, "API mass fraction that is wanted"),
        )
        self.outputs = (
            Port("api_mass_flow_setpoint", "kg/h", 2.54, 0.0, 10.0, "setpoint of the API feeder"),
            Port("solved", description="1 where the last problem was solved", kind="boolean"),
        )
        self.input_values = np.array([port.start for port in self.inputs])
        self.output_values = np.array([2.54, 1.0])
        self.reads, self.writes, self.supervises = reads, writes, ()
        self._mpc = self._problem()
        self._begun = False

    @classmethod
    def from_config(cls, name, config, context):
        """From a section of a scenario, in which all signals may be left out."""
        reads = tuple(config.get(key) for key in ("api_fraction", "total_mass_flow", "setpoint"))
        return cls(name, reads, (config.get("output"), None))

    def _problem(self):
        model = do_mpc.model.Model("continuous")
        fraction = model.set_variable("_x", "fraction")
        feed = model.set_variable("_u", "feed")  # kg/h
        total, wanted = model.set_variable("_tvp", "total"), model.set_variable("_tvp", "wanted")
        model.set_rhs("fraction", (ASSAY * feed - total * fraction) / (3600.0 * HOLDUP))
        model.setup()
        mpc = do_mpc.controller.MPC(model)
        mpc.settings.n_horizon, mpc.settings.t_step = HORIZON, PERIOD
        mpc.settings.store_full_solution = False
        mpc.settings.supress_ipopt_output()
        error = (1e3 * (fraction - wanted)) ** 2
        mpc.set_objective(mterm=error, lterm=error)
        mpc.set_rterm(feed=1.0)
        mpc.bounds["lower", "_u", "feed"], mpc.bounds["upper", "_u", "feed"] = 0.0, 10.0
        template = mpc.get_tvp_template()

        def held(_):
            # what is measured now is the best guess of the whole horizon
            template["_tvp", :, "total"], template["_tvp", :, "wanted"] = self.input_values[1], self.input_values[2]
            return template

        mpc.set_tvp_fun(held)
        mpc.setup()
        return mpc

    def do_step(self, communication_point, step_size):
        """Solve from the measured state; where that is missing or there is no solution, the setpoint stays."""
        self.output_values[1] = 0.0
        if not np.isfinite(self.input_values).all():
            return
        state = np.array([[self.input_values[0]]])
        if not self._begun:
            self._mpc.x0, self._mpc.u0 = state, self.output_values[:1]
            self._mpc.set_initial_guess()
            self._begun = True
        feed = self._mpc.make_step(state)
        if self._mpc.solver_stats["success"]:
            self.output_values[:] = feed[0, 0], 1.0
