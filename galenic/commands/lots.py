"""`galenic lots`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EPILOG = """Example:

    galenic lots --data tableting"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("lots", epilog=EPILOG)(lots)


def lots(
    data: Annotated[Path, typer.Option(help="Folder with Laboratory.csv.")],
) -> None:
    """Recompute how raw-material lots vary, beside the statistics that the shipped scenarios use."""
    from galenic.calibration_tables import lot_report
    from galenic.console import output
    from twin.lot_statistics import compare_lot_statistics, lot_statistics

    console = output()
    for renderable in lot_report(compare_lot_statistics(lot_statistics(data))):
        console.print(renderable)
