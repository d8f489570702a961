"""The documentation page and the icon of an exported controller."""

from __future__ import annotations

import html
import importlib.metadata
import inspect
import math
from pathlib import Path

import fmus.documentation
from controllers.estimation.ekf import ExtendedKalmanFilter
from controllers.export.interface import REASONS, RUNGS, Interface
from controllers.export.source import ExportedMPC
from controllers.linear.dynamic import DynamicOptimizer
from controllers.linear.estimator import Estimator
from controllers.linear.law import LinearLaw
from controllers.linear.target import TargetOptimizer
from controllers.nonlinear.formulation import Formulation
from controllers.nonlinear.harvest import HarvestChooser
from controllers.nonlinear.law import NonlinearLaw
from controllers.nonlinear.steady_target import SteadyTargetOptimizer
from controllers.operation.reasons import REASON_WORDS, RUNG_WORDS
from fmus.documentation import icon_files, icon_svg
from fmus.documentation.prose import prose
from fmus.documentation.tables import Row, name_cell, plain_table, variable_table
from fmus.model import UnitModel
from fmus.slots import Slot

_STYLE = Path(fmus.documentation.__file__).with_name("style.css")
#: The text of the section "How it is used".
USE = """
A controller that is executed every {period:g} s, counted from the start of the run, for Co-Simulation with FMI
{fmi}.0. It needs no Python and nothing but the C library; the code is in ``sources/``, too.

An execution falls at the beginning of the communication step that contains its instant, with the inputs as they are
set when the step begins; the outputs after that step are its answer and hold until the next one. The communication
step may be a divisor or a multiple of the period, or neither, and may change. What the plant sees is one
communication step late where the importer exchanges all values after a step (Jacobi), and not late where the
controller is stepped before the plant (Gauss-Seidel): choose a communication step that is small against the period,
or that order.

Connect each ``.measured`` input to a measurement, and its ``.sample`` input to a number that changes whenever there
is a new value (a counter). Without a counter from the plant set another number in every period. A value that is not
finite (NaN), out of range, frozen or too fast, as the table of measurements says, is left out and the model's
prediction stands for it.

``mode`` is 0 off, 1 shadow, 2 advisory, 3 closed; its outputs are its answers where it is closed. Until
``start_after`` it only estimates. Without an answer (``active`` false, ``status`` says why) the outputs are the
``fallback.`` inputs if ``fallback_connected`` is set, else the last values; always within the bounds. The moves are
limited by ``max_move`` in each period while it is active. References, bounds, move limits and soft limits may be
changed between steps; weights, horizons and the model are compiled in.

A state of the FMU (get, set, serialise) is everything the controller knows. Instances share nothing.

Where a solve fails it goes down the fallback ladder of `galenic run`: a plan with limits relaxed by rank, the last
plan shifted on, the fallback inputs (for the linear law without them its linear backup), holding, the safe state,
which another ``mode`` leaves. It does not have advice that waits for a person, a deadline, and the record of each
step.
"""


def controller_page(name: str, description: str, mpc: ExportedMPC, slots: list[Slot | None], fmi: int) -> str:
    """The page ``documentation/index.html``: one HTML file that needs nothing else."""
    sections = [
        ("use", "How it is used", prose(USE.format(period=mpc.period, fmi=fmi))),
        ("law", "The control law", _law() if isinstance(mpc.law, LinearLaw) else _nonlinear_law(mpc.law)),
        (
            "settings",
            "Settings",
            _settings(mpc, mpc.law) if isinstance(mpc.law, LinearLaw) else _nonlinear(mpc, mpc.law),
        ),
        ("inputs", "Inputs", _variables(slots, "input", fmi)),
        ("parameters", "Parameters", _variables(slots, "parameter", fmi)),
        ("outputs", "Outputs", _variables(slots, "output", fmi)),
        ("codes", "Codes", _codes()),
        ("licence", "Version and licence", _licence(name, fmi)),
    ]
    contents = "".join(f'<li><a href="#{key}">{title}</a></li>' for key, title, _ in sections)
    body = "\n".join(f'<section id="{key}">\n<h2>{title}</h2>\n{text}\n</section>' for key, title, text in sections)
    line = (
        f"FMI {fmi}.0 Co-Simulation, executed every {mpc.period:g} s; manipulated inputs: {len(mpc.targets)}, "
        f"measurements: {len(mpc.measured)}"
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8"/>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"/>\n<title>{html.escape(name)}</title>\n'
        f"<style>\n{_STYLE.read_text(encoding='utf-8')}</style>\n</head>\n<body>\n"
        f"<header>\n{icon_svg(UnitModel(name=name, description=description))}\n<div>\n<h1>{html.escape(name)}</h1>\n"
        f'<p class="lead">{html.escape(description)}</p>\n<p class="quiet">{line}</p>\n</div>\n</header>\n'
        f"<nav>\n<ul>{contents}</ul>\n</nav>\n{body}\n</body>\n</html>\n"
    )


