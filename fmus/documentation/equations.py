"""The equations of a unit model as formulas, in the order in which they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, count

from fmus.documentation import markup as ml
from fmus.documentation.graph import LEAVES, Graph
from fmus.documentation.mathml import Printer
from fmus.documentation.naming import Naming
from fmus.documentation.runs import Run, runs
from fmus.model import UnitModel

#: more operations than that are not printed; a reader would not get through them
MOST_OPERATIONS = 10_000


@dataclass(frozen=True)
class Formula:
    """One printed equation.

    Attributes:
        left: MathML.
        sign: between the sides.
        right: MathML, by lines.
        note: what is said beside it.
    """

    left: str
    sign: str
    right: list[str]
    note: str = ""


@dataclass(frozen=True)
class Section:
    """Equations under one heading, and what is said about them all."""

    title: str
    text: str
    entries: list[Entry] = field(default_factory=list)


@dataclass(frozen=True)
class Entry:
    """An equation and, below it, the names that occur in it for the first time."""

    formula: Formula
    auxiliaries: list[Formula]
    heading: str = ""


class ModelEquations:
    """The equations of ``model``, printed.

    Attributes:
        operations: how many there are in all.
        sections: empty where there are more than `MOST_OPERATIONS`.
        has_means: some equation uses the mean of a quantity over the communication step.
        has_brackets: some equation computes with a condition, which stands in square brackets.
    """

    def __init__(self, model: UnitModel) -> None:
        self._model = model
        self._graph = Graph()
        integrands = self._graph.read([e for _, e in model.means])
        means = {str(s): node for (s, _), node in zip(model.means, integrands, strict=True)}
        self.has_means = bool(means)
        states, continuous = model.states, model.continuous_states
        self._rates = self._graph.read([s.derivative for s in continuous])
        self._residuals = self._graph.read([a.residual for a in model.algebraics])
        self._guesses = self._graph.read([a.start for a in model.algebraics])
        self._outputs = self._graph.read([e for _, e in model.outputs], means)
        self._indicators = self._graph.read([e.indicator for e in model.events])
        self._jumps = [self._graph.read(list(e.assign.values())) for e in model.events]
        self._calculated = [s for s in states if s.initial is not None]
        self._initials = self._graph.read([s.initial for s in self._calculated])
        roots = [*self._rates, *self._residuals, *self._guesses, *self._outputs, *self._indicators]
        roots += [*(n for jump in self._jumps for n in jump), *self._initials]
        reachable = self._graph.reachable(roots)
        self.operations = sum(self._graph.nodes[n].operation not in LEAVES for n in reachable)
        self.sections: list[Section] = []
        self.has_brackets = False
        if self.operations <= MOST_OPERATIONS:
            self._print(roots)

    def _print(self, roots: Sequence[int]) -> None:
        model = self._model
        taken = {v.array or v.name for v in model.variables} | {v.name for v in model.variables}
        taken |= {n.split("[")[0] for n in taken}
        self._letter = _free("abcghw", taken)
        self._index, summed = _free("kijln", taken), _free("jilnr", taken)
        self.time = "t" if "t" not in taken else "time"
        self._titles = self._output_names()
        naming = Naming(self._graph, roots, self._titles)
        self._named = naming.named
        self._numbers: dict[int, int] = {}
        self._pending: list[int] = []
        self._run: Run | None = None
        self._printer = Printer(self._graph, self._reference, self._symbol, naming.width, summed)
        self.sections = [s for s in self._sections() if s.entries]
        self.has_brackets = self._printer.has_brackets

    def _output_names(self) -> dict[int, str]:
        """Right-hand sides that can be called by the name of the output that they are."""
        titles: dict[int, str] = {}
        for (variable, _), node in zip(self._model.outputs, self._outputs, strict=True):
            if self._graph.nodes[node].operation not in LEAVES and variable.kind == "Real":
                titles.setdefault(node, variable.name)
        return titles

    def _sections(self) -> Iterator[Section]:
        model = self._model
        d = '<mi mathvariant="normal">d</mi>'
        rate = ml.fraction(d, ml.row(d, self._name(self.time))) + '<mspace width="0.3em"/>'
        rates = [(s.variable.name, n) for s, n in zip(model.continuous_states, self._rates, strict=True)]
        yield Section(
            "Differential equations",
            "The rates of change of the continuous states, per second.",
            list(self._entries(rates, lambda name: rate + name)),
        )
        unknowns = [
            entry
            for a, residual, guess in zip(model.algebraics, self._residuals, self._guesses, strict=True)
            for entry in self._unknown(a.variable.name, residual, guess)
        ]
        yield Section("Implicit equations", "Solved by Newton's method for the unknowns at every instant.", unknowns)
        outputs = [(v.name, n) for (v, _), n in zip(model.outputs, self._outputs, strict=True)]
        yield Section("Outputs", "", list(self._entries(outputs, lambda name: name)))
        yield Section(
            "Events",
            "An event happens when its expression falls below zero; the states named then jump, all others stay.",
            [e for i in range(len(model.events)) for e in self._event(i)],
        )
        start = ml.fenced(ml.subscripted(self.time, "<mn>0</mn>"))
        initials = [(s.variable.name, n) for s, n in zip(self._calculated, self._initials, strict=True)]
        yield Section(
            "Start",
            "The values of calculated states at the start of a run; the other states begin at their start values.",
            list(self._entries(initials, lambda name: ml.row(name, start))),
        )

    def _entries(self, equations: list[tuple[str, int]], left: Callable[[str], str]) -> Iterator[Entry]:
        for run in runs(self._graph, equations, self._is_named):
            name, node = equations[run.first]
            own = self._titles.get(node) == name
            self._run = run if run.last > run.first else None
            lines = [self._reference(node) or ""] if self._is_named(node) and not own else self._printer.lines(node)
            note = f"{self._index} = {run.indices[0]}, …, {run.indices[1]}" if self._run else ""
            formula = Formula(left(self._name(name)), "=", lines, note)
            self._run = None
            yield Entry(formula, self._definitions())

    def _unknown(self, name: str, residual: int, guess: int) -> Iterator[Entry]:
        yield Entry(Formula("<mn>0</mn>", "=", self._printer.lines(residual), f"for {name}"), self._definitions())
        formula = Formula(self._name(name), "←", self._right(guess), "where Newton's method begins")
        yield Entry(formula, self._definitions())

    def _event(self, number: int) -> Iterator[Entry]:
        event = self._model.events[number]
        lines = self._right(self._indicators[number])
        yield Entry(Formula("", "", lines, "falls below 0"), self._definitions(), event.name)
        for name, node in zip(event.assign, self._jumps[number], strict=True):
            formula = Formula(self._name(name), "←", self._right(node), self._item(name, node))
            yield Entry(formula, self._definitions())

    def _item(self, name: str, node: int) -> str:
        """What a number means where it is given to an enumeration."""
        one, items = self._graph.nodes[node], self._model.variable(name).items
        known = one.operation == "number" and one.value in range(len(items))
        return items[int(one.value)] if known else ""

    def _right(self, node: int) -> list[str]:
        return [self._reference(node) or ""] if self._is_named(node) else self._printer.lines(node)

    def _definitions(self) -> list[Formula]:
        """The names that came up since the last call, and those that come up in their definitions."""
        found = []
        while self._pending:
            node = self._pending.pop(0)
            one = self._graph.nodes[node]
            if one.operation == "call":
                text = "computed in sources/equations.c; too large to be printed"
                found.append(Formula(self._name(one.name), "=", [self._printer.call(node)], text))
                continue
            found.append(Formula(self._reference(node) or "", "=", self._printer.lines(node)))
        return found

    def _is_named(self, node: int) -> bool:
        return node in self._named

    def _reference(self, node: int) -> str | None:
        if node not in self._named:
            return None
        if node in self._titles:
            return self._name(self._titles[node])
        if node not in self._numbers:
            self._numbers[node] = sum(n > 0 for n in self._numbers.values()) + 1
            self._pending.append(node)
        return ml.subscripted(self._letter, f"<mn>{self._numbers[node]}</mn>")

    def _symbol(self, node: int) -> str:
        one = self._graph.nodes[node]
        name = one.name
        if one.operation == "result" and one.arguments[0] not in self._numbers:
            self._numbers[one.arguments[0]] = 0
            self._pending.append(one.arguments[0])
        return self._name(self.time if name == str(self._model.time) else name)

    def _name(self, name: str) -> str:
        """A name; within a run of equations the index that runs is a letter."""
        indexed = ml.split_index(name)
        if self._run is None or indexed is None or name not in self._run.moving:
            return ml.identifier(name)
        offset = indexed[1] - self._run.indices[0]
        index = f"<mi>{self._index}</mi>"
        if offset:
            index = ml.row(index, ml.operator("+" if offset > 0 else "−"), f"<mn>{abs(offset)}</mn>")
        return ml.subscripted(indexed[0], index)


def _free(letters: str, taken: set[str]) -> str:
    """A name that the model does not use."""
    return next(x for x in chain(letters, (f"aux{n}" for n in count(1))) if x not in taken)
