"""What a kernel executes: in each communication step a list of stages, then the recordings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from cosim.component import FloatArray

if TYPE_CHECKING:
    from cosim.checkpoint import Remembers
    from cosim.recorder import RecordingGroup
    from cosim.system import System


@dataclass(frozen=True)
class Gather:
    """A component's inputs from the signals as they are now."""

    component: int


@dataclass(frozen=True)
class Step:
    """A component: set its inputs, do_step, get its outputs."""

    component: int


@dataclass(frozen=True)
class Call:
    """A function of the number of the communication step, in Python: it raises what goes wrong."""

    function: Callable[[int], None]


Stage = Gather | Step | Call


@dataclass(frozen=True)
class Program:
    """One communication step.

    Args:
        stages: in order.
        ahead: for each connection of the system's gather how far its source's value is carried on, in parts of the
            component's step: 0 holds it; 0.5 takes the value in the middle of the step if it grows on as it did; -0.5,
            where the source is a step ahead already, the mean of its last two values.
        remembering: what the algorithm keeps from step to step.
    """

    stages: Sequence[Stage]
    ahead: FloatArray
    remembering: Sequence[Remembers] = ()


@dataclass
class Schedule:
    """Signals whose values are known for a block of communication steps.

    Args:
        slots: their positions, shape (m,).
        values: shape (steps, m).
    """

    slots: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    values: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))


class Kernel(Protocol):
    """Executes a program. `NativeKernel` and `PythonKernel` give the same numbers to the last bit."""

    def run(self, first: int, count: int, schedule: Schedule) -> None:
        """Execute ``count`` communication steps from number ``first``; ``completed`` counts those that are done.

        Raises:
            GalenicError: a component fails, or an output is no number.
        """

    @property
    def completed(self) -> int:
        """The number of the next communication step."""

    def seconds(self) -> list[float]:
        """Wall time spent in each component so far."""

    def state(self) -> dict[str, Any]:
        """For a checkpoint: what the sources of extrapolated connections were before, and the wall times."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`, of whichever kernel."""


class KernelFactory(Protocol):
    """Builds a kernel for a system whose components are initialised."""

    def __call__(self, system: System, program: Program, recordings: Sequence[RecordingGroup]) -> Kernel:
        """The kernel."""
