"""Paired comparison: the same seeds under two or more variants, in parallel processes.

All variants of a seed meet the same lots, noise and disturbances, so the difference of a KPI within a seed is free of
them. The last variant is judged against each of the others. Reported are mean and standard deviation of each, the mean
difference with its 95 % confidence interval (Student's t with n - 1 degrees of freedom on the paired differences), and
how many seeds the last variant won.
"""

from __future__ import annotations

import contextlib
import csv
import io
import math
import multiprocessing
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fmus.errors import GalenicError
from galenic.indicator import Kpi

_POLL = 0.25
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Variant:
    """One side of the comparison: a scenario, without some of its controllers."""

    label: str
    scenario: str
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class Trial:
    """The indicators of one seed under each variant."""

    seed: int
    sides: tuple[list[Kpi], ...]


@dataclass(frozen=True)
class Difference:
    """The last variant less another over the seeds at which both have a number.

    ``low`` and ``high`` bound the mean difference with 95 % confidence; ``won`` counts the seeds at which the last
    variant was better, None where no direction is.
    """

    pairs: int
    mean: float
    low: float
    high: float
    won: int | None
    tied: int


@dataclass(frozen=True)
class Row:
    """One indicator over all seeds; means and standard deviations by variant, differences by other variant."""

    name: str
    label: str
    unit: str
    definition: str
    better: str | None
    means: tuple[float, ...]
    spreads: tuple[float, ...]
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class _Job:
    number: int
    seed: int
    side: int
    variant: Variant
    duration: str | None
    overrides: tuple[str, ...]
    folder: Path
    keep: bool


def statistics(trials: Sequence[Trial]) -> list[Row]:
    """The rows of the comparison: indicators that the last variant has and another one too, in the last one's order.

    Where an indicator is not finite on one side, that seed does not count for the difference of the two.
    """
    if not trials:
        return []
    *others, last = trials[0].sides
    common = {k.name for side in others for k in side}
    return [_row(kpi, trials) for kpi in last if kpi.name in common]


def _row(kpi: Kpi, trials: Sequence[Trial]) -> Row:
    values = np.array([[_value(side, kpi.name) for side in trial.sides] for trial in trials])
    known = [column[np.isfinite(column)] for column in values.T]
    means = tuple(float(v.mean()) if len(v) else math.nan for v in known)
    spreads = tuple(float(v.std(ddof=1)) if len(v) > 1 else math.nan for v in known)
    differences = tuple(_difference(kpi, values[:, [side, -1]]) for side in range(values.shape[1] - 1))
    return Row(kpi.name, kpi.label, kpi.unit, kpi.definition, kpi.better, means, spreads, differences)


def _difference(kpi: Kpi, values: npt.NDArray[np.float64]) -> Difference:
    from scipy.stats import t as student

    values = values[np.isfinite(values).all(axis=1)]
    n = len(values)
    difference = values[:, 1] - values[:, 0]
    # what only rounding sets apart is equal
    difference[np.abs(difference) <= _ROUNDING * np.abs(values).max(axis=1)] = 0.0
    mean = float(difference.mean()) if n else math.nan
    half = math.nan
    if n > 1:
        half = float(student.ppf(0.975, n - 1) * difference.std(ddof=1) / math.sqrt(n))
    won = None
    if kpi.better is not None:
        won = int((difference < 0.0).sum() if kpi.better == "lower" else (difference > 0.0).sum())
    return Difference(n, mean, mean - half, mean + half, won, int((difference == 0.0).sum()))


def headline(rows: Sequence[Row]) -> list[Row]:
    """The rows worth a table: one unit for each indicator, and nothing that only describes the computation."""
    chosen: dict[str, Row] = {}
    for row in rows:
        if row.name.endswith(("_offset", "_balance_error")) or row.name == "real_time_factor":
            continue
        chosen.setdefault(row.label, row)
    return list(chosen.values())


def _value(kpis: Sequence[Kpi], name: str) -> float:
    return next((k.value for k in kpis if k.name == name), math.nan)


def run_trials(
    variants: Sequence[Variant],
    seeds: Sequence[int],
    folder: Path,
    *,
    duration: str | None = None,
    overrides: Sequence[str] = (),
    jobs: int = 2,
    keep: bool = False,
    progress: Callable[[float], None] | None = None,
) -> tuple[list[Trial], bool]:
    """Run all seeds under all variants.

    Args:
        variants: two or more.
        seeds: one trial each.
        folder: the runs go below it, as ``a/seed-1`` and so on.
        duration: replaces the scenarios' duration.
        overrides: values for all variants, as of ``galenic run --set``.
        jobs: processes at a time.
        keep: keep the results of every run, not only its indicators.
        progress: told the number of finished runs, with fractions.

    Returns:
        the finished trials in the order of the seeds, and whether Ctrl-C ended it before all were done.

    Raises:
        GalenicError: a run fails; with the seed, file, line and cure.
    """
    count = len(variants)
    todo = [
        _Job(
            count * i + side,
            seed,
            side,
            variant,
            duration,
            tuple(overrides),
            folder / _letter(side) / f"seed-{seed}",
            keep,
        )
        for i, seed in enumerate(seeds)
        for side, variant in enumerate(variants)
    ]
    context = multiprocessing.get_context("spawn")
    shares = context.Array("d", len(todo))
    stop = context.Value("b", 0)
    done: dict[tuple[int, int], list[Kpi]] = {}
    interrupted = False
    with ProcessPoolExecutor(jobs, context, _begin, (shares, stop)) as executor:
        waiting: set[Future[_Answer]] = set()
        try:
            waiting = {executor.submit(_work, job) for job in todo}
            while waiting:
                finished, waiting = wait(waiting, _POLL, FIRST_COMPLETED)
                for future in finished:
                    answer = future.result()
                    if answer.error is not None:
                        raise answer.error
                    if answer.kpis is not None:
                        done[answer.seed, answer.side] = answer.kpis
                if progress is not None:
                    progress(sum(shares[:]))
        except BrokenProcessPool as error:
            raise GalenicError(
                "a run's process ended without a word", cure="try --jobs 1, which needs less memory, or run that seed"
            ) from error
        except KeyboardInterrupt:
            interrupted = True
        finally:
            stop.value = 1
            for future in waiting:
                future.cancel()
    for side in range(count):
        with contextlib.suppress(OSError):
            (folder / _letter(side)).rmdir()
    whole = [s for s in seeds if all((s, side) in done for side in range(count))]
    return [Trial(s, tuple(done[s, side] for side in range(count))) for s in whole], interrupted


