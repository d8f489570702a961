"""The model description: schema, FMPy's rules, and what importers ask of variables."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

from fmus.check.verdict import Verdict, shortened

SCHEMA, RULES, VARIABLES = "XML schema", "FMPy validation", "variables"
_FROM_SCHEMA = re.compile(r"(NONE|WARNING|ERROR|FATAL)\w* \(line ")
_REALS = {"Real", "Float32", "Float64"}


def read_description(file: Path) -> Any:
    """FMPy's model description, whatever the schema says about it. Raises what FMPy raises."""
    from fmpy import read_model_description

    return read_model_description(str(file), validate=False)


def check_description(file: Path) -> list[Verdict]:
    """The verdicts of the schema, of FMPy, and on the variables."""
    schema = [p for p in _schema_problems(file) if _FROM_SCHEMA.match(p)]
    try:
        description = read_description(file)
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        broken = Verdict.judged(SCHEMA, schema or [f"modelDescription.xml cannot be read: {reason}"], [], "")
        why = "modelDescription.xml cannot be read"
        return [broken, Verdict.skipped(RULES, why), Verdict.skipped(VARIABLES, why)]
    fine = f"valid FMI {description.fmiVersion}"
    return [Verdict.judged(SCHEMA, schema, [], fine), _rules(file, bool(schema)), _variables(description)]


def _schema_problems(file: Path) -> list[str]:
    from fmpy import read_model_description
    from fmpy.model_description import ValidationError

    try:
        read_model_description(str(file), validate=True)
    except ValidationError as error:
        return [str(p) for p in error.problems]
    except Exception:
        return []
    return []


def _rules(file: Path, schema_failed: bool) -> Verdict:
    from fmpy.validation import validate_fmu

    if schema_failed:
        return Verdict.skipped(RULES, "FMPy stops at the schema")
    problems = [str(p).rstrip(".") for p in validate_fmu(str(file))]
    return Verdict.judged(RULES, problems, [], "names, structure, starts and units in order")


def _variables(description: Any) -> Verdict:
    failures, warnings = [], []
    units = {unit.name for unit in description.unitDefinitions}
    reals = [v for v in description.modelVariables if v.type in _REALS]
    unitless = 0
    for variable in description.modelVariables:
        unit = variable.unit or getattr(variable.declaredType, "unit", None)
        if variable.type in _REALS and unit is None:
            unitless += variable.causality != "independent"
        elif unit is not None and unit not in units:
            failures.append(f"'{variable.name}': its unit '{unit}' is not defined")
        if variable.type == "Clock":
            continue
        if variable.causality in {"input", "parameter", "structuralParameter"} and variable.start is None:
            failures.append(f"'{variable.name}' is {_a(variable.causality)} without start value")
        if variable.initial == "calculated" and variable.start is not None:
            failures.append(f"'{variable.name}' is calculated and has a start value")
    bare = [u.name for u in description.unitDefinitions if u.baseUnit is None]
    if bare:
        warnings.append(f"no base unit for {shortened(bare, ', ')}: importers cannot convert")
    if unitless:
        warnings.append(f"{unitless} of {len(reals)} Reals have no unit")
    counts = Counter(str(v.causality or "local") for v in description.modelVariables)
    fine = ", ".join(f"{count} {causality}" for causality, count in counts.items())
    return Verdict.judged(VARIABLES, failures, warnings, f"{fine}; {len(units)} units defined")


def _a(causality: str) -> str:
    return ("an " if causality[0] in "aeiou" else "a ") + causality
