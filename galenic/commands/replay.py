"""`galenic replay`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from galenic.commands.calibrate import PARAMETER_FILE, Records, check_unit, default_folder, has_series

EPILOG = """Examples:

    galenic replay tablet_press --data tableting --product 3

    galenic replay tablet_press --data tableting --product 3 --parameters my.yaml --batches 325,326

    galenic replay tablet_press --data tableting --product 17"""

FIGURE_FILE = "replay.png"
SCORES_FILE = "replay_scores.csv"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("replay", epilog=EPILOG)(replay)


def replay(
    unit: Annotated[str, typer.Argument(help="The unit model to replay: tablet_press.")],
    data: Annotated[
        Path, typer.Option(help="Folder with Laboratory.csv, Process.csv and, where there are, process_<product>.csv.")
    ],
    product: Annotated[int, typer.Option(help="The product code.")],
    parameters: Annotated[
        Path | None,
        typer.Option(help="Parameter file of `galenic calibrate`. Default: the one that it writes below ./calibration"),
    ] = None,
    batches: Annotated[
        str, typer.Option(help="Batch numbers such as 325,326. Default: all that the calibration did not see.")
    ] = "",
    records: Annotated[
        Records | None,
        typer.Option(help="Replay the 10-second series or one row a batch. Default: the series where there is one."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to. Default: ./calibration/tablet_press_product_<product>")
    ] = None,
    no_plot: Annotated[bool, typer.Option("--no-plot", help="Draw no figure.")] = False,
) -> None:
    """Predict recorded batches that the calibration did not see, and compare.

    With a 10-second series the unit's FMU is driven with the recorded inputs; with one row a batch its equations at
    rest predict each batch's force, hardness and weight from the batch before.
    """
    from galenic.batch_tables import batch_replay_report
    from galenic.calibration_tables import replay_report
    from galenic.console import messages, output
    from galenic.progress import count_progress

    check_unit(unit)
    console, notes = output(), messages()
    folder = out or default_folder(unit, product)
    file = parameters or default_folder(unit, product) / PARAMETER_FILE
    chosen = parse_batches(batches)
    scores, figure = folder / SCORES_FILE, None if no_plot else folder / FIGURE_FILE
    folder.mkdir(parents=True, exist_ok=True)
    if has_series(data, product) if records is None else records is Records.series:
        from twin.press_replay import replay_press

        with count_progress(notes, "Replaying recorded batches", 1.0) as report:
            result = replay_press(file, data, product, chosen, progress=lambda done, total: report(done / total))
        tables = replay_report(result)
        result.scores.to_csv(scores, index=False, float_format="%.6g")
        if figure is not None:
            from twin.press_figures import draw_replay

            draw_replay(result, figure)
    else:
        from twin.batch_replay import replay_batches

        by_batch = replay_batches(file, data, product, chosen)
        tables = batch_replay_report(by_batch)
        by_batch.predictions.to_csv(scores, index=False, float_format="%.6g")
        if figure is not None:
            from twin.batch_figures import draw_batch_replay

            draw_batch_replay(by_batch, figure)
    for renderable in tables:
        console.print(renderable)
    console.print(f"Scores: {scores}", soft_wrap=True, markup=False)
    if figure is not None:
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
