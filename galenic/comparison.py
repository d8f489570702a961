"""Paired comparison: the same seeds under two variants, in parallel processes.

Both variants of a seed meet the same lots, noise and disturbances, so the difference of a KPI within a pair is free of
them. Reported are mean and standard deviation of each variant, the mean difference B - A with its 95 % confidence
interval (Student's t with n - 1 degrees of freedom on the paired differences), and how many seeds B won.
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

from fmus.errors import GalenicError
from galenic.indicator import Kpi

_POLL = 0.25
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Variant:
    """One side of the comparison."""

    label: str
    scenario: str
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pair:
    """The indicators of one seed under A and under B."""

    seed: int
    a: list[Kpi]
    b: list[Kpi]


@dataclass(frozen=True)
class Row:
    """One indicator over all pairs; ``low`` and ``high`` bound the mean difference ``b - a`` with 95 % confidence."""

    name: str
    label: str
    unit: str
    definition: str
    better: str | None
    pairs: int
    mean_a: float
    sd_a: float
    mean_b: float
    sd_b: float
    difference: float
    low: float
    high: float
    won: int | None
    tied: int


@dataclass(frozen=True)
class _Job:
    number: int
    seed: int
    side: int
    variant: Variant
    duration: str | None
    folder: Path
    keep: bool


def statistics(pairs: Sequence[Pair]) -> list[Row]:
    """The rows of the comparison, in the order of the indicators that both variants have.

    A pair in which an indicator is not finite on one side does not count for that indicator.
    """
    if not pairs:
        return []
    common = {k.name for k in pairs[0].b}
    return [_row(kpi, pairs) for kpi in pairs[0].a if kpi.name in common]


def _row(kpi: Kpi, pairs: Sequence[Pair]) -> Row:
    from scipy.stats import t as student

    values = np.array([[_value(side, kpi.name) for side in (p.a, p.b)] for p in pairs])
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
    means = values.mean(axis=0) if n else np.full(2, math.nan)
    spread = values.std(axis=0, ddof=1) if n > 1 else np.full(2, math.nan)
    return Row(
        kpi.name, kpi.label, kpi.unit, kpi.definition, kpi.better, n,
        float(means[0]), float(spread[0]), float(means[1]), float(spread[1]),
        mean, mean - half, mean + half, won, int((difference == 0.0).sum()),
    )  # fmt: skip


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


def run_pairs(
    a: Variant,
    b: Variant,
    seeds: Sequence[int],
    folder: Path,
    *,
    duration: str | None = None,
    jobs: int = 2,
    keep: bool = False,
    progress: Callable[[float], None] | None = None,
) -> tuple[list[Pair], bool]:
    """Run all seeds under both variants.

    Args:
        a: the first variant.
        b: the second variant.
        seeds: one pair each.
        folder: the runs go below it, as ``a/seed-1`` and so on.
        duration: replaces the scenarios' duration.
        jobs: processes at a time.
        keep: keep the results of every run, not only its indicators.
        progress: told the number of finished runs, with fractions.

    Returns:
        the finished pairs in the order of the seeds, and whether Ctrl-C ended it before all were done.

    Raises:
        GalenicError: a run fails; with the seed, file, line and cure.
    """
    todo = [
        _Job(2 * i + side, seed, side, variant, duration, folder / "ab"[side] / f"seed-{seed}", keep)
        for i, seed in enumerate(seeds)
        for side, variant in enumerate((a, b))
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
    for side in "ab":
        with contextlib.suppress(OSError):
            (folder / side).rmdir()
    pairs = [Pair(s, done[s, 0], done[s, 1]) for s in seeds if (s, 0) in done and (s, 1) in done]
    return pairs, interrupted


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
        scenario = session.load(job.variant.scenario, job.duration)
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


def write(folder: Path, a: Variant, b: Variant, pairs: Sequence[Pair], rows: Sequence[Row]) -> None:
    """Write ``compare.json`` (everything) and ``compare.csv`` (one line a seed, variant and indicator)."""
    from galenic.session import write_json, write_text

    def clean(value: Any) -> Any:
        return None if isinstance(value, float) and not math.isfinite(value) else value

    content = {
        "a": asdict(a),
        "b": asdict(b),
        "seeds": [p.seed for p in pairs],
        "kpis": [{key: clean(value) for key, value in asdict(row).items()} for row in rows],
        "pairs": [
            {"seed": p.seed, "a": {k.name: clean(k.value) for k in p.a}, "b": {k.name: clean(k.value) for k in p.b}}
            for p in pairs
        ],
    }
    write_json(folder / "compare.json", content)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["seed", "variant", "kpi", "value", "unit"])
    for pair in pairs:
        for variant, kpis in ((a, pair.a), (b, pair.b)):
            table.writerows([pair.seed, variant.label, k.name, k.value, k.unit] for k in kpis)
    write_text(folder / "compare.csv", text.getvalue())