def controller_icon(name: str, interface: Interface, fmi: int) -> dict[str, bytes]:
    """Images by their names in the FMU: those of a unit with these inputs and outputs."""
    model = UnitModel(name=name, description="")
    for variable in interface.inputs:
        model.input(variable.name, 0.0, variable.unit, variable.description)
    for variable in interface.outputs:
        model.output(variable.name, 0.0, variable.unit, variable.description)
    return icon_files(model, fmi)


def _law() -> str:
    parts = []
    for title, part in (
        ("Estimation", Estimator),
        ("Target", TargetOptimizer),
        ("Path to the target", DynamicOptimizer),
    ):
        text, _, _ = inspect.cleandoc(part.__doc__ or "").partition("\nArgs:")
        parts.append(f"<h3>{title}</h3>\n{prose(text)}")
    parts.append(
        "<p>Both programs are strictly convex and are solved by the dual active-set method of Goldfarb and Idnani "
        "(1983), in <code>sources/quadratic_program.c</code>, without memory between periods: the answer is refined "
        "with the factors of the active set and checked, or not used.</p>"
    )
    return "\n".join(parts)


def _settings(mpc: ExportedMPC, law: LinearLaw) -> str:
    objective, estimator, dynamic = law._objective, law.estimator, law._dynamic
    inputs = [
        (
            name_cell(u.name),
            *map(_number, (u.low, u.high, u.max_move)),
            html.escape(u.unit),
            *map(_number, (given.scale, given.weight_move, given.ideal, given.weight_ideal, given.weight_target)),
        )
        for u, given in zip(law.inputs, objective.inputs, strict=True)
    ]
    outputs = [
        (
            name_cell(law.outputs[y.index].name),
            "yes" if y.tracked else "no",
            *map(_number, (y.weight if y.tracked else math.nan, *y.limits)),
            _number(y.limit_weight) if y.limited else "",
            _number(y.scale),
            html.escape(law.outputs[y.index].unit),
        )
        for y in objective.outputs
    ]
    measured = [
        (
            name_cell(p.checks.name),
            _number(m.std),
            html.escape(law.outputs[m.output].unit),
            f"{m.delay * mpc.period:g} s",
            "" if m.gate is None else f"{m.gate:g}",
            f"{_number(p.checks.low)} to {_number(p.checks.high)}",
            str(p.checks.frozen_after or ""),
            _number(p.checks.max_rate),
            str(p.checks.max_missed) if p.checks.needed else "any",
            "" if math.isinf(p.checks.max_age) else f"{p.checks.max_age:g} s",
        )
        for m, p in zip(estimator._measurements, mpc.measured, strict=True)
    ]
    steps, blocks = len(dynamic._theta), dynamic._shape[0]
    return "\n".join(
        [
            f"<p>Model of order {estimator._n} with {estimator._nd} integrating disturbances; prediction horizon "
            f"{steps * mpc.period:g} s ({steps} periods), {blocks} blocks of moves; the quadratic programs have "
            f"{len(law._target._qp._h)} and {len(dynamic._qp._h)} variables.</p>",
            "<h3>Manipulated inputs</h3>",
            plain_table(
                (
                    "input",
                    "min",
                    "max",
                    "max_move",
                    "unit",
                    "scale",
                    "move weight",
                    "ideal",
                    "ideal weight",
                    "rest weight",
                ),
                inputs,
            ),
            "<h3>Controlled outputs</h3>",
            plain_table(("output", "reference", "weight", "min", "max", "limit weight", "scale", "unit"), outputs),
            "<h3>Measurements</h3>",
            plain_table(
                (
                    "output",
                    "noise",
                    "unit",
                    "late",
                    "gate",
                    "range",
                    "frozen after",
                    "fastest, per s",
                    "may miss",
                    "oldest",
                ),
                measured,
            ),
            "<h3>Disturbances</h3>",
            plain_table(
                ("disturbance", "unit", "standard deviation of a period"),
                [
                    (name_cell(d.name), html.escape(d.unit), _number(math.sqrt(v)))
                    for d, v in zip(law.disturbances, estimator._disturbances.variance, strict=True)
                ],
            ),
        ]
    )


