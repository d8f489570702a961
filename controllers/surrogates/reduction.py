"""A composition made small: states that nothing shown depends on left out, fast ones residualised, cells lumped.

    dx_s/dt = f_s(x_s, x_f, z),    0 = f_f(x_s, x_f, z),    0 = g(x_s, x_f, z)

The implicit part is solved by a fixed number of Newton steps, written out, so that the result is a plain function that
differentiates and generates code. It is exact after one step where the equations are linear in the unknowns.

Stiff states are states still, but of an own, linearly implicit step: half of it before and half after the classical
Runge-Kutta step of the others,

    x_f <- x_f + (I - h/2 J)^-1 h/2 f_f,    J = df_f/dx_f

so that they follow their quasi-steady state at whatever step the others allow.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import casadi as ca
import numpy as np
from scipy.sparse.csgraph import connected_components

from controllers.estimation.model import Output, Process, State
from controllers.surrogates.equations import TIME, Equations
from cosim.component import FloatArray
from fmus.errors import GalenicError, nearest
from fmus.quantity import parse_quantity

_MOST_RESIDUAL = 1e-6


@dataclass(frozen=True)
class Reduction:
    """What is done to the states; all by patterns of their names.

    Args:
        states: what `State` takes beside name and unit: ``noise``, ``relative_noise``, ``low``, ``high``, ``nominal``.
        frozen: states that keep a value; None: that of the start.
        residual: states whose derivative is set to zero.
        residual_below: those that belong to modes faster than this, in s, at the operating point.
        stiff: states that are integrated implicitly.
        stiff_below: those that belong to modes faster than this, in s, at the operating point.
        slow_down: states whose derivative is divided by a number: the same rest at less stiffness, but while they
            change they store that many times too much.
        lump: how many groups of neighbours are left of the states that a pattern fits.
        newton: steps of Newton's method for the implicit equations.
    """

    states: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    frozen: Mapping[str, float | str | None] = field(default_factory=dict)
    residual: Sequence[str] = ()
    residual_below: float = 0.0
    stiff: Sequence[str] = ()
    stiff_below: float = 0.0
    slow_down: Mapping[str, float] = field(default_factory=dict)
    lump: Mapping[str, int] = field(default_factory=dict)
    newton: int = 6


@dataclass(frozen=True)
class Reduced:
    """A process and the state that it begins with; ``dropped``, ``residual`` name what is no state of it any more.

    ``rate`` is (x, u, p) -> dx/dt per second. ``implicit`` is (x, u, p) -> what is left of the implicit equations after
    Newton's steps, each relative to the size of its unknown.
    """

    process: Process
    rate: Any
    initial: FloatArray
    dropped: tuple[str, ...]
    residual: tuple[str, ...]
    implicit: Any


def reduce(
    equations: Equations,
    period: float,
    reduction: Reduction | None = None,
    *,
    substeps: int = 1,
    operating_point: FloatArray | None = None,
) -> Reduced:
    """Make a process of a composition.

    Args:
        equations: from `controllers.surrogates.equations.compose`.
        period: in s.
        reduction: nothing but what does not matter is left out by default.
        substeps: of the Runge-Kutta method in a period.
        operating_point: inputs at which time scales are judged, shape (m,).

    Raises:
        GalenicError: a pattern that fits nothing, or implicit equations that Newton's method does not solve.
    """
    return _Reducer(equations, reduction or Reduction(), operating_point).reduced(period, substeps)


class _Reducer:
    def __init__(self, equations: Equations, reduction: Reduction, operating_point: FloatArray | None) -> None:
        self.e, self.r = equations, reduction
        self.names = [s.name for s in equations.states]
        self.u0 = equations.start_inputs if operating_point is None else operating_point
        self.p0 = np.array([v for _, v in equations.parameters])
        x, self.z, self.u, self.p = equations.symbols
        self.unknowns = list(equations.unknowns)
        self.fixed = self._fixed()
        self.symbol = {name: x[i] for i, name in enumerate(self.names)}
        replaced = [ca.SX(self.fixed.get(n, self.symbol[n])) for n in self.names]
        parts = [equations.rate, equations.residual, equations.guess, equations.shown]
        # through a function, which folds the constants
        full = ca.Function("full", [x, self.z, self.u, self.p], parts)
        self.rate, self.residual, self.guess, self.shown = full(ca.vertcat(*replaced), self.z, self.u, self.p)

    def reduced(self, period: float, substeps: int) -> Reduced:
        kept = self._needed([n for n in self.names if n not in self.fixed])
        fast = self._chosen(kept, self.r.residual, self.r.residual_below, "residual")
        slow = [n for n in kept if n not in fast]
        stiff = self._chosen(slow, self.r.stiff, self.r.stiff_below, "stiff")
        groups = self._groups(slow)
        nominal = {s.name: s.nominal for s in self.e.states}
        start = dict(zip(self.names, self.e.start, strict=True))
        # the states of the process, and what each of the composition's is by them
        symbols, begin = [], []
        by: dict[str, Any] = {}
        states: list[State] = []
        for name, members in groups.items():
            total = sum(start[m] for m in members)
            symbol = ca.SX.sym(name)
            symbols.append(symbol)
            shares = [start[m] / total if total else 1.0 / len(members) for m in members]
            by |= {m: symbol * share if len(members) > 1 else symbol for m, share in zip(members, shares, strict=True)}
            begin.append(total)
            first = self.e.states[self.names.index(members[0])]
            options = self._options(name, members)
            size = sum(nominal[m] for m in members)
            described: dict[str, Any] = {"name": name, "unit": first.unit, "nominal": size, **options}
            states.append(State(**described))
            if not states[-1].low <= total <= states[-1].high:
                raise GalenicError(
                    f"'{name}' starts at {total:.4g}, outside its bounds {states[-1].low:g} to {states[-1].high:g}",
                    cure="correct 'low' or 'high' under 'states', or the start value",
                )
        x = ca.vertcat(*symbols) if symbols else ca.SX(0, 1)
        unknown, implicit, guess = self._implicit(fast, start)
        old = ca.vertcat(*(self.symbol[m] for m in by)) if by else ca.SX(0, 1)
        new = ca.vertcat(*by.values()) if by else ca.SX(0, 1)
        rates = [sum((self.rate[self.names.index(m)] for m in members), ca.SX(0)) for members in groups.values()]
        rates = [rate / self._slowed(members) for rate, members in zip(rates, groups.values(), strict=True)]
        rate = ca.vertcat(*rates) if rates else ca.SX(0, 1)
        rate, shown, implicit, guess = ca.substitute([rate, self.shown, implicit, guess], [old], [new])
        solution, left = _newton(unknown, implicit, guess, self.r.newton, self._sizes(fast))
        if unknown.numel():
            rate, shown = ca.substitute([rate, shown], [unknown], [solution])
        arguments = [x, self.u, self.p]
        rate_function = ca.Function("rate", arguments, [ca.densify(rate)], {"cse": True})
        measure = ca.Function("measure", arguments, [ca.densify(shown)], {"cse": True})
        check = ca.Function("implicit", arguments, [ca.densify(left)])
        initial = np.array(begin)
        self._check(check, initial, unknown)
        implicit = [i for i, members in enumerate(groups.values()) if any(m in stiff for m in members)]
        advance = _advance(rate_function, implicit)
        process = Process(
            period,
            tuple(states),
            tuple(v.name for v in self.e.inputs),
            tuple(Output(v.name, v.unit, v.nominal) for v in self.e.outputs),
            _step(advance, period, substeps),
            measure,
            tuple((v.name, value) for v, value in self.e.parameters),
            advance=advance,
            substeps=substeps,
        )
        dropped = tuple(n for n in self.names if n not in kept and n != TIME)
        return Reduced(process, rate_function, initial, dropped, tuple(fast), check)

    def _fixed(self) -> dict[str, float]:
        """Frozen states and their values; a discrete state keeps its start."""
        fixed: dict[str, float] = {}
        for pattern, raw in self.r.frozen.items():
            for name in self._named(pattern, self.names, "frozen"):
                i = self.names.index(name)
                fixed[name] = float(self.e.start[i]) if raw is None else parse_quantity(raw, self.e.states[i].unit)
        for i, name in enumerate(self.names):
            if self.e.rate[i].is_zero():
                fixed.setdefault(name, float(self.e.start[i]))
        return fixed

    def _needed(self, names: list[str]) -> list[str]:
        """States on which an output depends, through others and through unknowns; unknowns that none needs are left."""
        n = len(names)
        everything = ca.vertcat(*(self.symbol[name] for name in names), self.z)
        rows = ca.vertcat(*(self.rate[self.names.index(name)] for name in names), self.residual)
        sparsity = ca.jacobian_sparsity(rows, everything)
        edges = np.zeros(sparsity.shape, dtype=bool)
        edges[sparsity.get_triplet()] = True
        # unknowns that share an equation are found together
        shared = edges[n:, n:]
        labels = connected_components(shared.T.astype(int) @ shared.astype(int), directed=False)[1]
        for i in range(len(shared)):
            equations = np.flatnonzero(shared[:, labels == labels[i]].any(axis=1))
            edges[n + i] |= edges[n + equations].any(axis=0)
        seen = np.array(ca.which_depends(self.shown, everything, 1, False), dtype=bool)
        while (more := seen | edges[seen].any(axis=0)).sum() > seen.sum():
            seen = more
        wanted = [int(i) for i in np.flatnonzero(seen[n:])]
        self.z, self.guess = _picked(self.z, wanted), _picked(self.guess, wanted)
        self.residual = _picked(self.residual, [k for k in range(len(shared)) if shared[k, wanted].any()])
        self.unknowns = [self.unknowns[i] for i in wanted]
        return [name for name, needed in zip(names, seen, strict=False) if needed]

    def _chosen(self, among: list[str], patterns: Sequence[str], below: float, what: str) -> list[str]:
        """The states that patterns name, and those of fast modes."""
        chosen: list[str] = []
        for pattern in patterns:
            chosen += [n for n in self._named(pattern, self.names, what) if n in among and n not in chosen]
        if below > 0.0:
            scales = self.time_scales(among)
            lumped = {n for pattern in self.r.lump for n in _matching(pattern, among)}
            chosen += [n for n in among if n not in {TIME, *lumped, *chosen} and scales[n] < below]
        return chosen

    def time_scales(self, kept: list[str]) -> dict[str, float]:
        """Time constant in s of the mode that each state takes part in most, at the operating point.

        Modes are those of the blocks of states that depend on each other: in a cascade each state has its own.
        """
        at = [self.names.index(n) for n in kept]
        x = ca.vertcat(*(self.symbol[n] for n in kept))
        rate = ca.vertcat(*(self.rate[i] for i in at))
        a = ca.jacobian(rate, x)
        if self.z.numel():
            a = a - ca.jacobian(rate, self.z) @ _solved_columns(
                ca.jacobian(self.residual, self.z), ca.jacobian(self.residual, x)
            )
            unknowns, _ = _newton(self.z, self.residual, self.guess, self.r.newton, np.ones(self.z.numel()))
            a = ca.substitute(a, self.z, unknowns)
        start = [float(self.e.start[i]) for i in at]
        found = ca.Function("a", [x, self.u, self.p], [a])(start, self.u0, self.p0)
        size = np.array([self.e.states[i].nominal for i in at])
        matrix = found.full() * size / size[:, None]
        labels = connected_components(np.abs(matrix) > 0.0, connection="strong")[1]
        result: dict[str, float] = {}
        for label in range(int(labels.max(initial=-1)) + 1):
            members = np.flatnonzero(labels == label)
            values, right = np.linalg.eig(matrix[np.ix_(members, members)])
            part = np.abs(right * np.linalg.pinv(right).T)
            constants = 1.0 / np.maximum(np.abs(values), 1e-300)
            result |= {kept[m]: float(constants[int(part[i].argmax())]) for i, m in enumerate(members)}
        return result

    def _groups(self, slow: list[str]) -> dict[str, list[str]]:
        """Each state of the process with those of the composition that it stands for."""
        grouped: dict[str, list[str]] = {}
        taken: dict[str, str] = {}
        for pattern, count in self.r.lump.items():
            members = [n for n in self._named(pattern, self.names, "lump") if n in slow]
            if not 1 <= count <= max(1, len(members)):
                raise GalenicError(
                    f"'{pattern}' fits {len(members)} states, which {count} groups cannot share",
                    cure=f"give a number between 1 and {len(members)}",
                )
            for k, part in enumerate(np.array_split(np.array(members, dtype=object), count), 1):
                label = f"{pattern.replace('[*]', '').replace('*', '')}.lump[{k}]"
                grouped[label] = list(part)
                taken |= dict.fromkeys(part, label)
        result: dict[str, list[str]] = {}
        for name in slow:
            label = taken.get(name, name)
            result[label] = grouped.get(label, [name])
        return result

    def _implicit(self, fast: list[str], start: Mapping[str, float]) -> tuple[Any, Any, Any]:
        """Unknowns, their equations, and where they begin."""
        x = [self.symbol[n] for n in fast]
        rates = [self.rate[self.names.index(n)] for n in fast]
        # the guess of the model's own unknowns is by states, fast ones at their start
        guess = self.guess
        if fast and guess.numel():
            guess = ca.substitute(guess, ca.vertcat(*x), ca.DM([start[n] for n in fast]))
        return (
            ca.vertcat(*x, self.z),
            ca.vertcat(*rates, self.residual),
            ca.vertcat(*(start[n] for n in fast), guess),
        )

    def _sizes(self, fast: list[str]) -> FloatArray:
        known = {s.name: s.nominal for s in self.e.states}
        return np.array([*(known[n] for n in fast), *(v.nominal for v in self.unknowns)])

    def _slowed(self, members: list[str]) -> float:
        factor = 1.0
        for pattern, value in self.r.slow_down.items():
            if set(self._named(pattern, self.names, "slow_down")) & set(members):
                factor = value
        return factor

    def _options(self, name: str, members: list[str]) -> dict[str, float]:
        options: dict[str, float] = {}
        for pattern, given in self.r.states.items():
            if _matching(pattern, [name]) or set(_matching(pattern, members)):
                options |= given
        return options

    def _check(self, left: Any, initial: FloatArray, unknown: Any) -> None:
        if not unknown.numel():
            return
        size = float(np.abs(left(initial, self.u0, self.p0).full()).max())
        if not size <= _MOST_RESIDUAL:
            raise GalenicError(
                f"the residualised equations are not solved at the start: {size:.2g} of the states' sizes are left",
                cure="raise 'newton', or keep some of the 'residual' states",
            )

    @staticmethod
    def _named(pattern: str, names: Iterable[str], what: str) -> list[str]:
        found = _matching(pattern, names)
        if not found:
            raise GalenicError(f"'{what}': no state '{pattern}'", cure=nearest(pattern, list(names)))
        return found


def _advance(rate: Any, stiff: Sequence[int]) -> Any:
    """(x, u, p, h) -> x after one step of h s; the states in ``stiff`` by the linearly implicit half steps."""
    x, u, p = (ca.SX.sym(n, rate.size1_in(i)) for i, n in enumerate("xup"))
    h, fast = ca.SX.sym("h"), list(stiff)

    def moving(at: Any) -> Any:
        found = rate(at, u, p)
        found[fast] = 0.0
        return found

    def half(at: Any) -> Any:
        if not fast:
            return at
        after = ca.SX(at)
        after[fast] += change(at, u, p, h)
        return after

    if fast:
        f = rate(x, u, p)[fast]
        matrix = ca.DM.eye(len(fast)) - h / 2.0 * ca.jacobian(f, x[fast])
        change = ca.Function("half", [x, u, p, h], [_solved(matrix, h / 2.0 * f)], {"cse": True})
    begin = half(x)
    k1 = moving(begin)
    k2 = moving(begin + h / 2.0 * k1)
    k3 = moving(begin + h / 2.0 * k2)
    k4 = moving(begin + h * k3)
    end = half(begin + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4))
    return ca.Function("advance", [x, u, p, h], [ca.densify(end)], {"cse": True})


def _step(advance: Any, period: float, substeps: int) -> Any:
    x, u, p = (ca.SX.sym(n, advance.size1_in(i)) for i, n in enumerate("xup"))
    end = x
    for _ in range(substeps):
        end = advance(end, u, p, period / substeps)
    return ca.Function("step", [x, u, p], [ca.densify(end)], {"cse": True})


def _picked(column: Any, rows: Sequence[int]) -> Any:
    return ca.vertcat(*(column[i] for i in rows)) if rows else ca.SX(0, 1)


def _newton(unknown: Any, residual: Any, guess: Any, steps: int, sizes: FloatArray) -> tuple[Any, Any]:
    """What ``steps`` of Newton's method arrive at, and the next step relative to the unknowns' sizes."""
    if not unknown.numel():
        return ca.SX(0, 1), ca.SX(0, 1)
    others = [s for s in ca.symvar(ca.vertcat(residual, guess)) if not ca.depends_on(unknown, s)]
    known = ca.vertcat(*others) if others else ca.SX(0, 1)
    move = -_solved(ca.jacobian(residual, unknown), residual)
    step = ca.Function("newton", [unknown, known], [move], {"cse": True})
    value = guess
    for _ in range(steps):
        value = value + step(value, known)
    return value, step(value, known) / ca.DM(sizes)


def _solved_columns(matrix: Any, right: Any) -> Any:
    return ca.horzcat(*(_solved(matrix, right[:, j]) for j in range(right.shape[1])))


def _solved(matrix: Any, right: Any) -> Any:
    """M^-1 r, in the blocks into which the sparsity of M falls; written out."""
    count, rows, columns, row_ends, column_ends, _, _ = matrix.sparsity().btf()
    x = ca.SX(matrix.shape[0], 1)
    found: dict[int, Any] = {}
    for block in range(count - 1, -1, -1):
        r = rows[row_ends[block] : row_ends[block + 1]]
        c = columns[column_ends[block] : column_ends[block + 1]]
        b = right[r]
        done = [k for k in found if any(matrix.sparsity().has_nz(i, k) for i in r)]
        if done:
            b = b - matrix[r, done] @ ca.vertcat(*(found[k] for k in done))
        inner = matrix[r, c]
        part = b / inner if len(r) == 1 else ca.solve(ca.densify(inner), b)
        found |= {k: part[i] for i, k in enumerate(c)}
    for k, value in found.items():
        x[k] = value
    return x


def _matching(pattern: str, names: Iterable[str]) -> list[str]:
    """The names that a pattern fits; ``*`` stands for any letters, everything else for itself."""
    expression = re.compile(".*".join(re.escape(part) for part in pattern.split("*")))
    return [name for name in names if expression.fullmatch(name)]
