"""`galenic replay`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from galenic.commands.calibrate import PARAMETER_FILE, check_unit, default_folder

EPILOG = """Examples:

    galenic replay tablet_press --data tableting --product 3

    galenic replay tablet_press --data tableting --product 3 --parameters my.yaml --batches 325,326"""

FIGURE_FILE = "replay.png"
SCORES_FILE = "replay_scores.csv"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("replay", epilog=EPILOG)(replay)


def replay(
    unit: Annotated[str, typer.Argument(help="The unit model to replay: tablet_press.")],
    data: Annotated[Path, typer.Option(help="Folder with process_<product>.csv, Laboratory.csv and Process.csv.")],
    product: Annotated[int, typer.Option(help="The product code.")],
    parameters: Annotated[
        Path | None,
        typer.Option(help="Parameter file of `galenic calibrate`. Default: the one that it writes below ./calibration"),
    ] = None,
    batches: Annotated[
        str, typer.Option(help="Batch numbers such as 325,326. Default: all that the calibration did not see.")
    ] = "",
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to. Default: ./calibration/tablet_press_product_<product>")
    ] = None,
    no_plot: Annotated[bool, typer.Option("--no-plot", help="Draw no figure.")] = False,
) -> None:
    """Drive a unit's FMU with recorded batches and compare its outputs with the records."""
    from galenic import calibration_tables as tables
    from galenic.console import messages, output
    from galenic.progress import count_progress
    from twin.press_replay import replay_press

    check_unit(unit)
    console, notes = output(), messages()
    folder = out or default_folder(unit, product)
    file = parameters or default_folder(unit, product) / PARAMETER_FILE
    with count_progress(notes, "Replaying recorded batches", 1.0) as report:
        result = replay_press(
            file, data, product, parse_batches(batches), progress=lambda done, total: report(done / total)
        )
    for renderable in tables.replay_report(result):
        console.print(renderable)
    folder.mkdir(parents=True, exist_ok=True)
    result.scores.to_csv(folder / SCORES_FILE, index=False, float_format="%.6g")
    console.print(f"Scores: {folder / SCORES_FILE}", soft_wrap=True, markup=False)
    if not no_plot:
        from twin.press_figures import draw_replay

        figure = draw_replay(result, folder / FIGURE_FILE)
        console.print(f"Figure: {figure}", soft_wrap=True, markup=False)


def parse_batches(text: str) -> list[int] | None:
    """Batch numbers separated by commas, or None for an empty text. Raises GalenicError."""
    from fmus.errors import GalenicError

    if not text:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise GalenicError(f"'{text}' is not a list of batch numbers", cure="write 325,326") from error
