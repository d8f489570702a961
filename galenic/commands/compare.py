"""`galenic compare`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from galenic.comparison import Row, Variant

EPILOG = """Examples:

    galenic compare tablet_line

    galenic compare tablet_line --seeds 5 --duration "1 h" --jobs 4

    galenic compare line_a.yaml line_b.yaml --out runs/a-against-b"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("compare", epilog=EPILOG)(compare)


def compare(
    scenario: Annotated[str, typer.Argument(help="Scenario A, by name or path.")],
    scenario_b: Annotated[str | None, typer.Argument(help="Scenario B. Without it, A is compared with itself.")] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(help="Controller that A is run without. Default with one scenario: every supervisor (the MPC)."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=2, help="How many seeds; each is one pair of runs.")] = 20,
    first_seed: Annotated[int, typer.Option(min=0, help="The seeds count up from here.")] = 1,
    jobs: Annotated[int, typer.Option(min=1, help="Runs at a time, each in a process.")] = 2,
    duration: Annotated[str | None, typer.Option(help='Simulate this long instead, such as "30 min".')] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the results. Default: a new one below ./runs")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep every run's signals too, not only its KPIs.")] = False,
) -> None:
    """Run the same seeds two ways, and compare the KPIs pair by pair.

    With one scenario: its regulatory loops alone (A) against the whole scenario (B). With two: one against the other.
    """
    from galenic import comparison, session
    from galenic.comparison_figure import draw_comparison
    from galenic.console import messages, output
    from galenic.progress import count_progress

    console, notes = output(), messages()
    a, b = _variants(scenario, scenario_b, tuple(without or ()), duration)
    first = session.load(scenario, duration)
    if warning := session.warning_of(first):
        notes.print(warning, markup=False)
    folder = session.new_folder(f"compare-{first.name}", out)
    numbers = range(first_seed, first_seed + seeds)
    with count_progress(notes, f"{2 * seeds} runs", 2 * seeds) as report:
        pairs, interrupted = comparison.run_pairs(
            a, b, numbers, folder, duration=duration, jobs=jobs, keep=keep, progress=report
        )
    rows = comparison.statistics(pairs)
    if pairs:
        comparison.write(folder, a, b, pairs, rows)
        draw_comparison(rows, pairs, (a.label, b.label), folder / "compare.png")
        console.print(_table(rows, a, b, len(pairs)))
        console.print(f"Results: {folder} (compare.json, compare.csv, compare.png)", soft_wrap=True, markup=False)
    if interrupted:
        kept = f"what they gave is kept in {folder}" if pairs else "nothing to keep"
        notes.print(f"Interrupted after {len(pairs)} of {seeds} pairs; {kept}", soft_wrap=True, markup=False)
        raise typer.Exit(130)


def _variants(
    scenario: str, scenario_b: str | None, without: tuple[str, ...], duration: str | None
) -> tuple[Variant, Variant]:
    """The two sides; both are built once here, so that an error shows before twenty processes meet it."""
    from fmus.errors import GalenicError
    from galenic import session
    from galenic.comparison import Variant

    first = session.load(scenario, duration)
    nowhere = Path("unused")
    whole = session.build(first, nowhere)
    whole.close()
    if scenario_b is not None:
        second = session.load(scenario_b, duration)
        session.build(second, nowhere).close()
        session.build(first, nowhere, without=without).close()
        labels = (first.name, second.name) if first.name != second.name else ("A", "B")
        return Variant(labels[0], scenario, without), Variant(labels[1], scenario_b)
    supervisors = tuple(c.name for c in whole.system.controllers.values() if c.supervises)
    removed = without or supervisors
    if not removed:
        raise GalenicError(
            f"'{first.name}' has no controller that supervises others: nothing to compare",
            cure="name a second scenario, or a controller to leave out: --without NAME",
            file=first.file,
        )
    session.build(first, nowhere, without=removed).close()
    kinds = {str(first.controllers[n].get("type")) for n in first.controllers if n not in removed}
    alone = "PI alone" if "pi" in kinds and set(removed) == set(supervisors) else f"without {', '.join(removed)}"
    added = "MPC" if {first.controllers[n].get("type") for n in removed} == {"mpc"} else f"with {', '.join(removed)}"
    return Variant(alone, scenario, removed), Variant(added, scenario)


def _table(rows: Sequence[Row], a: Variant, b: Variant, pairs: int) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from galenic.comparison import headline
    from galenic.tables import number

    table = Table(
        title=f"{a.label} (A) against {b.label} (B), {pairs} paired seeds",
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
    )
    table.add_column("KPI")
    table.add_column(Text(f"A: {a.label}"), justify="right")
    table.add_column(Text(f"B: {b.label}"), justify="right")
    table.add_column("B - A (95 % CI)", justify="right")
    table.add_column("B won", justify="right")
    for row in headline(rows):
        decided = row.better is not None and (row.low > 0.0 or row.high < 0.0)
        good = decided and (row.difference < 0.0) == (row.better == "lower")
        style = ("green" if good else "red") if decided else ""
        table.add_row(
            Text(row.label if row.unit == "1" else f"{row.label} [{row.unit}]"),
            _cell(row.mean_a, row.sd_a),
            _cell(row.mean_b, row.sd_b),
            f"{number(row.difference, 3)} ({number(row.low, 3)} to {number(row.high, 3)})" if row.pairs else "-",
            _won(row),
            style=style,
        )
    table.caption = "Mean +- standard deviation. Green: B better with 95 % confidence; red: B worse."
    table.caption_justify = "left"
    return table


def _cell(mean: float, spread: float) -> str:
    from galenic.tables import number

    return f"{number(mean)} +- {number(spread, 2)}" if math.isfinite(mean) else "-"


def _won(row: Row) -> str:
    if row.won is None or not row.pairs:
        return ""
    return f"{row.won} of {row.pairs}" + (f", {row.tied} equal" if row.tied else "")
