"""Where ensembles of runs are computed: in processes of this machine, or on a Dask cluster, by the same call."""

from __future__ import annotations

import importlib
import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar

from fmus.errors import GalenicError

Job = TypeVar("Job")
Result = TypeVar("Result")

_POLL = 0.25  # s between two looks at futures that have not finished, so that Ctrl-C is heard
_SCHEDULERS = "write --scheduler local:2, or --scheduler tcp://host:8786"
_WAIT = "20 s"

#: In a worker of `LocalProcesses`: what it shares with the process that it computes for.
_shared: dict[str, Any] = {}


@contextmanager
def open_executor(jobs: int, scheduler: str | None = None) -> Iterator[Executor]:
    """Local processes, or the workers of a Dask cluster. At the end those that still run are told to stop.

    Args:
        jobs: how many processes, without a scheduler.
        scheduler: address of a Dask scheduler whose workers have this package, or ``local:N`` for a cluster of N
            processes on this machine.

    Raises:
        GalenicError: no Dask, or no scheduler there.
    """
    if scheduler is None:
        with local_processes(jobs) as executor:
            yield executor
        return
    with _dask(scheduler) as executor:
        yield executor


@contextmanager
def local_processes(jobs: int) -> Iterator[Executor]:
    """Processes on this machine. At the end those that still run are told to stop."""
    with LocalProcesses(jobs) as executor:
        try:
            yield executor
        finally:
            executor.tell_to_stop()


class LocalProcesses(ProcessPoolExecutor):
    """Processes that can be told to stop, and that tell how far they are in the jobs under way.

    Args:
        jobs: how many processes.
    """

    def __init__(self, jobs: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._stop = context.Value("b", 0)
        self._shares = context.Array("d", jobs)
        super().__init__(jobs, context, _begin, (self._stop, self._shares, context.Value("i", 0)))

    def tell_to_stop(self) -> None:
        """What has not begun does not, and what runs ends where it asks `told_to_stop`."""
        self._stop.value = 1

    @property
    def under_way(self) -> float:
        """The shares of the jobs that run now, added."""
        return float(sum(self._shares[:]))


def _begin(stop: Any, shares: Any, begun: Any) -> None:
    """A worker leaves Ctrl-C to its parent, which then says stop, and takes the next place among the shares."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with begun.get_lock():
        place, begun.value = begun.value, begun.value + 1
    _shared.update(stop=stop, shares=shares, place=place)


def told_to_stop() -> bool:
    """Whether the process that this worker computes for has ended its ensemble."""
    stop = _shared.get("stop")
    return stop is not None and bool(stop.value)


def tell_share(share: float) -> None:
    """Tell how far this worker is in its job, from 0 to 1; where nobody listens, nothing happens."""
    if "shares" in _shared:
        _shared["shares"][_shared["place"]] = min(max(share, 0.0), 1.0)


def as_they_end(
    work: Callable[[Job], Result | None],
    jobs: Iterable[Job],
    executor: Executor,
    progress: Callable[[float], None] | None = None,
    cure: str = "try --jobs 1, which needs less memory",
) -> Iterator[tuple[int, Result]]:
    """Compute jobs, and yield what each gave as soon as it has.

    Ctrl-C and the first error pass through; what has not begun then is cancelled.

    Args:
        work: what a worker does with a job; None where it was told to stop.
        jobs: in the order in which they begin.
        executor: where.
        progress: told the number of finished jobs; from local processes with the shares of those under way.
        cure: for a process that died.

    Yields:
        the position of a job and its result, without those that were told to stop.

    Raises:
        GalenicError: a process died; and what ``work`` raises.
    """
    places: dict[Future[Result | None], int] = {}
    told = 0.0
    try:
        for place, job in enumerate(jobs):
            places[executor.submit(_one, work, job)] = place
        waiting = set(places)
        while waiting:
            finished, waiting = wait(waiting, _POLL, FIRST_COMPLETED)
            for future in finished:
                result = future.result()
                if result is not None:
                    yield places[future], result
            if progress is not None:
                # a share goes back to zero a moment before its job counts as finished
                told = max(told, len(places) - len(waiting) + _under_way(executor))
                progress(told)
    except BrokenProcessPool as error:
        raise GalenicError("a run's process ended without a word", cure=cure) from error
    finally:
        for future in places:
            future.cancel()


def run_all(
    work: Callable[[Job], Result | None],
    jobs: Iterable[Job],
    executor: Executor,
    progress: Callable[[float], None] | None = None,
) -> list[Result]:
    """All results of `as_they_end`, in the order of the jobs."""
    found = dict(as_they_end(work, jobs, executor, progress))
    return [found[place] for place in sorted(found)]


def _one(work: Callable[[Job], Result | None], job: Job) -> Result | None:
    """One job, in a worker."""
    if told_to_stop():
        return None
    try:
        return work(job)
    finally:
        tell_share(0.0)


def _under_way(executor: Executor) -> float:
    return executor.under_way if isinstance(executor, LocalProcesses) else 0.0


@contextmanager
def _dask(scheduler: str) -> Iterator[Executor]:
    try:
        distributed: Any = importlib.import_module("distributed")
    except ImportError as error:
        raise GalenicError(
            "--scheduler: Dask is not installed", cure="pip install 'galenic[cluster]', or leave --scheduler out"
        ) from error
    kind, _, count = scheduler.partition(":")
    if kind == "local":
        if not count.isdigit() or int(count) < 1:
            raise GalenicError(f"--scheduler: '{scheduler}' is no number of processes", cure=_SCHEDULERS)
        with (
            distributed.LocalCluster(n_workers=int(count), threads_per_worker=1, dashboard_address=None) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield _executor(client)
        return
    try:
        client = distributed.Client(scheduler, timeout=_WAIT)
    except (OSError, ValueError) as error:
        raise GalenicError(f"--scheduler: nothing answers at '{scheduler}': {error}", cure=_SCHEDULERS) from error
    with client:
        if not client.scheduler_info()["workers"]:
            raise GalenicError(
                f"--scheduler: '{scheduler}' has no workers", cure=f"dask worker {scheduler} on each machine"
            )
        yield _executor(client)


def _executor(client: Any) -> Executor:
    # a run that failed in itself is a result; only a worker that died is worth another attempt. A run is no pure
    # function for Dask: the same job twice is two runs
    executor: Executor = client.get_executor(pure=False, retries=1)
    return executor
