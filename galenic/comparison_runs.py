"""The runs of a comparison: every seed under every variant, in processes."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fmus.errors import GalenicError
from galenic import session
from galenic.comparison import Trial, Variant
from galenic.executors import as_they_end, local_processes, tell_share, told_to_stop
from galenic.indicator import Kpi


@dataclass(frozen=True)
class _Job:
    """What a worker needs for one run."""

    seed: int
    side: int
    variant: Variant
    duration: str | None
    overrides: tuple[str, ...]
    folder: Path
    keep: bool


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
        GalenicError: a run fails, with the seed, file, line and cure; or a process died.
    """
    folders = [folder / chr(ord("a") + side) for side in range(len(variants))]
    todo = [
        _Job(seed, side, variant, duration, tuple(overrides), folders[side] / f"seed-{seed}", keep)
        for seed in seeds
        for side, variant in enumerate(variants)
    ]
    done: dict[tuple[int, int], list[Kpi]] = {}
    interrupted = False
    with local_processes(jobs) as executor:
        try:
            cure = "try --jobs 1, which needs less memory, or run that seed"
            for place, kpis in as_they_end(_run, todo, executor, progress, cure):
                done[todo[place].seed, todo[place].side] = kpis
        except KeyboardInterrupt:
            interrupted = True
    for side in folders:
        with contextlib.suppress(OSError):  # there is none, or it has what --keep kept
            side.rmdir()
    sides = range(len(variants))
    whole = [seed for seed in seeds if all((seed, side) in done for side in sides)]
    return [Trial(seed, tuple(done[seed, side] for side in sides)) for seed in whole], interrupted


def _run(job: _Job) -> list[Kpi] | None:
    """One run, in a worker; None where it was told to stop."""

    def report(t: float) -> None:
        if told_to_stop():
            raise KeyboardInterrupt
        tell_share(t / scenario.duration)

    try:
        scenario = session.load(job.variant.scenario, job.duration, job.overrides)
        outcome = session.run_quietly(scenario, job.folder, seed=job.seed, without=job.variant.without, progress=report)
    except KeyboardInterrupt:
        return None
    except GalenicError as error:
        message = f"seed {job.seed}, {job.variant.label}: {error.message}"
        # a plain one, as not every kind of it passes from process to process
        raise GalenicError(message, cure=error.cure, file=error.file, line=error.line) from None
    finally:
        if not job.keep:
            shutil.rmtree(job.folder, ignore_errors=True)
    return outcome.kpis
