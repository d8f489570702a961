r"""The golden batch: how a batch at the means is fed at least cost for what it is to end with.

Open-loop optimal control on a controller's own model and section: its bounds, moves, limits and fixed references, and

    min  sum_k h_k c' u_k + the section's terms   s.t.   y_j(end) >= wanted

with h_k the length of stage k in hours. The objective is a function of the inputs alone (single shooting: the states
follow from them by the model's integration map), solved by IPOPT with gradients by algorithmic differentiation and a
limited-memory Hessian. It is not convex: what is found is an optimum near the recipe.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import casadi as ca
import numpy as np

from controllers.base import is_signal
from controllers.estimation.model import EstimationModel
from controllers.mpc import MPCController
from controllers.nonlinear.formulation import Formulation
from controllers.nonlinear.horizon import Horizon
from controllers.nonlinear.law import NonlinearLaw
from controllers.nonlinear.names import index_of
from controllers.nonlinear.nominal_batch import (
    EquationsAsTheyAre,
    NominalBatch,
    model_file,
    roll_out,
    run_nominal_batch,
)
from controllers.nonlinear.specification import EconomicTerm, Specification
from controllers.optimal_control.roll_out import RollOut
from controllers.surrogates import SurrogateModel, load_model
from cosim import Scenario, Simulation
from cosim.component import FloatArray
from fmus.errors import GalenicError, nearest
from fmus.quantity import parse_quantity

Report = Callable[[str, float], None]
_STEPS = 4  #: integration steps in a stage at most, so that the derivatives stay small


@dataclass(frozen=True)
class Wishes:
    """What a golden batch is to do.

    Args:
        reach: the output, and what it is to be at the end, as a number in its unit or a text with one.
        costs: of an hour of one unit of an input, by name.
        begin: of the optimisation, s; None: when the controller takes over.
        step: length of a stage in s; None: an hour.
        iterations: of the solver at most.
    """

    reach: tuple[str, float | str]
    costs: Mapping[str, float]
    begin: float | None = None
    step: float | None = None
    iterations: int = 500


@dataclass(frozen=True)
class GoldenBatch:
    """What was found; rows of ``inputs`` are in force between rows of ``times`` (s), as ``recipe_inputs``.

    Attributes:
        model: the controller's.
        manipulated: places of what was optimised in the model's inputs.
        reach: place of the output, and what was wanted.
        times: shape (K + 1,).
        inputs: shape (K, m).
        outputs: by the controller's model, shape (K + 1, p).
        exact_end: outputs at the end by the equations as they are, shape (p,).
        recipe_inputs: shape (K, m).
        recipe_outputs: of the FMUs, shape (K + 1, p).
        marginal: cost of one more unit of what is reached.
        nominal: the batch by its recipe.
        solved: whether the solver converged, what it said, and its iterations.
    """

    model: SurrogateModel
    manipulated: tuple[int, ...]
    reach: tuple[int, float]
    times: FloatArray
    inputs: FloatArray
    outputs: FloatArray
    exact_end: FloatArray
    recipe_inputs: FloatArray
    recipe_outputs: FloatArray
    marginal: float
    nominal: NominalBatch
    solved: tuple[bool, str, int]

    def amounts(self, inputs: FloatArray) -> FloatArray:
        """Each input integrated over the whole batch, per hour, shape (m,): until the first stage by the recipe."""
        begin = self.nominal.place(float(self.times[0]))
        step = float(self.nominal.times[1])
        before = self.nominal.inputs[1 : begin + 1].sum(axis=0) * step
        return np.asarray((before + np.diff(self.times) @ inputs) / 3600.0)


class GoldenBatchProblem:
    """Reads a scenario's predictive controller; `solve` runs the nominal batch and optimises.

    Args:
        scenario: of a batch.
        controller: its predictive controller; None: the only one.
        wishes: what to do.

    Raises:
        GalenicError: no predictive controller with a model, an unknown output or input, times that do not fit.
    """

    def __init__(self, scenario: Scenario, controller: str | None, wishes: Wishes) -> None:
        self.scenario, self.wishes = scenario, wishes
        with Simulation(scenario) as whole:
            found = {n: c for n, c in whole.system.controllers.items() if isinstance(c, MPCController)}
        self.name = self._chosen(found, controller)
        mpc = found[self.name]
        if not isinstance(mpc.law, NonlinearLaw):
            raise scenario.error(
                ("controllers", self.name), f"'{self.name}' has no model of the batch, only a linear surrogate",
                "a golden batch is optimised on 'model:', the units' own equations (docs/nonlinear_mpc.md)",
            )  # fmt: skip
        self.law = mpc.law
        self.file = model_file(scenario, self.name)
        self.model = load_model(self.file)
        self.section: dict[str, Any] = scenario.controllers[self.name]
        #: where measured known inputs are read
        self.signals = {name: str(mpc.reads[port]) for name, port, _, _ in self.law.known_ports}
        self.controllers = [n for n in scenario.controllers if n not in found]
        self._read()
        self._references = {
            c.output: float(read(mpc.input_values))
            for c, read in zip(self.law.specification.tracked, mpc.border.references, strict=True)
        }

    def _chosen(self, found: Mapping[str, MPCController], name: str | None) -> str:
        if name is not None and name not in found:
            raise GalenicError(f"there is no predictive controller '{name}'", cure=nearest(name, list(found)))
        if name is None and len(found) != 1:
            how = "has no predictive controller" if not found else f"has {len(found)} of them"
            raise GalenicError(
                f"{self.scenario.name} {how}, and a golden batch is made on its model and inside its limits",
                cure="name a scenario with an MPC, such as penicillin_batch_mpc"
                if not found
                else "choose: --controller",
                file=self.scenario.file,
            )
        return name or next(iter(found))

    def _read(self) -> None:
        """Names, units and times of the wishes."""
        w, process, scenario = self.wishes, self.model.process, self.scenario
        name, value = w.reach
        outputs = [y.name for y in process.outputs]
        self.reached = index_of(name, outputs, "output")
        self.wanted = parse_quantity(value, process.outputs[self.reached].unit)
        moved = [u.input for u in self.law.specification.manipulated]
        self.costs = {moved[index_of(n, moved, "manipulated input")]: c for n, c in w.costs.items()}
        if not self.costs or min(self.costs.values()) < 0.0:
            raise GalenicError(
                "nothing costs anything", cure="name what is to be spared: --cost fermenter.sugar_feed=1"
            )
        period = process.period
        start = self.section.get("start_after", 0.0)
        self.begin = parse_quantity(start, "s") if w.begin is None else w.begin
        self.step = 3600.0 if w.step is None else w.step
        count = (scenario.duration - self.begin) / self.step
        if self.begin < 0.0 or round(count) < 2 or abs(count - round(count)) > 1e-6:
            raise GalenicError(
                f"from {self.begin / 3600:g} h to the end of the batch at {scenario.duration / 3600:g} h are "
                f"{count:g} stages of {self.step / 3600:g} h",
                cure="choose --from and --step so that a whole number of stages, 2 or more, is left",
            )
        self.count = round(count)
        integration = self.section.get("integration_step")
        longest = period / process.substeps if integration is None else parse_quantity(integration, "s")
        self.substeps = max(1, math.ceil(self.step / longest - 1e-9))
        if abs(self.step / period - round(self.step / period)) > 1e-9 or self.substeps > _STEPS:
            raise GalenicError(
                f"stages of {self.step / 3600:g} h are {self.substeps} integration steps of the controller's model",
                cure=f"--step: a multiple of its period of {period / 3600:g} h, up to {_STEPS * longest / 3600:g} h",
            )

    def solve(self, progress: Report = lambda _what, _share: None) -> GoldenBatch:
        """Nominal batch, optimum, and what both come to. Raises GalenicError where no feed reaches what is wanted."""
        nominal = run_nominal_batch(
            self.scenario,
            self.controllers,
            self.signals,
            self.file,
            lambda share: progress("Batch by its recipe", share),
        )
        times = self.begin + self.step * np.arange(self.count + 1, dtype=np.float64)
        by_recipe = nominal.mean_inputs(times[:-1], times[1:])
        formulation = self._formulation()
        low, high = (np.array([u.bounds[i] for u in formulation.specification.manipulated]) for i in (0, 1))
        place = nominal.place(self.begin)
        before = np.clip(nominal.inputs[place][formulation.manipulated], low, high)
        guess = np.clip(by_recipe[:, formulation.manipulated], low, high)
        values = self._values(formulation, by_recipe[:, formulation.others])
        found, marginal, said = self._optimum(formulation, nominal.states[place], before, values, guess, progress)
        inputs = by_recipe.copy()
        inputs[:, formulation.manipulated] = found
        _, outputs = roll_out(self.model, nominal.states[place], inputs, np.diff(times), [self.substeps] * self.count)
        rows = [nominal.place(t) for t in times]
        return GoldenBatch(
            self.model,
            tuple(formulation.manipulated),
            (self.reached, self.wanted),
            times,
            inputs,
            np.vstack([nominal.outputs[place], outputs]),
            self._exactly(nominal, inputs),
            by_recipe,
            nominal.outputs[rows],
            marginal,
            nominal,
            said,
        )

    def _formulation(self) -> Formulation:
        """The controller's own problem, over the whole batch, with costs in place of the output that is reached."""
        s, period = self.law.specification, self.model.period
        given = {self.model.process.outputs[self._output(n)].name: e for n, e in self.section["controlled"].items()}
        controlled = []
        for c in s.controlled:
            followed = is_signal(given[c.output].get("reference", 0.0))
            tracked = c.tracked and not followed and self._output(c.output) != self.reached
            if tracked or any(map(math.isfinite, c.limits)):
                controlled.append(replace(c, tracked=tracked))
        moved = [replace(u, max_move=u.max_move * max(1.0, self.step / (u.period or period))) for u in s.manipulated]
        economic = [EconomicTerm(name, -cost) for name, cost in self.costs.items()]
        specification = Specification(tuple(controlled), tuple(moved), tuple(economic), s.known, s.operating)
        lengths = [round(self.step / period)] * self.count
        return Formulation(
            EstimationModel(self.model.process, []), specification, Horizon(period, lengths, self.step / self.substeps)
        )

    def _output(self, name: str) -> int:
        outputs = [y.name for y in self.model.process.outputs]
        return index_of(name, outputs, "output")

    def _values(self, f: Formulation, others: FloatArray) -> FloatArray:
        """Parameters and references by node, shape (K + 1, np + ny), see `Formulation`."""
        values = np.zeros((self.count + 1, f.problem.np + f.problem.ny))
        values[:, f.at["known"]] = np.vstack([others, others[-1:]])
        values[:, f.at["reference"]] = [self._references[c.output] for c in f.specification.tracked]
        values[:, f.at["step"]] = self.step / self.substeps
        values[-1, f.at["step"]] = self.step
        values[:, f.at["rank"]] = 1.0
        for j, u in enumerate(f.specification.manipulated):
            if u.ideal is not None and u.input not in self.costs:
                values[:, f.at["centre"].start + j] = u.ideal
                values[:, f.at["pull"].start + j] = math.sqrt(u.weight_target)
        return values

    def _optimum(
        self, f: Formulation, start: FloatArray, before: FloatArray, values: FloatArray, guess: FloatArray, tell: Report
    ) -> tuple[FloatArray, float, tuple[bool, str, int]]:
        """Manipulated inputs by stage, what one more unit costs, and what the solver said."""
        problem, scale, roll = f.problem, np.array(f.problem.input_scale), RollOut(f.problem)
        v = ca.MX.sym("v", problem.nu, self.count)
        inputs = v * ca.repmat(ca.DM(scale), 1, self.count)
        path, cost = roll.expressions(start, before, values, inputs)
        size = max(1.0, abs(roll(start, before, values, guess).cost))
        end = self._at_end(f, path[:, -1], values[-1])
        limits = np.array(problem.move_limits) / scale
        limited = np.isfinite(limits)
        moves = (v - ca.horzcat(ca.DM(before / scale), v[:, :-1]))[np.flatnonzero(limited).tolist(), :]
        most = np.tile(limits[limited], self.count)
        reference = max(abs(self.wanted), 1.0)
        watch = _Watch(problem.nu * self.count, 1 + len(most), self.wishes.iterations, tell)
        solver = ca.nlpsol(
            "golden",
            "ipopt",
            {"x": ca.vec(v), "f": cost / size * 10.0, "g": ca.vertcat(end / reference, ca.vec(moves))},
            {
                "iteration_callback": watch,
                "print_time": False,
                "ipopt": {
                    "hessian_approximation": "limited-memory",
                    "limited_memory_max_history": 30,
                    "max_iter": self.wishes.iterations,
                    "tol": 1e-5,
                    "acceptable_tol": 1e-2,
                    "acceptable_iter": 15,
                    "acceptable_obj_change_tol": 1e-5,
                    "print_level": 0,
                    "sb": "yes",
                },
            },
        )
        given = {
            "lbx": np.tile(np.array(problem.input_lower) / scale, self.count),
            "ubx": np.tile(np.array(problem.input_upper) / scale, self.count),
            "lbg": np.r_[self.wanted / reference, -most],
            "ubg": np.r_[math.inf, most],
        }
        answer, stats = solver(x0=(guess / scale).ravel(), **given), solver.stats()
        found = np.clip(
            answer["x"].full().reshape(self.count, problem.nu) * scale, problem.input_lower, problem.input_upper
        )
        reached = float(answer["g"][0]) * reference
        if not np.isfinite(found).all() or reached < self.wanted - 1e-3 * reference:
            name = self.model.process.outputs[self.reached]
            raise GalenicError(
                f"no feed inside the limits of '{self.name}' was found that reaches {self.wanted:g} {name.unit} of "
                f"{name.name}; the solver stopped at {reached:.4g} ({stats['return_status']})",
                cure="ask for less with --reach, or begin earlier with --from",
            )
        marginal = -float(answer["lam_g"][0]) * size / 10.0 / reference
        return found, marginal, (bool(stats["success"]), str(stats["return_status"]), int(stats["iter_count"]))

    def _at_end(self, f: Formulation, state: Any, values: FloatArray) -> Any:
        """The output that is reached, as an expression of the last state."""
        process = self.model.process
        known = f.full_inputs(np.array([u.bounds[0] for u in f.specification.manipulated]), values[f.at["known"]])
        return process.measure(state, known, self.model.parameters)[self.reached]

    def _exactly(self, nominal: NominalBatch, inputs: FloatArray) -> FloatArray:
        """Outputs at the end by the equations as they are."""
        exact = EquationsAsTheyAre(self.file, self.step)
        names = [s.name for s in self.model.process.states]
        columns = [names.index(s.name) for s in exact.model.process.states]
        start = nominal.states[nominal.place(self.begin)][columns]
        last = exact.states(start, inputs)[-1]
        return np.asarray(exact.model.process.measure(last, inputs[-1], exact.model.parameters).full().ravel())


class _Watch(ca.Callback):
    """Tells how many iterations are done."""

    def __init__(self, variables: int, rows: int, most: int, tell: Report) -> None:
        super().__init__()
        sizes = {"x": variables, "f": 1, "g": rows, "lam_x": variables, "lam_g": rows, "lam_p": 0}
        self._sizes = [sizes[ca.nlpsol_out(i)] for i in range(ca.nlpsol_n_out())]
        self._tell, self._most, self._count = tell, most, 0
        self.construct("watch")

    def get_n_in(self) -> int:
        """As CasADi asks."""
        return len(self._sizes)

    def get_sparsity_in(self, i: int) -> Any:
        """As CasADi asks."""
        return ca.Sparsity.dense(self._sizes[i])

    def eval(self, _: Any) -> list[int]:
        """Go on."""
        self._count += 1
        self._tell("Optimising", min(1.0, self._count / self._most))
        return [0]
