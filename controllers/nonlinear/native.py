"""CasADi functions compiled once for this machine, called on fixed arrays."""

from __future__ import annotations

import ctypes
from typing import Any

import casadi as ca
import numpy as np

from controllers.estimation.evaluation import Evaluation
from controllers.optimal_control.native_library import load_compiled
from cosim.component import FloatArray
from fmus.errors import GalenicError

_ENTRY = """
#ifdef _WIN32
__declspec(dllexport)
#else
__attribute__((visibility("default")))
#endif
int galenic_evaluate(const double** arg, double** res, casadi_int* iw, double* w, int mem) {
    return evaluated(arg, res, iw, w, mem);
}
"""


class NativeEvaluation:
    """As `Evaluation`, compiled: some ten times as fast. Results are dense, matrices column by column.

    Args:
        function: in scalar operations.

    Raises:
        GalenicError: nothing can be compiled here.
    """

    def __init__(self, function: Any) -> None:
        symbols = [ca.SX.sym(f"i{i}", function.sparsity_in(i)) for i in range(function.n_in())]
        dense = ca.Function("evaluated", symbols, [ca.densify(r) for r in function.call(symbols)], {"cse": True})
        generator = ca.CodeGenerator("evaluation", {"with_header": False, "with_export": False})
        generator.add(dense)
        self._library, _ = load_compiled(str(generator.dump()) + _ENTRY, "evaluation")
        self.arguments: list[FloatArray] = [np.zeros(dense.nnz_in(i)) for i in range(dense.n_in())]
        self.results: list[FloatArray] = [np.zeros(dense.nnz_out(i)) for i in range(dense.n_out())]
        self._zeros = [np.zeros(len(r)) for r in self.results]
        self._integers, self._numbers = np.zeros(dense.sz_iw() + 1, dtype=np.int64), np.zeros(dense.sz_w() + 1)
        pointer = ctypes.c_void_p
        self._function = self._library.galenic_evaluate
        self._function.argtypes, self._function.restype = (pointer,) * 4 + (ctypes.c_int,), ctypes.c_int
        # what a generated function wants beyond its own arguments and results is room for its workings
        given = (pointer * dense.sz_arg())(*(a.ctypes.data for a in self.arguments))
        wanted = (pointer * dense.sz_res())(*(r.ctypes.data for r in self.results))
        self._keep = given, wanted
        parts = ctypes.addressof(given), ctypes.addressof(wanted), self._integers.ctypes.data, self._numbers.ctypes.data
        self._call = (*(pointer(p) for p in parts), 0)

    def run(self) -> bool:
        """Evaluate; whether the function answered and all results are finite."""
        fine = self._function(*self._call) == 0
        return fine and all(r.dot(z) == 0.0 for r, z in zip(self.results, self._zeros, strict=True))


def evaluation(function: Any, *, native: bool) -> Evaluation | NativeEvaluation:
    """A function on fixed arrays, compiled where that is wanted and possible."""
    if native and function.is_a("SXFunction"):
        try:
            return NativeEvaluation(function)
        except GalenicError:
            pass
    return Evaluation(function)
