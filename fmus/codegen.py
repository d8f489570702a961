"""C sources of a unit model: `equations.c` from CasADi, `model.h` with sizes and tables for the fixed runtime."""

from __future__ import annotations

import contextlib
import io
import json
import math
import tempfile
from pathlib import Path

import casadi as ca

from fmus.equations import UnitFunctions, unit_functions
from fmus.errors import GalenicError
from fmus.model import UnitModel

RUNTIME = Path(__file__).parent / "runtime"


def generate_sources(model: UnitModel, functions: UnitFunctions, guid: str) -> dict[str, str]:
    """The C sources of ``model`` with its ``functions``: file name -> text. ``guid`` ties binary and description."""
    used = [
        functions.initial,
        functions.algebraic,
        functions.integrand,
        functions.outputs,
        functions.indicators,
        functions.transition,
        functions.step,
        functions.sensitivity,
    ]
    generator = ca.CodeGenerator("equations", {"with_header": False, "verbose": False})
    for function in used:
        generator.add(function)
    with tempfile.TemporaryDirectory() as folder:
        generator.generate(folder + "/")
        equations = (Path(folder) / "equations.c").read_text(encoding="utf-8")
    return {
        "equations.c": equations,
        "model.h": _model_header(model, guid, used),
        "fmi2.c": (RUNTIME / "fmi2.c").read_text(encoding="utf-8"),
    }


def unit_functions_quietly(model: UnitModel) -> UnitFunctions:
    """`unit_functions` without CasADi's remark that its event support is experimental, which our tests cover."""
    heard = io.StringIO()
    with contextlib.redirect_stderr(heard), contextlib.redirect_stdout(heard):
        functions = unit_functions(model)
    rest = [line for line in heard.getvalue().splitlines() if "Event support is experimental" not in line]
    if any("WARNING" in line for line in rest):
        raise GalenicError(f"CasADi warns about '{model.name}': " + " ".join(rest))
    return functions


def _model_header(model: UnitModel, guid: str, used: list[ca.Function]) -> str:
    variables = model.variables
    exact_states = {s.variable.name for s in model.states if s.initial is None}
    settable = [v.causality in ("input", "parameter") or v.name in exact_states for v in variables]
    sizes = {
        "N_U": len(model.inputs),
        "N_P": len(model.parameters),
        "N_X": len(model.states),
        "N_Z": len(model.algebraics),
        "N_Y": len(model.outputs),
        "N_Q": len(model.means),
        "N_E": len(model.events),
        "SZ_ARG": max(f.sz_arg() for f in used),
        "SZ_RES": max(f.sz_res() for f in used),
        "SZ_IW": max(f.sz_iw() for f in used),
        "SZ_W": max(f.sz_w() for f in used),
    }
    lines = [
        "/* generated: sizes and tables of one unit model */",
        "#ifndef GALENIC_MODEL_H",
        "#define GALENIC_MODEL_H",
    ]
    lines += [f"#define {name} {value}" for name, value in sizes.items()]
    lines += [f"#define MODEL_NAME {_text(model.name)}", f"#define MODEL_GUID {_text(guid)}"]
    lines += [
        _table("double", "model_start", [_number(v.start if v.start is not None else 0.0) for v in variables]),
        _table("double", "model_min", [_number(-math.inf if v.minimum is None else v.minimum) for v in variables]),
        _table("double", "model_max", [_number(math.inf if v.maximum is None else v.maximum) for v in variables]),
        _table("char", "model_kind", [f"'{v.kind[0]}'" for v in variables]),
        _table("char", "model_settable", [str(int(s)) for s in settable]),
        _table("char *const", "model_names", [_text(v.name) for v in variables]),
        _table("char *const", "model_units", [_text(v.unit) for v in variables]),
        "#endif",
    ]
    return "\n".join(lines) + "\n"


def _table(kind: str, name: str, items: list[str]) -> str:
    return f"static const {kind} {name}[] = {{{', '.join(items) or '0'}}};"


def _number(value: float) -> str:
    return repr(value) if math.isfinite(value) else ("INFINITY" if value > 0 else "-INFINITY")


def _text(value: str) -> str:
    return json.dumps(value)
