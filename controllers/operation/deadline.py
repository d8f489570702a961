"""An answer in time, whatever a law does: it computes in a thread of its own, and who asks waits only so long."""

from __future__ import annotations

import atexit
import gc
import math
import sys
import threading
import time as clock
import weakref
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")

#: What is kept of a deadline to wake up and to answer without the law: this share, and no more than so long (s).
_SHARE, _ENOUGH = 0.2, 0.01
#: Python code in one thread gives way to the other after this share of the deadline.
_GIVES_WAY = 0.02
#: At the end of the process, solvers have this long (s) to finish: what is cut off inside a library can crash.
_LAST_WAIT = 5.0


def reserve(deadline: float) -> float:
    """How long before the deadline nobody waits for the law any more; both in s."""
    return min(_SHARE * deadline, _ENOUGH)


class _Quiet:
    """While somebody holds it, Python does not search for cyclic garbage, which can stop all threads for 100 ms."""

    def __init__(self) -> None:
        self._lock, self._holders, self._was_on = threading.Lock(), set[object](), False

    def hold(self, who: object) -> None:
        on = gc.isenabled()
        gc.disable()  # first of all, for what follows may set off a search
        with self._lock:
            self._was_on = self._was_on or on or gc.isenabled()
            gc.disable()
            self._holders.add(who)

    def release(self, who: object) -> None:
        with self._lock:
            if who in self._holders:
                self._holders.discard(who)
                if not self._holders and self._was_on:
                    self._was_on = False
                    gc.enable()


#: Held by executions with a deadline, and by what they have asked for until it ends.
QUIET = _Quiet()


class Task:
    """A call that another thread makes.

    Attributes:
        begun: whether it was.
        finished: whether ``answer`` or ``error`` is there.
    """

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call: Callable[[], Any] | None = call
        self._done = threading.Lock()
        self._done.acquire()
        self.begun, self.finished = False, False
        self.answer: Any = None
        self.error: BaseException | None = None

    def drop(self) -> None:
        """It is not wanted any more; what has begun goes on to its end."""
        self._call = None

    def run(self) -> None:
        """Make the call, in the thread that is there for it."""
        call, self._call = self._call, None
        if call is not None:
            self.begun = True
            QUIET.hold(self)
            try:
                self.answer = call()
            except BaseException as error:  # raised again where it was asked for
                self.error = error
            QUIET.release(self)
        self.finished = True
        self._done.release()

    def wait(self, until: float) -> bool:
        """Whether it is finished by that time of the clock."""
        if self.finished:
            return True
        left = -1.0 if math.isinf(until) else min(max(0.0, until - clock.perf_counter()), threading.TIMEOUT_MAX)
        return self._done.acquire(timeout=left)


class OutOfTimeError(Exception):
    """There was no answer in time; ``task`` may have one later."""

    def __init__(self, task: Task) -> None:
        super().__init__("no answer in time" if task.begun else "busy until the time was up")
        self.task = task


class Worker:
    """A thread that computes one thing after the other, for one that has no time to wait.

    Where the time is up, what was asked for is computed later, in its order, or not at all. Libraries that compute
    without Python's lock (CasADi and all that is compiled) do not hold up who waits; for Python code the interval at
    which threads give way is shortened. The thread ends with this object.

    Args:
        deadline: how long answers may take, in s.
    """

    def __init__(self, deadline: float) -> None:
        sys.setswitchinterval(min(sys.getswitchinterval(), max(_GIVES_WAY * deadline, 1e-5)))
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()
        self._open: deque[Task] = deque()
        self._begin()
        weakref.finalize(self, self._tasks.put, None).atexit = False
        _WORKERS.add(self)

    @property
    def behind(self) -> int:
        """How many things are not computed yet."""
        while self._open and self._open[0].finished:
            self._open.popleft()
        return len(self._open)

    def ask(self, call: Callable[[], T], until: float, *, later: bool = False) -> T:
        """The answer to a call, or its error.

        Args:
            call: what to compute.
            until: time of the clock (`time.perf_counter`) at which whoever asks goes on without an answer.
            later: whether it is computed all the same when it could not begin in time.

        Raises:
            OutOfTimeError: there is none in time.
        """
        task = Task(call)
        if later or clock.perf_counter() < until:
            if not self._thread.is_alive():  # threads do not follow into a forked process
                self._begin()
            self._open.append(task)
            self._tasks.put(task)
        if not task.wait(until):
            if not later:
                task.drop()
            raise OutOfTimeError(task)
        if task.error is not None:
            raise task.error
        answer: T = task.answer
        return answer

    def forget(self) -> None:
        """Drop whatever has not begun."""
        for task in self._open:
            task.drop()

    def give_up(self) -> None:
        """What runs may never end: the rest of the process goes on as if it was not there."""
        for task in self._open:
            QUIET.release(task)

    def wait(self, until: float) -> None:
        """Until nothing is left to compute, or that time of the clock."""
        if self.behind:
            self._open[-1].wait(until)

    def _begin(self) -> None:
        self._thread = threading.Thread(target=_work, args=(self._tasks,), name="control law", daemon=True)
        self._thread.start()


def _work(tasks: SimpleQueue[Task | None]) -> None:
    with np.errstate(all="ignore"):  # of each thread; absurd numbers are told by their codes
        while (task := tasks.get()) is not None:
            task.run()
            del task  # it holds the law


_WORKERS: weakref.WeakSet[Worker] = weakref.WeakSet()


@atexit.register
def _wait_for_all() -> None:
    until = clock.perf_counter() + _LAST_WAIT
    for worker in list(_WORKERS):
        worker.wait(until)
