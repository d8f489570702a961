"""The nodes of a problem: a chain of stages, or a tree of what uncertain parameters may be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cosim.component import FloatArray
from fmus.errors import GalenicError


@dataclass(frozen=True)
class Node:
    """One place in the tree.

    Attributes:
        depth: its stage.
        parent: the node before, which stands before it in the list; -1 for the root.
        scenario: whose parameters hold in it and on the way to it; -1 for nominal ones.
        share: the probability of coming here.
    """

    depth: int
    parent: int
    scenario: int
    share: float


class Scenarios:
    """What uncertain parameters may be, with probabilities (Lucia, Finkler & Engell 2013, J. Process Control 23, 1306).

    In each of the first ``robust_horizon`` stages the parameters become any of the sets; from there they stay. Inputs
    are decided for each node, so those of the present are the same whatever comes (non-anticipativity), and later ones
    may answer to what was seen. The cost is the expected one; constraints hold in every scenario.

    Args:
        offsets: what each scenario adds to the parameters given to `Engine.solve`, shape (S, np).
        probabilities: shape (S,), with sum 1; None: equal ones.
        robust_horizon: stages in which branches part; S ** robust_horizon branches.

    Raises:
        GalenicError: shapes or numbers that do not fit.
    """

    def __init__(
        self, offsets: npt.ArrayLike, probabilities: npt.ArrayLike | None = None, robust_horizon: int = 1
    ) -> None:
        self.offsets = np.array(offsets, dtype=np.float64)
        if self.offsets.ndim != 2 or not self.offsets.size or not np.isfinite(self.offsets).all():
            raise GalenicError("the scenarios' offsets are no matrix of numbers", cure="give a row for each scenario")
        self.count = len(self.offsets)
        equal = np.full(self.count, 1.0 / self.count)
        self.probabilities = equal if probabilities is None else np.array(probabilities, dtype=np.float64)
        good = self.probabilities.shape == (self.count,) and (self.probabilities > 0.0).all()
        if not good or abs(self.probabilities.sum() - 1.0) > 1e-9:
            raise GalenicError(
                f"the probabilities of {self.count} scenarios are not positive with sum 1",
                cure="give one for each scenario; leave out scenarios of probability zero",
            )
        if robust_horizon < 1:
            raise GalenicError("a robust horizon below 1 has no branches", cure="leave out the scenarios")
        self.robust_horizon = robust_horizon


def nodes_of(stages: int, scenarios: Scenarios | None) -> tuple[Node, ...]:
    """The nodes, each branch down to its leaf before the next (depth first), that of the first scenario first."""
    nodes: list[Node] = []

    def add(depth: int, parent: int, scenario: int, share: float) -> None:
        """A node and what follows until a branching."""
        while True:
            nodes.append(Node(depth, parent, scenario, share))
            parent = len(nodes) - 1
            if depth == stages:
                return
            depth += 1
            if scenarios is not None and depth <= scenarios.robust_horizon:
                for s, probability in enumerate(scenarios.probabilities):
                    add(depth, parent, s, share * float(probability))
                return

    add(0, -1, -1, 1.0)
    return tuple(nodes)


def branches_of(nodes: tuple[Node, ...]) -> npt.NDArray[np.int64]:
    """The nodes of each branch from the root to its leaf, shape (branches, K + 1)."""
    stages = nodes[-1].depth
    found = []
    for leaf in (n for n, node in enumerate(nodes) if node.depth == stages):
        path, at = [], leaf
        while at >= 0:
            path.append(at)
            at = nodes[at].parent
        found.append(path[::-1])
    return np.array(found, dtype=np.int64)


def node_values(nodes: tuple[Node, ...], values: FloatArray, scenarios: Scenarios | None) -> FloatArray:
    """Parameters and references in each node, shape (N, np + ny), of those by stage, shape (K + 1, np + ny)."""
    return _changed(values[[node.depth for node in nodes]], nodes, scenarios)


def edge_values(nodes: tuple[Node, ...], values: FloatArray, scenarios: Scenarios | None) -> FloatArray:
    """Those on the way to each node, shape (N, np + ny): of its parent's stage and its own scenario."""
    return _changed(values[[max(node.depth - 1, 0) for node in nodes]], nodes, scenarios)


def _changed(rows: FloatArray, nodes: tuple[Node, ...], scenarios: Scenarios | None) -> FloatArray:
    if scenarios is not None:
        count = scenarios.offsets.shape[1]
        padded = np.vstack([scenarios.offsets, np.zeros((1, count))])  # the last one for nominal parameters
        rows[:, :count] += padded[[node.scenario for node in nodes]]
    return rows