def _nonlinear_law(law: NonlinearLaw) -> str:
    parts = []
    described: list[tuple[str, type]] = [("Estimation", ExtendedKalmanFilter), ("Optimal control", Formulation)]
    if law._target is not None:
        described.insert(1, ("Target", SteadyTargetOptimizer))
    if law._chooser is not None:
        described.append(("Harvest", HarvestChooser))
    for title, part in described:
        text, _, _ = inspect.cleandoc(part.__doc__ or "").partition("\nArgs:")
        parts.append(f"<h3>{title}</h3>\n{prose(text)}")
    parts.append(
        "<p>Each execution linearises the stages at the last plan, shifted, eliminates the states and solves one "
        "quadratic program, as the controller's engine does (more iterations at the start, several passes where there "
        "are economic terms); the programs by the dual active-set method of Goldfarb and Idnani (1983), in "
        "<code>sources/quadratic_program.c</code>.</p>"
    )
    return "\n".join(parts)


def _nonlinear(mpc: ExportedMPC, law: NonlinearLaw) -> str:
    s = law.specification
    inputs = [
        (
            name_cell(u.input),
            *map(_number, (*u.bounds, u.max_move)),
            html.escape(u.unit),
            *map(_number, (u.scale, u.weight_move)),
        )
        for u in s.manipulated
    ]
    outputs = [
        (name_cell(y.output), *map(_number, (y.weight, y.terminal_weight, *y.limits, y.limit_weight, y.scale)))
        for y in s.controlled
    ]
    measured = [
        (
            name_cell(c.output),
            _number(c.std),
            _number(c.relative_std),
            f"{c.delay * mpc.period:g} s",
            _number(c.gate_squared),
        )
        for c in law.estimator.channels
    ]
    states = [
        (name_cell(x.name), html.escape(x.unit), *map(_number, (x.nominal, x.low, x.high, x.noise, x.relative_noise)))
        for x in law.model.states
    ]
    batch = law.specification.batch
    grid = ", ".join(f"{d:g}" for d in law._horizon.durations(math.inf if batch is None else batch.duration))
    return "\n".join(
        [
            f"<p>Stages of {grid} s.</p>",
            "<h3>Manipulated inputs</h3>",
            plain_table(("input", "min", "max", "max_move", "unit", "scale", "move weight"), inputs),
            "<h3>Controlled outputs</h3>",
            plain_table(("output", "weight", "weight at the end", "min", "max", "limit weight", "scale"), outputs),
            "<h3>Measurements</h3>",
            plain_table(("output", "noise", "noise, relative", "late", "gate, chi-square"), measured),
            "<h3>States and disturbances</h3>",
            plain_table(("state", "unit", "nominal", "min", "max", "noise in an hour", "relative"), states),
        ]
    )


def _number(value: float) -> str:
    return f"{value:.6g}" if math.isfinite(value) else ""


def _variables(slots: list[Slot | None], causality: str, fmi: int) -> str:
    found = [
        Row(reference, [slot.variable])
        for reference, slot in enumerate(slots)
        if slot is not None and slot.variable is not None and slot.causality == causality
    ]
    return variable_table(found, fmi, calculated="")


def _codes() -> str:
    lines = [("reason, status", str(int(code)), REASON_WORDS[code]) for code in REASONS]
    lines += [("rung", str(int(code)), RUNG_WORDS[code]) for code in RUNGS]
    return plain_table(("output", "value", "meaning"), lines)


def _licence(name: str, fmi: int) -> str:
    about = importlib.metadata.metadata("galenic")
    return (
        f"<p><code>{html.escape(name)}</code> was exported by Galenic {html.escape(about['Version'])} as an FMI "
        f"{fmi}.0 FMU. Licence: {html.escape(about['License-Expression'] or 'that of Galenic')}.</p>"
    )
