"""C sources of a unit model: `equations.c` from CasADi, `model.h` and `identity.h` for the fixed runtime."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import tempfile
from pathlib import Path

import casadi as ca

from fmus.equations import UnitFunctions, unit_functions
from fmus.errors import GalenicError
from fmus.model import UnitModel
from fmus.pruning import prune
from fmus.slots import variable_slots

RUNTIME = Path(__file__).parent / "runtime"
UNIT_SOURCES = ("unit.c", "unit.h")
IDENTITY = "identity.h"


def generate_sources(model: UnitModel, functions: UnitFunctions, guid: str, fmi: int) -> dict[str, str]:
    """The C sources of ``model`` with its ``functions``: file name -> text. ``guid`` ties binary and description."""
    used = [f for f in vars(functions).values() if f is not None]
    # the file's name is the prefix of what CasADi does not make static
    prefix = f"{model.name}_equations"
    generator = ca.CodeGenerator(prefix, {"with_header": False, "verbose": False})
    for function in used:
        generator.add(function)
    with tempfile.TemporaryDirectory() as folder:
        generator.generate(folder + "/")
        equations = (Path(folder) / f"{prefix}.c").read_text(encoding="utf-8")
    fixed = [main_source(fmi), *UNIT_SOURCES, *(["erk.c"] if _own_erk(model) else [])]
    return {
        **{name: (RUNTIME / name).read_text(encoding="utf-8") for name in fixed},
        "equations.c": prune(equations),
        "model.h": _model_header(model, used),
        IDENTITY: _identity_header(guid),
    }


def main_source(fmi: int) -> str:
    """The one file in ``sources/`` to compile; it includes the others."""
    return f"fmi{fmi}.c"


def unit_functions_quietly(model: UnitModel) -> UnitFunctions:
    """`unit_functions` without CasADi's remark that its event support is experimental, which our tests cover."""
    heard = io.StringIO()
    with contextlib.redirect_stderr(heard), contextlib.redirect_stdout(heard):
        functions = unit_functions(model)
    rest = [line for line in heard.getvalue().splitlines() if "Event support is experimental" not in line]
    if any("WARNING" in line for line in rest):
        raise GalenicError(f"CasADi warns about '{model.name}': " + " ".join(rest))
    return functions


def _own_erk(model: UnitModel) -> bool:
    """Whether the runtime's own loop takes the steps; CasADi's takes those that events may end."""
    return model.integrator == "erk" and bool(model.states) and not model.events


def _identity_header(guid: str) -> str:
    """What ties binary and description together: apart from model.h, because the equations' object does not hold it."""
    key = hashlib.sha256(guid.encode()).hexdigest()[:16]
    lines = ["/* generated: what ties the binary to its description */"]
    lines += [f"#define MODEL_GUID {_text(guid)}", f"#define MODEL_KEY 0x{key}ULL"]
    return "\n".join(lines) + "\n"


def _model_header(model: UnitModel, used: list[ca.Function]) -> str:
    slots = variable_slots(model)
    derived = [i for i, s in enumerate(model.states) if s.derivative is not None]
    sizes = {
        "N_U": len(model.inputs),
        "N_P": len(model.parameters),
        "N_X": len(model.states),
        "N_Z": len(model.algebraics),
        "N_Y": len(model.outputs),
        "N_D": len(derived),
        "N_E": len(model.events),
        "N_Q": len(model.means),
        "OWN_ERK": int(_own_erk(model)),
        "ABSOLUTE_TOLERANCE": model.absolute_tolerance,
        "RELATIVE_TOLERANCE": model.relative_tolerance,
        "SZ_ARG": max(f.sz_arg() for f in used),
        "SZ_RES": max(f.sz_res() for f in used),
        "SZ_IW": max(f.sz_iw() for f in used),
        "SZ_W": max(f.sz_w() for f in used),
    }
    lines = [
        "/* generated: sizes and tables of one unit model */",
        "#ifndef GALENIC_MODEL_H",
        "#define GALENIC_MODEL_H",
        f'#include "{IDENTITY}"',
    ]
    lines += [f"#define {name} {value}" for name, value in sizes.items()]
    lines += [
        f"#define MODEL_NAME {_text(model.name)}",
        _table("double", "model_start", [_number(s.start) for s in slots]),
        _table("double", "model_min", [_number(s.minimum) for s in slots]),
        _table("double", "model_max", [_number(s.maximum) for s in slots]),
        _table("double", "model_nominal", [_number(s.variable.nominal) for s in model.states]),
        "/* R real, I integer, B boolean, E enumeration */",
        _table("char", "model_kind", [f"'{s.kind[0]}'" for s in slots]),
        "/* when it may be set: 1 before the run, 2 at events and between steps, 4 in continuous time; 8 to NaN too */",
        _table("char", "model_settable", [str(s.settable) for s in slots]),
        "/* FMI 3.0: how many values a reference has; 0 inside an array */",
        _table("unsigned", "model_width", [str(s.width) for s in slots]),
        "/* the states that only events change, and those that have a derivative */",
        _table("char", "model_discrete", [str(int(s.derivative is None)) for s in model.states]),
        _table("int", "model_derived", [str(i) for i in derived]),
        _table("char *const", "model_names", [_text(s.name) for s in slots]),
        _table("char *const", "model_units", [_text(s.unit) for s in slots]),
        _table("char *const", "model_events", [_text(e.name) for e in model.events]),
        "#endif",
    ]
    return "\n".join(lines) + "\n"


def _table(kind: str, name: str, items: list[str]) -> str:
    return f"static const {kind} {name}[] = {{{', '.join(items) or '0'}}};"


def _number(value: float) -> str:
    return repr(value) if math.isfinite(value) else ("INFINITY" if value > 0 else "-INFINITY")


def _text(value: str) -> str:
    return json.dumps(value)
