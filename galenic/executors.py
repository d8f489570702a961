"""Where ensembles of runs are computed: in processes of this machine, or on a Dask cluster, by the same call."""

from __future__ import annotations

import importlib
import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, ProcessPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, TypeVar

from fmus.errors import GalenicError

Job = TypeVar("Job")
Result = TypeVar("Result")

#: Seconds between two looks at futures that have not finished, so that Ctrl-C is heard.
POLL = 0.25
_SCHEDULERS = "write --scheduler local:2, or --scheduler tcp://host:8786"
_WAIT = "20 s"

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
    context = multiprocessing.get_context("spawn")
    stop = context.Value("b", 0)
    with ProcessPoolExecutor(jobs, context, _begin, (stop,)) as executor:
        try:
            yield executor
        finally:
            stop.value = 1


def _begin(stop: Any) -> None:
    """A worker leaves Ctrl-C to its parent, which then says stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _shared["stop"] = stop


def told_to_stop() -> bool:
    """Whether the process that this worker computes for has ended its ensemble."""
    stop = _shared.get("stop")
    return stop is not None and bool(stop.value)


def run_all(
    work: Callable[[Job], Result | None],
    jobs: Iterable[Job],
    executor: Executor,
    progress: Callable[[float], None] | None = None,
) -> list[Result]:
    """What ``work`` gives for each job, in their order, without those that were told to stop.

    Ctrl-C passes through; what has not begun then is cancelled. ``progress`` is told the number of finished jobs.
    """
    futures = [executor.submit(work, job) for job in jobs]
    waiting = set(futures)
    try:
        while waiting:
            _, waiting = wait(waiting, POLL, FIRST_COMPLETED)
            if progress is not None:
                progress(len(futures) - len(waiting))
    finally:
        for future in waiting:
            future.cancel()
    return [result for future in futures if (result := future.result()) is not None]


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
