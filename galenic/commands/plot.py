"""`galenic plot`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cosim import Results

EPILOG = """Examples:

    galenic plot runs/tablet_line-20250101-120000

    galenic plot runs/with_mpc runs/without_mpc --out both.png"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("plot", epilog=EPILOG)(plot)


def plot(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    run_b: Annotated[Path | None, typer.Argument(help="Folder of another run, drawn over it.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="PNG to write. Default: figure.png in RUN; overlay.png for two runs.")
    ] = None,
) -> None:
    """Draw the figure of a run again, or lay two runs over each other. Works for interrupted runs too."""
    from cosim import Results
    from galenic import session
    from galenic.console import output
    from galenic.figure import Curve, draw

    results = Results.open(run)
    scenario = session.scenario_of(results)
    if run_b is None:
        file = session.draw_run(session.finish(scenario, run), scenario, out)
    else:
        other = Results.open(run_b)
        labels = [_label(r) for r in (results, other)]
        if labels[0] == labels[1]:
            labels = [run.name, run_b.name]
        curves = [Curve(label, r) for label, r in zip(labels, (results, other), strict=True)]
        file = draw(scenario, curves, out or run / "overlay.png", title=f"{labels[0]}   against   {labels[1]}")
    output().print(str(file), soft_wrap=True, markup=False)


def _label(results: Results) -> str:
    metadata = results.metadata
    removed = metadata.get("without") or []
    return f"{metadata['scenario']}, seed {metadata['seed']}" + (f", without {', '.join(removed)}" if removed else "")