def _letter(side: int) -> str:
    return chr(ord("a") + side)


@dataclass(frozen=True)
class _Answer:
    seed: int
    side: int
    kpis: list[Kpi] | None = None
    error: GalenicError | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Exceptions with keyword arguments do not pickle by themselves."""
        error = self.error
        parts = None if error is None else (error.message, error.cure, error.file, error.line)
        return _answer, (self.seed, self.side, self.kpis, parts)


def _answer(seed: int, side: int, kpis: list[Kpi] | None, parts: tuple[Any, ...] | None) -> _Answer:
    error = None if parts is None else GalenicError(parts[0], cure=parts[1], file=parts[2], line=parts[3])
    return _Answer(seed, side, kpis, error)


_shared: dict[str, Any] = {}


def _begin(shares: Any, stop: Any) -> None:
    """A worker leaves Ctrl-C to its parent, which then says stop."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _shared.update(shares=shares, stop=stop)


def _work(job: _Job) -> _Answer:
    """One run, in a worker process."""
    from galenic import session

    def report(t: float) -> None:
        if _shared["stop"].value:
            raise KeyboardInterrupt
        _shared["shares"][job.number] = min(t / scenario.duration, 1.0)

    try:
        if _shared["stop"].value:
            return _Answer(job.seed, job.side)
        scenario = session.load(job.variant.scenario, job.duration, job.overrides)
        outcome = session.run_quietly(scenario, job.folder, seed=job.seed, without=job.variant.without, progress=report)
    except KeyboardInterrupt:
        return _Answer(job.seed, job.side)
    except GalenicError as error:
        error.message = f"seed {job.seed}, {job.variant.label}: {error.message}"
        return _Answer(job.seed, job.side, error=error)
    finally:
        _shared["shares"][job.number] = 1.0
        if not job.keep:
            shutil.rmtree(job.folder, ignore_errors=True)
    return _Answer(job.seed, job.side, outcome.kpis)


def write(folder: Path, variants: Sequence[Variant], trials: Sequence[Trial], rows: Sequence[Row]) -> None:
    """Write ``compare.json`` (all), ``compare.csv`` (a line a seed, variant and KPI) and ``compare.md`` (the table)."""
    from galenic.session import write_json, write_text

    content = {
        "variants": [asdict(v) for v in variants],
        "seeds": [t.seed for t in trials],
        "kpis": [_finite(asdict(row)) for row in rows],
        "trials": [
            {"seed": t.seed, "sides": [{k.name: _finite(k.value) for k in side} for side in t.sides]} for t in trials
        ],
    }
    write_json(folder / "compare.json", content)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["seed", "variant", "kpi", "value", "unit"])
    for trial in trials:
        for variant, kpis in zip(variants, trial.sides, strict=True):
            table.writerows([trial.seed, variant.label, k.name, k.value, k.unit] for k in kpis)
    write_text(folder / "compare.csv", text.getvalue())
    lines = [cells(row) for row in headline(rows)]
    head = heads(variants)
    marks = [":--", *["--:"] * (len(head) - 1)]
    markdown = "".join(f"| {' | '.join(line)} |\n" for line in (head, marks, *lines))
    write_text(folder / "compare.md", markdown)


def heads(variants: Sequence[Variant]) -> list[str]:
    """The heads of the table's columns."""
    last = variants[-1].label
    return [
        "KPI",
        *(v.label for v in variants),
        *(text for v in variants[:-1] for text in (f"{last} less {v.label} (95 % CI)", "won")),
    ]


def cells(row: Row) -> list[str]:
    """A row of the table."""
    from galenic.tables import number

    def difference(d: Difference) -> str:
        if not d.pairs:
            return "-"
        digits = 3 if abs(d.mean) < 1000.0 else 4
        return f"{number(d.mean, digits)} ({number(d.low, digits)} to {number(d.high, digits)})"

    def won(d: Difference) -> str:
        if d.won is None or not d.pairs:
            return ""
        return f"{d.won} of {d.pairs}" + (f", {d.tied} equal" if d.tied else "")

    means = [
        f"{number(m)} +- {number(s, 2 if s < 100.0 else 4)}" if math.isfinite(m) else "-"
        for m, s in zip(row.means, row.spreads, strict=True)
    ]
    return [
        row.label if row.unit == "1" else f"{row.label} [{row.unit}]",
        *means,
        *(text for d in row.differences for text in (difference(d), won(d))),
    ]


def _finite(value: Any) -> Any:
    """JSON knows no NaN."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
