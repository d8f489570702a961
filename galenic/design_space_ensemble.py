"""The runs of a design space: one for each setpoint and seed, in processes, each kept in a file as it ends."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fmus.errors import GalenicError
from galenic.design_space_plan import Plan
from galenic.ensemble_run import record_steps
from galenic.executors import as_they_end, run_all

SAMPLES = "samples.csv"
#: Numbers of runs from here on are not of the ensemble.
_FRESH = 1_000_000


@dataclass(frozen=True)
class Sample:
    """One run.

    Args:
        number: which.
        seed: of its random numbers.
        point: the setpoint.
        lows: smallest value of each attribute after the warm-up; of a final one, its value at the end.
        highs: largest value of each, or the same.
        outside: share of the time after the warm-up with any attribute out of specification; 1 where a final one is.
        error: why the run ended early; empty where it did not. Such a run is out of specification.
    """

    number: int
    seed: int
    point: tuple[float, ...]
    lows: tuple[float, ...]
    highs: tuple[float, ...]
    outside: float
    error: str = ""

    def passed(self, allowed: float) -> bool:
        """Whether it kept to the specification."""
        return not self.error and self.outside <= allowed


@dataclass(frozen=True)
class Job:
    """What a worker needs for one run."""

    plan: Plan
    number: int
    point: tuple[float, ...]


def run_ensemble(
    plan: Plan,
    points: int,
    executor: Executor,
    folder: Path,
    progress: Callable[[float], None] | None = None,
) -> tuple[list[Sample], bool]:
    """Run what is not in ``folder`` yet; every run that ends is kept there at once.

    Args:
        plan: the ensemble.
        points: how many setpoints.
        executor: where the runs are computed.
        folder: with `SAMPLES`, where there are some already.
        progress: told the number of finished runs.

    Returns:
        all runs in their order, and whether Ctrl-C ended it before all were done.

    Raises:
        GalenicError: the system cannot be built at some setpoint, or a process died.
    """
    from galenic.session import write_text

    total = points * plan.seeds_each
    done = {s.number: s for s in read_samples(plan, folder)}
    grid = plan.points(points)
    todo = [Job(plan, n, tuple(map(float, grid[n // plan.seeds_each]))) for n in range(total) if n not in done]
    kept = total - len(todo)
    interrupted = False
    file = folder / SAMPLES

    def told(finished: float) -> None:
        if progress is not None:
            progress(kept + finished)

    try:
        with file.open("a", encoding="utf-8", newline="") as stream:
            if not stream.tell():
                stream.write(_line(_header(plan)))
            told(0.0)
            cure = f"--jobs 1 needs less memory; --resume {folder} goes on"
            for _, sample in as_they_end(evaluate, todo, executor, told, cure):
                done[sample.number] = sample
                stream.write(_line(_row(sample)))
                stream.flush()
    except KeyboardInterrupt:
        interrupted = True
    samples = [done[n] for n in sorted(done)]
    write_text(file, "".join(map(_line, (_header(plan), *map(_row, samples)))))  # in their order, whoever was first
    return [s for s in samples if s.number < total], interrupted


def run_fresh(
    plan: Plan,
    points: Sequence[tuple[float, ...]],
    executor: Executor,
    progress: Callable[[float], None] | None = None,
) -> list[Sample]:
    """Runs at given setpoints with seeds that no run of the ensemble has. Ctrl-C passes through."""
    return run_all(evaluate, (Job(plan, _FRESH + n, point) for n, point in enumerate(points)), executor, progress)


def evaluate(job: Job) -> Sample | None:
    """One run; None where it was told to stop. Raises GalenicError where the system cannot be built."""
    from cosim import Simulation
    from galenic import session

    plan = job.plan
    values = [f"{s.name}={v!r}" for s, v in zip(plan.setpoints, job.point, strict=True)]
    seed = plan.first_seed + job.number
    scenario = session.with_duration(session.load(plan.scenario, None, [*plan.overrides, *values]), plan.duration)
    with Simulation(scenario, seed=seed, without=plan.without) as simulation:
        columns = [simulation.system.index[a.signal] for a in plan.attributes]
        made = record_steps(simulation, len(columns), lambda signals: signals[columns])
        if made is None:
            return None
        rows, error = made
        first = round(plan.warm_up / simulation.step_size)
    counted = rows[first:]
    if not len(counted):
        nothing = (math.nan,) * len(columns)
        return Sample(job.number, seed, job.point, nothing, nothing, 1.0, error or "it stopped within the warm-up")
    low, high = (np.array([getattr(a, side) for a in plan.attributes]) for side in ("low", "high"))
    final = np.array([a.final for a in plan.attributes])
    inside = (counted >= low) & (counted <= high)  # a value that is not finite is outside
    outside = ~(inside | final).all(axis=1) | (not inside[-1, final].all())
    counted = np.where(final, counted[-1:], counted)
    return Sample(
        job.number,
        seed,
        job.point,
        tuple(map(float, counted.min(axis=0))),
        tuple(map(float, counted.max(axis=0))),
        float(outside.mean()),
        error,
    )


def _header(plan: Plan) -> list[str]:
    return [
        "run",
        "seed",
        *(f"{s.name} [{s.unit}]" for s in plan.setpoints),
        *(f"{a.name} {side} [{a.unit}]" for side in ("lowest", "highest") for a in plan.attributes),
        "share outside [1]",
        "error",
    ]


def _row(sample: Sample) -> list[str]:
    numbers = (*sample.point, *sample.lows, *sample.highs, sample.outside)
    return [str(sample.number), str(sample.seed), *map(repr, numbers), sample.error]


def _line(cells: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def read_samples(plan: Plan, folder: Path) -> list[Sample]:
    """The runs that are kept in ``folder``; an incomplete last line, of a computer that went off, is removed.

    Raises:
        GalenicError: the file is of another ensemble or damaged.
    """
    file = folder / SAMPLES
    if not file.exists():
        return []
    text = file.read_bytes().decode("utf-8", errors="replace")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        file.write_bytes(whole.encode("utf-8"))
    rows = list(csv.reader(io.StringIO(whole)))
    header = _header(plan)
    if rows and rows[0] != header:
        raise GalenicError("its columns are those of another ensemble", cure="choose a new folder", file=file, line=1)
    n, m = len(plan.setpoints), len(plan.attributes)
    samples = []
    for line, row in enumerate(rows[1:], 2):
        try:
            numbers = [float(cell) for cell in row[2:-1]]
            if len(row) != len(header):
                raise ValueError
            lows, highs = tuple(numbers[n : n + m]), tuple(numbers[n + m : n + 2 * m])
            samples.append(Sample(int(row[0]), int(row[1]), tuple(numbers[:n]), lows, highs, numbers[-1], row[-1]))
        except ValueError:
            raise GalenicError("this is not a run", cure="remove the line", file=file, line=line) from None
    return samples
