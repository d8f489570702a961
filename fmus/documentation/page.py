"""The documentation page of an FMU: one HTML file that needs nothing else, with the equations as MathML."""

from __future__ import annotations

import html
import importlib.metadata
from pathlib import Path

from fmus.documentation import markup as ml
from fmus.documentation.equations import MOST_OPERATIONS, Formula, ModelEquations
from fmus.documentation.icon import icon_svg
from fmus.documentation.prose import prose
from fmus.documentation.tables import name_cell, plain_table, rows, variable_table
from fmus.documentation.usage import usage
from fmus.model import UnitModel

_STYLE = Path(__file__).with_name("style.css")


def documentation_page(model: UnitModel, fmi: int) -> str:
    """The page ``documentation/index.html`` of ``model`` as an FMU of version ``fmi``, 2 or 3."""
    sections = [
        ("about", "What it is", prose(model.documentation)),
        ("use", "How it is used", usage(model, fmi)),
        ("equations", "Equations", _equations(model)),
        ("inputs", "Inputs", variable_table(rows(model, "input"), fmi)),
        ("parameters", "Parameters", variable_table(rows(model, "parameter"), fmi)),
        ("states", "States and unknowns", _local(model, fmi)),
        ("outputs", "Outputs", variable_table(rows(model, "output"), fmi, calculated="")),
        ("enumerations", "Enumerations", _enumerations(model)),
        ("terminals", "Terminals", _terminals(model)),
        ("licence", "Version and licence", _licence(model, fmi)),
    ]
    present = {
        "inputs": model.inputs,
        "parameters": model.parameters,
        "states": [*model.states, *model.algebraics],
        "outputs": model.outputs,
    }
    kept = [s for s in sections if s[2] and present.get(s[0], True)]
    contents = "".join(f'<li><a href="#{key}">{title}</a></li>' for key, title, _ in kept)
    body = "\n".join(f'<section id="{key}">\n<h2>{title}</h2>\n{text}\n</section>' for key, title, text in kept)
    name, description = html.escape(model.name), html.escape(model.description)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8"/>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"/>\n<title>{name}</title>\n'
        f"<style>\n{_STYLE.read_text(encoding='utf-8')}</style>\n</head>\n<body>\n"
        f"<header>\n{icon_svg(model)}\n<div>\n<h1>{name}</h1>\n"
        f'<p class="lead">{description}</p>\n<p class="quiet">{_line(model, fmi)}</p>\n</div>\n</header>\n'
        f"<nav>\n<ul>{contents}</ul>\n</nav>\n{body}\n</body>\n</html>\n"
    )


def _line(model: UnitModel, fmi: int) -> str:
    counts = [
        (len(rows(model, "input")), "input"),
        (len(rows(model, "parameter")), "parameter"),
        (len(model.continuous_states), "continuous state"),
        (len(model.states) - len(model.continuous_states), "discrete state"),
        (len(model.algebraics), "implicit equation"),
        (len(model.events), "event"),
        (len(rows(model, "output")), "output"),
    ]
    texts = [f"{n} {what}{'' if n == 1 else 's'}" for n, what in counts if n]
    return f"FMI {fmi}.0, Co-Simulation and Model Exchange; {', '.join(texts)}"


def _equations(model: UnitModel) -> str:
    equations = ModelEquations(model)
    if equations.operations > MOST_OPERATIONS:
        return (
            f"<p>The equations hold {equations.operations} operations. More than {MOST_OPERATIONS} are not printed "
            f"here; they are in <code>sources/equations.c</code>.</p>"
        )
    parts = [
        "<p>Made from the expressions that the FMU computes, so that they are what it does. Every quantity is in the "
        f"unit that the tables below state; numbers are printed to {ml.DIGITS} digits. "
        f"<math>{ml.identifier(equations.time)}</math> is time in seconds.</p>"
    ]
    if equations.has_means:
        parts.append(
            f"<p><math>{ml.fenced('<mi>x</mi>', '⟨', '⟩')}</math> is the mean of x over the last communication step; "
            "before the first step, and in Model Exchange, the present value.</p>"
        )
    if equations.has_brackets:
        parts.append("<p>A condition in square brackets is 1 where it holds and 0 elsewhere.</p>")
    for section in equations.sections:
        parts.append(f"<h3>{section.title}</h3>")
        if section.text:
            parts.append(f"<p>{section.text}</p>")
        for entry in section.entries:
            if entry.heading:
                parts.append(f"<h4>{html.escape(entry.heading)}</h4>")
            parts.append(_formula(entry.formula))
            if entry.auxiliaries:
                lines = "\n".join(map(_formula, entry.auxiliaries))
                parts.append(f'<div class="with">\n<p class="with-label">with</p>\n{lines}\n</div>')
    return "\n".join(parts)


def _formula(formula: Formula) -> str:
    sign = ml.operator(formula.sign) if formula.sign else ""
    if len(formula.right) == 1:
        inner = f"<mrow>{formula.left}{sign}{formula.right[0]}</mrow>"
    else:
        first, *more = formula.right
        lines = [(formula.left, sign, first), *(("", "", line) for line in more)]
        table = "".join(f"<mtr>{''.join(f'<mtd>{cell}</mtd>' for cell in line)}</mtr>" for line in lines)
        inner = f'<mtable class="lines" displaystyle="true">{table}</mtable>'
    note = f' <span class="note">{html.escape(formula.note)}</span>' if formula.note else ""
    return f'<div class="equation"><math displaystyle="true">{inner}</math>{note}</div>'


def _local(model: UnitModel, fmi: int) -> str:
    found = rows(model, "local")
    continuous = {s.variable.name for s in model.continuous_states}
    discrete = {s.variable.name for s in model.states} - continuous
    groups = [
        ("Continuous states", [r for r in found if r.first.name in continuous]),
        ("Discrete states, which change in events only", [r for r in found if r.first.name in discrete]),
        ("Unknowns of implicit equations", [r for r in found if r.first.name not in continuous | discrete]),
    ]
    return "\n".join(f"<h3>{title}</h3>\n{variable_table(some, fmi)}" for title, some in groups if some)


def _enumerations(model: UnitModel) -> str:
    lines = [
        (name_cell(row.first.name), str(value), f"<code>{html.escape(item)}</code>")
        for causality in ("input", "parameter", "local", "output")
        for row in rows(model, causality)
        for value, item in enumerate(row.first.items)
    ]
    return plain_table(("variable", "value", "item"), lines) if lines else ""


def _terminals(model: UnitModel) -> str:
    lines = [
        (
            name_cell(t.name),
            html.escape(t.kind),
            "<br/>".join(f"{html.escape(m)}: {name_cell(v)}" for m, v in t.members.items()),
            html.escape(t.description),
        )
        for t in model.terminals
    ]
    text = "<p>Variables that are connected together; terminals of one kind fit each other, member by member.</p>\n"
    return text + plain_table(("name", "kind", "members", "description"), lines) if lines else ""


def _licence(model: UnitModel, fmi: int) -> str:
    about = importlib.metadata.metadata("galenic")
    return (
        f"<p><code>{html.escape(model.name)}</code> was exported by Galenic {html.escape(about['Version'])} "
        f"as an FMI {fmi}.0 FMU. Licence: {html.escape(about['License-Expression'] or 'that of Galenic')}.</p>"
    )
