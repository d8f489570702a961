"""`galenic calibrate`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from twin.batch_calibration import BatchCalibration
    from twin.press_result import PressCalibration

EPILOG = """Examples:

    galenic calibrate tablet_press --data tableting --product 3

    galenic calibrate tablet_press --data tableting --product 7 --train 0.67 --out trials/product_7

    galenic calibrate tablet_press --data tableting --product 17"""

UNITS = ("tablet_press",)
PARAMETER_FILE = "parameters.yaml"
FIGURE_FILE = "calibration.png"


class Records(StrEnum):
    """What a product's press is known by."""

    series = "series"
    batches = "batches"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("calibrate", epilog=EPILOG)(calibrate)


def calibrate(
    unit: Annotated[str, typer.Argument(help="The unit model to calibrate: tablet_press.")],
    data: Annotated[
        Path, typer.Option(help="Folder with Laboratory.csv, Process.csv and, where there are, process_<product>.csv.")
    ],
    product: Annotated[int, typer.Option(help="The product code.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to. Default: ./calibration/tablet_press_product_<product>")
    ] = None,
    records: Annotated[
        Records | None,
        typer.Option(
            help="Calibrate on the 10-second series or on one row a batch. Default: the series where there is one."
        ),
    ] = None,
    train: Annotated[
        str,
        typer.Option(
            help="Batches that calibrate: a share by time such as 0.67, 'all', or numbers such as 19,20,21. The "
            "others are held back for `galenic replay`. Default: two thirds, or all where that leaves fewer than 8."
        ),
    ] = "",
    resamples: Annotated[int, typer.Option(min=20, help="Bootstrap resamples of the confidence intervals.")] = 400,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
    no_gains: Annotated[
        bool,
        typer.Option("--no-gains", help="Do not hold the fit to the measured gains; shows what the levels alone say."),
    ] = False,
    attribution: Annotated[
        str, typer.Option(help="Whom the data's licence asks to name; written into the parameter file.")
    ] = "",
    no_plot: Annotated[bool, typer.Option("--no-plot", help="Draw no figure.")] = False,
) -> None:
    """Estimate a unit's parameters from recorded plant data.

    Prints what was read and left out, the parameters with confidence intervals, the gains and the residuals; writes a
    parameter file that scenarios name (`parameter_file`) and a figure. A product with a 10-second series is calibrated
    on its start-ups, one without on its batch means.
    """
    from galenic.batch_tables import batch_calibration_report
    from galenic.calibration_tables import calibration_report
    from galenic.console import messages, output
    from galenic.progress import count_progress
    from twin.batch_calibration import BatchCalibration, calibrate_batches
    from twin.parameter_file import write_parameter_file
    from twin.press_calibration import calibrate_press

    check_unit(unit)
    console, notes = output(), messages()
    chosen = parse_train(train)
    by_series = has_series(data, product) if records is None else records is Records.series
    fit: Callable[..., PressCalibration | BatchCalibration] = calibrate_press if by_series else calibrate_batches
    with count_progress(notes, "Bootstrap", resamples) as report:
        calibration = fit(
            data,
            product,
            train=chosen,
            resamples=resamples,
            seed=seed,
            use_gains=not no_gains,
            progress=lambda done, _total: report(done),
        )
    folder = out or default_folder(unit, product)
    if isinstance(calibration, BatchCalibration):
        tables = batch_calibration_report(calibration)
    else:
        tables = calibration_report(calibration)
    for renderable in tables:
        console.print(renderable)
    file = write_parameter_file(calibration, folder / PARAMETER_FILE, attribution=attribution or published(calibration))
    console.print(f"Parameters: {file}", soft_wrap=True, markup=False)
    if not no_plot:
        _draw(calibration, folder, console)
    if calibration.held_back:
        command = f"galenic replay {unit} --data {data} --product {product} --parameters {file}"
        command += "" if records is None else f" --records {records.value}"
        console.print(f"Test it on the batches held back: {command}", soft_wrap=True, markup=False)


def _draw(calibration: PressCalibration | BatchCalibration, folder: Path, console: Console) -> None:
    from twin.batch_calibration import BatchCalibration
    from twin.batch_figures import draw_batch_calibration
    from twin.press_figures import draw_calibration

    file = folder / FIGURE_FILE
    if isinstance(calibration, BatchCalibration):
        draw_batch_calibration(calibration, file)
    else:
        draw_calibration(calibration, file)
    console.print(f"Figure: {file}", soft_wrap=True, markup=False)


def has_series(data: Path, product: int) -> bool:
    """Whether a folder holds the 10-second series of a product."""
    return (data / f"process_{product}.csv").is_file()


def published(calibration: PressCalibration | BatchCalibration) -> str:
    """The attribution of the published data set where its files were read, else an empty string."""
    from twin.parameter_file import ATTRIBUTION, PUBLISHED_SHA256

    return ATTRIBUTION if PUBLISHED_SHA256 & set(calibration.files.values()) else ""


def parse_train(text: str) -> float | list[int] | None:
    """A share, ``all``, batch numbers, or None for an empty text.

    Raises:
        GalenicError: it is none of these.
    """
    from fmus.errors import GalenicError

    if not text:
        return None
    if text == "all":
        return 1.0
    try:
        if "." in text:
            return float(text)
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise GalenicError(f"'{text}' does not choose batches", cure="give 0.67, all, or 19,20,21") from error


def default_folder(unit: str, product: int) -> Path:
    """Where results go without --out."""
    return Path("calibration") / f"{unit}_product_{product}"


def check_unit(unit: str) -> None:
    """Refuse a unit that cannot be calibrated. Raises GalenicError with the nearest name."""
    from fmus.errors import GalenicError, nearest

    if unit not in UNITS:
        raise GalenicError(f"there is no calibration of '{unit}'", cure=nearest(unit, UNITS))
