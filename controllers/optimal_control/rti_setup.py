"""What a solver in C is made of: its source, and the structures that it shares with Python."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from importlib import resources
from typing import Any

import casadi
import numpy as np
import numpy.typing as npt

from controllers.optimal_control.stage_functions import StageFunctions

_pointer, _int, _real = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double
_INTEGERS = (
    "nodes",
    "stages",
    "nx",
    "nu",
    "values",
    "parameters",
    "arguments",
    "results",
    "integers",
    "doubles",
    "max_rows",
)
_WHOLE = ("function", "free", "moves", "soft", "depth", "parent", "scenario", "kids", "branch", "path", "held")
_REALS = ("share", "offsets", "duration", "weight", "length")
_BOUNDS = ("u_lower", "u_upper", "x_lower", "x_upper", "row_lower", "row_upper", "l1", "l2")
_SPENT = ("seconds", "linearise_seconds", "qp_seconds")
_OWN, _NONE = ("riccati_ipm", "riccati_program"), ("riccati_none",)


class Setup(ctypes.Structure):
    """What a solver reads; the arrays are the caller's."""

    _fields_ = [
        *((name, _int) for name in _INTEGERS),
        *((name, _pointer) for name in _WHOLE + _REALS + _BOUNDS),
        *((name, _real) for name in ("mu0", "qp_tolerance", "tolerance", "least")),
        *((name, _int) for name in ("qp_iterations", "hot_iterations", "calm")),
        ("tree", _pointer),
    ]


class Told(ctypes.Structure):
    """What a solve tells."""

    _fields_ = [
        *((name, _real) for name in ("cost", "soft_violation", "hard_violation", "step", "residual", *_SPENT)),
        *((name, _int) for name in ("iterations", "qp_iterations")),
    ]


def make_setup(
    functions: StageFunctions,
    changing: Mapping[str, npt.NDArray[Any]],
    keep: list[Any],
    tolerances: tuple[float, float],
    hot: bool,
) -> Setup:
    """The setup of a problem.

    Args:
        functions: of its stages.
        changing: arrays that may differ from solve to solve, by their names in `Setup`.
        keep: gets what has to live as long as the setup.
        tolerances: of the quadratic program, and of a step.
        hot: whether starts may be.
    """
    p, depth = functions.problem, np.array([node.depth for node in functions.problem.nodes])
    share = np.array([node.share for node in p.nodes])

    def address(values: npt.ArrayLike, dtype: type) -> int:
        array: npt.NDArray[Any] = np.array(values, dtype=dtype, order="C")
        keep.append(array)
        return array.ctypes.data

    nodes = p.nodes
    keys = list(functions.kinds)
    stages = range(len(p.stages) + 1)
    used = [f(k) for f in (functions.linearised, functions.rolled) for k in stages]
    parents = np.array([node.parent for node in nodes])
    offsets = np.zeros((1, 0)) if p.scenarios is None else p.scenarios.offsets
    padded = np.zeros((len(offsets), p.np + p.ny))
    padded[:, : offsets.shape[1]] = offsets
    integers = {
        "function": [keys.index(functions.key(k)) for k in depth],
        "free": [int(k < len(p.stages) and not p.stages[k].held) for k in depth],
        "moves": [functions.moves(k) for k in depth],
        "soft": [len(p.constraint_numbers_at(k)) for k in depth],
        "depth": depth,
        "parent": parents,
        "scenario": [node.scenario for node in nodes],
        "kids": [int((parents == n).sum()) for n in range(len(nodes))],
        "branch": p.first_branch,
        "path": p.branches,
    }
    reals = {
        "share": share * p.move_shares[depth],
        "offsets": padded,
        "u_lower": p.input_lower / p.input_scale,
        "u_upper": p.input_upper / p.input_scale,
        "x_lower": p.state_lower / p.state_scale,
        "x_upper": p.state_upper / p.state_scale,
    }
    return Setup(
        nodes=len(nodes),
        stages=len(p.stages),
        nx=p.nx,
        nu=p.nu,
        values=p.np + p.ny,
        parameters=p.np,
        arguments=max(f.sz_arg() for f in used),
        results=max(f.sz_res() for f in used),
        integers=max(f.sz_iw() for f in used),
        doubles=max(f.sz_w() for f in used),
        max_rows=changing["l1"].shape[1],
        mu0=10.0,
        qp_tolerance=tolerances[0],
        tolerance=tolerances[1],
        least=1e-6,
        qp_iterations=50,
        hot_iterations=10 if hot else 0,
        calm=4,
        tree=address(np.zeros(8 * len(nodes) + 64), np.int64),
        **{name: array.ctypes.data for name, array in changing.items()},
        **{name: address(v, np.int64) for name, v in integers.items()},
        **{name: address(v, np.float64) for name, v in reals.items()},
    )


def source_of(functions: StageFunctions, riccati: bool) -> str:
    """Generated functions, their tables, and the C files of this package that a solver is made of."""
    generator = casadi.CodeGenerator("stages", {"with_header": False, "with_export": False})
    for node in functions.kinds.values():
        generator.add(functions.linearised(node))
        generator.add(functions.rolled(node))
    tables = "" if functions.problem.scenarios is None else "\n#define GALENIC_TREE\n"
    tables += "\ntypedef int (*StageFunction)(const double**, double**, long long*, double*, int);\n"
    for table, kind in (("stage_functions", "linearised"), ("rolled_functions", "rolled")):
        entries = ", ".join(f"{kind}_{key}" for key in functions.kinds)
        tables += f"static const StageFunction {table}[] = {{{entries}}};\n"
    if riccati:
        p = functions.problem
        boxes = int((np.isfinite(p.state_lower) | np.isfinite(p.state_upper)).sum())
        rows = max(functions.moves(k) + len(p.constraint_numbers_at(k)) for k in range(len(p.stages) + 1))
        sizes = {"NX": p.nx, "NU": p.nu, "BOXES": boxes, "ROWS": rows}
        tables += "".join(f"#define GALENIC_{name} {size}\n" for name, size in sizes.items())
    folder = resources.files("controllers.optimal_control")
    files = ("rti_solver", *(_OWN if riccati else _NONE), "rti_program", "rti_memory", "rti_kernel")
    kernel = "\n".join(folder.joinpath(f"{name}.c").read_text(encoding="utf-8") for name in files)
    return str(generator.dump()) + tables + kernel
