"""The model description: schema, FMPy's rules, and what importers ask of variables."""

from __future__ import annotations

import re
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from fmus.check.verdict import Verdict, shortened

SCHEMA, RULES, VARIABLES, STRUCTURE = "XML schema", "FMPy validation", "variables", "model structure"
_FROM_SCHEMA = re.compile(r"(NONE|WARNING|ERROR|FATAL)\w* \(line ")
_REALS = {"Real", "Float32", "Float64"}


def read_description(file: Path) -> Any:
    """FMPy's model description, whatever the schema says about it. Raises what FMPy raises."""
    with _alone(file) as xml:
        from fmpy import read_model_description

        description = read_model_description(str(xml), validate=False)
        # attributes of FMI 3.0 that FMPy does not read
        root = ElementTree.parse(xml).getroot()
    for tag, attribute in (("CoSimulation", "coSimulation"), ("ModelExchange", "modelExchange")):
        said, element = getattr(description, attribute), root.find(tag)
        if said is not None and element is not None and element.get("providesDirectionalDerivatives") in {"true", "1"}:
            said.providesDirectionalDerivative = True
    updated = {e.get("name") for e in root.iterfind("ModelVariables/*") if e.get("intermediateUpdate") in {"true", "1"}}
    unsigned = {e.get("name"): e for e in root.iterfind("ModelVariables/*") if e.tag.startswith("UInt")}
    for variable in description.modelVariables:
        variable.intermediateUpdate = variable.name in updated
        if (element := unsigned.get(variable.name)) is not None:
            variable.min, variable.max = element.get("min"), element.get("max")
    return description


@contextmanager
def _alone(file: Path) -> Iterator[Path]:
    """The model description in a file of its own: FMPy reads no other member of the archive with it then."""
    with tempfile.TemporaryDirectory(prefix="galenic-check-") as folder:
        xml = Path(folder) / "modelDescription.xml"
        with zipfile.ZipFile(file) as archive:
            xml.write_bytes(archive.read(xml.name))
        yield xml


def check_description(file: Path) -> list[Verdict]:
    """The verdicts of the schema, of FMPy, on the variables and on the model structure."""
    schema = [p for p in _schema_problems(file) if _FROM_SCHEMA.match(p)]
    try:
        description = read_description(file)
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        broken = Verdict.judged(SCHEMA, schema or [f"modelDescription.xml cannot be read: {reason}"], [], "")
        why = "modelDescription.xml cannot be read"
        return [broken, *(Verdict.skipped(check, why) for check in (RULES, VARIABLES, STRUCTURE))]
    fine = f"valid FMI {description.fmiVersion}"
    return [
        Verdict.judged(SCHEMA, schema, [], fine),
        _rules(file, bool(schema)),
        _variables(description),
        _structure(description),
    ]


def _schema_problems(file: Path) -> list[str]:
    from fmpy import read_model_description
    from fmpy.model_description import ValidationError

    try:
        with _alone(file) as xml:
            read_model_description(str(xml), validate=True)
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


def _structure(description: Any) -> Verdict:
    """What a solver takes from the model structure: states, their derivatives, event indicators."""
    failures, seen = [], set[int]()
    for unknown in description.derivatives:
        derivative, state = unknown.variable, unknown.variable.derivative
        if id(derivative) in seen:
            failures.append(f"the derivative '{derivative.name}' is listed twice")
        seen.add(id(derivative))
        if state is None:
            failures.append(f"'{derivative.name}' is listed as a derivative and does not say of what")
            continue
        for variable in (derivative, state):
            if variable.type not in _REALS or variable.variability != "continuous":
                failures.append(f"'{variable.name}' is a {variable.variability} {variable.type}, not a continuous Real")
        if derivative.shape != state.shape:
            failures.append(f"'{derivative.name}' and its state '{state.name}' have different sizes")
        if state.causality in {"input", "parameter", "independent"}:
            failures.append(f"the state '{state.name}' is {_a(state.causality)}")
    for unknown in description.eventIndicators:
        if unknown.variable.type not in _REALS:
            failures.append(f"the event indicator '{unknown.variable.name}' is no Real")
    states = [u.variable.derivative for u in description.derivatives if u.variable.derivative is not None]
    twice = {s.name for s in states if states.count(s) > 1}
    failures += [f"the state '{name}' has two derivatives" for name in sorted(twice)]
    fine = (
        f"{len(description.outputs)} outputs, {description.numberOfContinuousStates} states,"
        f" {description.numberOfEventIndicators} event indicators, {len(description.initialUnknowns)} initial unknowns"
    )
    return Verdict.judged(STRUCTURE, failures, [], fine)


def _a(causality: str) -> str:
    return ("an " if causality[0] in "aeiou" else "a ") + causality
