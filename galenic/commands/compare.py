"""`galenic compare`."""

from __future__ import annotations

import re
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

    galenic compare "recipe = penicillin_batch" "PI = penicillin_batch_paa" --seeds 50 --first-seed 101

    galenic compare "open loop = tablet_line without mpc, force_loop" "PI = tablet_line without mpc" "MPC = tablet_line"
"""

_VARIANT = re.compile(
    r"^\s*(?:(?P<label>[^=]+?)\s*=\s*)?(?P<scenario>.+?)(?:\s+without\s+(?P<without>\w+(?:\s*,\s*\w+)*))?\s*$"
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("compare", epilog=EPILOG)(compare)


def compare(
    scenarios: Annotated[
        list[str],
        typer.Argument(
            metavar="VARIANT...",
            help="Scenarios by name or path; each may be written 'LABEL = SCENARIO without CONTROLLER, CONTROLLER'. "
            "The last one is judged against each of the others. A single one is compared with itself without its MPC.",
        ),
    ],
    without: Annotated[
        list[str] | None,
        typer.Option(help="With one scenario: controller that A is run without. Default: every supervisor (the MPC)."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=2, help="How many seeds; each is one run of every variant.")] = 20,
    first_seed: Annotated[int, typer.Option(min=0, help="The seeds count up from here.")] = 1,
    jobs: Annotated[int, typer.Option(min=1, help="Runs at a time, each in a process.")] = 2,
    duration: Annotated[str | None, typer.Option(help='Simulate this long instead, such as "30 min".')] = None,
    values: Annotated[
        list[str] | None, typer.Option("--set", help="Another value in every variant, as of 'galenic run --set'.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the results. Default: a new one below ./runs")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep every run's signals too, not only its KPIs.")] = False,
) -> None:
    """Run the same seeds two ways or more, and compare the KPIs seed by seed.

    With one scenario: its regulatory loops alone (A) against the whole scenario (B).
    """
    from galenic import session
    from galenic.comparison import statistics
    from galenic.comparison_figure import draw_comparison
    from galenic.comparison_runs import run_trials
    from galenic.comparison_table import write
    from galenic.console import messages, output
    from galenic.progress import count_progress

    console, notes = output(), messages()
    overrides = tuple(values or ())
    variants = _variants(scenarios, tuple(without or ()), duration, overrides)
    first = session.load(variants[-1].scenario, duration, overrides)
    if warning := session.warning_of(first):
        notes.print(warning, markup=False)
    folder = session.new_folder(f"compare-{first.name}", out)
    numbers = range(first_seed, first_seed + seeds)
    total = len(variants) * seeds
    with count_progress(notes, f"{total} runs", total) as report:
        trials, interrupted = run_trials(
            variants, numbers, folder, duration=duration, overrides=overrides, jobs=jobs, keep=keep, progress=report
        )
    rows = statistics(trials)
    if trials:
        write(folder, variants, trials, rows)
        draw_comparison(rows, trials, [v.label for v in variants], folder / "compare.png")
        for table in _tables(rows, variants, len(trials)):
            console.print(table)
        files = "compare.json, compare.csv, compare.md, compare.png"
        console.print(f"Results: {folder} ({files})", soft_wrap=True, markup=False)
    if interrupted:
        kept = f"what they gave is kept in {folder}" if trials else "nothing to keep"
        notes.print(f"Interrupted after {len(trials)} of {seeds} seeds; {kept}", soft_wrap=True, markup=False)
        raise typer.Exit(130)


def _variants(
    given: Sequence[str], without: tuple[str, ...], duration: str | None, overrides: tuple[str, ...]
) -> list[Variant]:
    """The sides; each is built once here, so that an error shows before a hundred processes meet it."""
    from fmus.errors import GalenicError
    from galenic import session
    from galenic.comparison import Variant

    variants = []
    for text in given:
        match = _VARIANT.match(text)
        if match is None:
            raise GalenicError(f"'{text}' is no variant", cure="write 'LABEL = SCENARIO without CONTROLLER'")
        removed = tuple(re.split(r"\s*,\s*", match["without"])) if match["without"] else ()
        variants.append(Variant(match["label"] or "", match["scenario"], removed))
    if len(variants) == 1:
        return _with_and_without(variants[0], without, duration, overrides)
    if without:
        raise GalenicError(
            "--without is for a single scenario", cure=f"write \"'{given[0]} without {', '.join(without)}'\""
        )
    named: list[Variant] = []
    for number, variant in enumerate(variants):
        scenario = session.load(variant.scenario, duration, overrides)
        session.build(scenario, Path("unused"), without=variant.without).close()
        label = variant.label or " without ".join([scenario.name, ", ".join(variant.without)]).removesuffix(" without ")
        if any(label == other.label for other in named):
            label = f"{label} ({chr(ord('A') + number)})"
        named.append(Variant(label, variant.scenario, variant.without))
    return named


def _with_and_without(
    variant: Variant, without: tuple[str, ...], duration: str | None, overrides: tuple[str, ...]
) -> list[Variant]:
    from fmus.errors import GalenicError
    from galenic import session
    from galenic.comparison import Variant

    scenario = session.load(variant.scenario, duration, overrides)
    whole = session.build(scenario, Path("unused"), without=variant.without)
    whole.close()
    supervisors = tuple(c.name for c in whole.system.controllers.values() if c.supervises)
    removed = without or supervisors
    if not removed:
        raise GalenicError(
            f"'{scenario.name}' has no controller that supervises others: nothing to compare",
            cure="name a second scenario, or a controller to leave out: --without NAME",
            file=scenario.file,
        )
    removed = (*variant.without, *removed)
    session.build(scenario, Path("unused"), without=removed).close()
    kinds = {str(scenario.controllers[n].get("type")) for n in scenario.controllers if n not in removed}
    alone = "PI alone" if kinds & {"pi", "pid"} and not without else f"without {', '.join(removed)}"
    only = {scenario.controllers[n].get("type") for n in removed} == {"mpc"}
    added = variant.label or ("MPC" if only else f"with {', '.join(removed)}")
    return [Variant(alone, variant.scenario, removed), Variant(added, variant.scenario, variant.without)]


def _tables(rows: Sequence[Row], variants: Sequence[Variant], trials: int) -> list[Table]:
    """One table of two variants; of more, their values and the differences apart, to be read at 80 columns."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from galenic.comparison_table import cells, headline, heads

    def table(title: str, columns: Sequence[int]) -> Table:
        made = Table(title=Text(title), title_justify="left", title_style="bold", box=SIMPLE_HEAD)
        for column in columns:
            made.add_column(Text(names[column]), justify="right" if column else "left")
        for texts in lines:
            made.add_row(*(texts[column] for column in columns))
        return made

    names, first = heads(variants), 1 + len(variants)
    lines = []
    for row in headline(rows):
        texts = [Text(cell) for cell in cells(row)]
        for number, difference in enumerate(row.differences):
            if row.better is not None and (difference.low > 0.0 or difference.high < 0.0):
                good = (difference.mean < 0.0) == (row.better == "lower")
                for cell in texts[first + 2 * number : first + 2 * number + 2]:
                    cell.style = "green" if good else "red"
        lines.append(texts)
    values, differences = list(range(first)), list(range(first, len(names)))
    last = variants[-1].label
    title = f"{', '.join(v.label for v in variants)}: {trials} paired seeds"
    if len(variants) == 2:
        tables = [table(title, values + differences)]
    else:
        tables = [table(title, values)]
        tables += [
            table(f"{last} against {v.label}", [0, first + 2 * i, first + 2 * i + 1])
            for i, v in enumerate(variants[:-1])
        ]
    tables[-1].caption = Text(
        f"Mean +- standard deviation. Green: {last} better with 95 % confidence; red: worse. won: seeds at which it is."
    )
    tables[-1].caption_justify = "left"
    return tables
