"""CasADi functions on preallocated arrays: what is built once is executed without allocation."""

from __future__ import annotations

from typing import Any

import casadi as ca
import numpy as np

from cosim.component import FloatArray


class Evaluation:
    """A CasADi function that reads from and writes into fixed arrays.

    Args:
        function: all of its results are made dense; arrays are flat, matrices column by column.

    Attributes:
        arguments: one flat array for each argument, to be filled.
        results: one flat array for each result, overwritten by each `run`.
    """

    def __init__(self, function: Any) -> None:
        symbols = [ca.MX.sym(f"i{i}", function.sparsity_in(i)) for i in range(function.n_in())]
        dense = [ca.densify(r) for r in function.call(symbols)]
        self._function: Any = ca.Function(f"{function.name()}_dense", symbols, dense)  # must outlive its buffer
        if function.is_a("SXFunction"):
            self._function = self._function.expand()
        self.arguments: list[FloatArray] = [np.zeros(function.nnz_in(i)) for i in range(function.n_in())]
        self.results: list[FloatArray] = [np.zeros(self._function.nnz_out(i)) for i in range(function.n_out())]
        self._zeros = [np.zeros(len(r)) for r in self.results]
        self._buffer, self._run = self._function.buffer()
        for i, a in enumerate(self.arguments):
            self._buffer.set_arg(i, a.data)
        for i, r in enumerate(self.results):
            self._buffer.set_res(i, r.data)

    def run(self) -> bool:
        """Evaluate; whether the function answered and all results are finite."""
        try:
            self._run()
        except RuntimeError:  # an integrator that gives up
            return False
        # 0 times infinity is no number, so the product is 0 only if all are finite
        return not self._buffer.ret() and all(r.dot(z) == 0.0 for r, z in zip(self.results, self._zeros, strict=True))


def with_jacobian(function: Any) -> Any:
    """(s, u) -> (value, Jacobian with respect to s) of a function (s, u) -> value."""
    s, u = (ca.MX.sym(n, function.size1_in(i)) for i, n in enumerate("su"))
    value = function(s, u)
    both = ca.Function(f"{function.name()}_jacobian", [s, u], [value, ca.jacobian(value, s)])
    return both.expand() if function.is_a("SXFunction") else both
