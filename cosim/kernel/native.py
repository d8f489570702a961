"""The kernel in C: compiled once per machine, fed with flat arrays."""

from __future__ import annotations

import ctypes
import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from importlib import resources
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from cosim.kernel.program import Call, Gather, Program, Schedule, Stage, Step
from fmus.export import cache_directory
from fmus.toolchain import compile_shared_library, compiler_version, this_platform

if TYPE_CHECKING:
    from cosim.recorder import RecordingGroup
    from cosim.system import System

# the order of the enumeration in kernel.c
_KINDS = (
    *("float64", "float32", "int8", "uint8", "int16", "uint16"),
    *("int32", "uint32", "int64", "uint64", "boolean2", "boolean3"),
)
_INTEGER_KIND = {"enumeration": "int64"}
_DONE, _FAILED_SET, _FAILED_STEP, _FAILED_GET, _EARLY, _TERMINATED, _NOT_FINITE, _CALLED = range(8)
_DURING = {_FAILED_SET: "setting the inputs", _FAILED_STEP: "doStep", _FAILED_GET: "reading the outputs"}

_pointer, _int, _real = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int64)


def _structure(name: str, *fields: tuple[str, Any]) -> Any:
    return type(name, (ctypes.Structure,), {"_fields_": list(fields)})


_Access = _structure(
    "Access",
    *((field, _pointer) for field in ("function", "references", "buffer")),
    *((field, _int) for field in ("reference_count", "value_count", "first", "kind")),
)
_Component = _structure(
    "Component",
    *((field, _pointer) for field in ("instance", "do_step", "set", "get")),
    *((field, _int) for field in ("set_count", "get_count", "first_row", "end_row", "first_output", "output_count")),
    *((field, _int) for field in ("version", "every", "steps", "status", "result")),
    *((field, _real) for field in ("seconds", "last_seconds", "reached")),
)
_Stage = _structure("Stage", ("kind", _int), ("component", _int), ("together", _int), ("call", _pointer))
_Recording = _structure(
    "Recording",
    *((field, _pointer) for field in ("columns", "block")),
    *((field, _int) for field in ("column_count", "every", "row")),
)
_Kernel = _structure(
    "Kernel",
    *((field, _pointer) for field in ("signals", "source", "target", "factor", "offset", "ahead", "previous")),
    *((field, _pointer) for field in ("components", "stages", "recordings", "slots", "scheduled")),
    *((field, _int) for field in ("stage_count", "recording_count", "scheduled_count")),
    ("step_size", _real),
    *((field, _int) for field in ("physical", "threads", "at_step", "at_stage", "at_component")),
    *((field, _int) for field in ("active", "generation", "next", "left", "group")),
)


class NativeKernel:
    """Executes a program in C. Stages that need Python, and components without native functions, are called back.

    Args:
        system: its components are initialised; the kernel works on its signals.
        program: the stages.
        recordings: where rows go.

    Raises:
        GalenicError: the C source cannot be compiled here.
    """

    def __init__(self, system: System, program: Program, recordings: Sequence[RecordingGroup]) -> None:
        self._run = _library().galenic_kernel_run
        self._system, self._program, self._recordings = system, program, recordings
        self._keep: list[Any] = []
        self._raised: BaseException | None = None
        self.completed = 0
        components = (_Component * max(len(system.components), 1))()
        for number in range(len(system.components)):
            components[number] = self._component(number)
        self._components = components
        stages = (_Stage * max(len(program.stages), 1))(
            *(self._stage(stage, together) for stage, together in zip(program.stages, self._groups(), strict=True))
        )
        threads = min(system.scenario.master.threads, max(len(system.components), 1))
        self._pool = ThreadPoolExecutor(threads - 1, "galenic-kernel") if threads > 1 else None
        self._blocks = (_Recording * max(len(recordings), 1))()
        gather, ahead = system.gather, np.ascontiguousarray(program.ahead)
        self._previous = np.full(len(ahead), np.nan)  # nothing was before
        self._kernel = _Kernel(
            signals=system.signals.ctypes.data,
            source=gather.source.ctypes.data,
            target=gather.target.ctypes.data,
            factor=gather.factor.ctypes.data,
            offset=gather.offset.ctypes.data,
            ahead=ahead.ctypes.data,
            previous=self._previous.ctypes.data,
            components=ctypes.addressof(components),
            stages=ctypes.addressof(stages),
            recordings=ctypes.addressof(self._blocks),
            stage_count=len(program.stages),
            recording_count=len(recordings),
            step_size=system.step_size,
            physical=system.physical,
            threads=threads,
        )
        self._keep += [components, stages, ahead]

    def run(self, first: int, count: int, schedule: Schedule) -> None:
        """Execute ``count`` communication steps from number ``first``. Raises what a component raises."""
        kernel = self._kernel
        kernel.slots, kernel.scheduled = schedule.slots.ctypes.data, schedule.values.ctypes.data
        kernel.scheduled_count = len(schedule.slots)
        done, stage = 0, 0
        while done < count:
            block = min([count - done, *(self._room(group, first + done) for group in self._recordings)])
            self._open_recordings()
            kernel.scheduled = schedule.values.ctypes.data + schedule.values.itemsize * done * len(schedule.slots)
            result = self._run_with_help(first + done, block, stage)
            self.completed = first + done + block if result == _DONE else kernel.at_step
            self._close_recordings()
            if result == _DONE:
                done, stage = done + block, 0
            else:
                self._settle(result)
                done, stage = kernel.at_step - first, kernel.at_stage + 1

    def _run_with_help(self, first: int, count: int, stage: int) -> int:
        """The call into C, with other threads in it at the same time where the scenario wants them."""
        kernel = ctypes.byref(self._kernel)
        if self._pool is None:
            return int(self._run(kernel, first, count, stage))
        self._kernel.active = 1
        help_ = _library().galenic_kernel_help
        helping = [self._pool.submit(help_, kernel) for _ in range(self._kernel.threads - 1)]
        try:
            return int(self._run(kernel, first, count, stage))
        finally:
            self._kernel.active = 0
            wait(helping)

    def seconds(self) -> list[float]:
        """Wall time spent in each component so far; light ones are timed in one step of 64."""
        return [float(component.seconds) for component in self._components][: len(self._system.components)]

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"previous": self._previous.copy(), "seconds": self.seconds()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self._previous[:] = state["previous"]
        for component, seconds in zip(self._components, state["seconds"], strict=False):
            component.seconds = seconds

    # ---- structures --------------------------------------------------------------------------------------------

    def _component(self, number: int) -> Any:
        system = self._system
        component = system.components[number]
        begin, middle, end = system.spans[number]
        first_row, end_row = system.row_spans[number]
        native = component.native
        into = self._accesses(component.accesses_in, begin) if native else (_Access * 1)()
        out = self._accesses(component.accesses_out, middle) if native else (_Access * 1)()
        self._keep += [into, out]
        return _Component(
            instance=native.instance if native else None,
            do_step=native.function if native else None,
            set=ctypes.addressof(into),
            get=ctypes.addressof(out),
            set_count=len(component.accesses_in) if native else 0,
            get_count=len(component.accesses_out) if native else 0,
            first_row=first_row,
            end_row=end_row,
            first_output=middle,
            output_count=end - middle,
            version=native.version if native else 0,
            every=self._system.every[number],
        )

    def _accesses(self, accesses: Sequence[Any], offset: int) -> Any:
        made = (_Access * max(len(accesses), 1))()
        for place, a in enumerate(accesses):
            made[place] = _Access(
                function=ctypes.cast(a.function, _pointer).value,
                references=ctypes.addressof(a.references),
                buffer=a.buffer.ctypes.data,
                reference_count=a.count,
                value_count=a.values_count,
                first=offset + a.first,
                kind=_KINDS.index(_INTEGER_KIND.get(a.kind, a.kind)),
            )
        self._keep += [accesses]
        return made

    def _stage(self, stage: Stage, together: int) -> Any:
        if isinstance(stage, Call):
            return _Stage(2, 0, 1, self._callback(stage.function))
        if isinstance(stage, Gather):
            return _Stage(0, stage.component, 1, None)
        if not self._is_native(stage):
            return _Stage(2, stage.component, 1, self._callback(self._stepper(stage.component)))
        return _Stage(1, stage.component, together, None)

    def _is_native(self, stage: Stage) -> bool:
        return isinstance(stage, Step) and self._system.components[stage.component].native is not None

    def _groups(self) -> list[int]:
        """For each stage how many native steps stand together from it on; in the middle of such a group 1."""
        stages, sizes = self._program.stages, [1] * len(self._program.stages)
        first = 0
        for native, group in groupby(stages, self._is_native):
            count = len(list(group))
            if native:
                sizes[first] = count
            first += count
        return sizes

    def _callback(self, function: Callable[[int], None]) -> Any:
        def called(step: int) -> int:
            try:
                function(step)
            except BaseException as error:  # raised again when C has returned
                self._raised = error
                return 1
            return 0

        made = _CALLBACK(called)
        self._keep.append(made)
        return ctypes.cast(made, _pointer).value

    def _stepper(self, number: int) -> Callable[[int], None]:
        from cosim.kernel.python_kernel import stepper

        timings = self._components_seconds
        return stepper(self._system, number, lambda spent: timings(number, spent))

    def _components_seconds(self, number: int, spent: float) -> None:
        self._components[number].seconds += spent

    # ---- recordings --------------------------------------------------------------------------------------------

    @staticmethod
    def _room(group: RecordingGroup, step: int) -> int:
        """Communication steps from number ``step`` that can be executed until the group's block is full."""
        return group.room * group.every + (group.every - 1 - step % group.every)

    def _open_recordings(self) -> None:
        for group, block in zip(self._recordings, self._blocks, strict=False):
            block.columns, block.block = group.columns.ctypes.data, group.block.ctypes.data
            block.column_count, block.every, block.row = len(group.columns), group.every, group.row

    def _close_recordings(self) -> None:
        for group, block in zip(self._recordings, self._blocks, strict=False):
            if block.row > group.row:
                group.written(block.row - group.row)

    # ---- what stops a block ------------------------------------------------------------------------------------

    def _settle(self, result: int) -> None:
        """Finish the stage at which the kernel stopped, or raise."""
        kernel, system = self._kernel, self._system
        if result == _CALLED:
            error, self._raised = self._raised, None
            assert error is not None
            raise error
        number = kernel.at_component
        component, every = system.components[number], self._system.every[number]
        told = self._components[number]
        begin = (kernel.at_step + 1 - every) * system.step_size
        end = begin + every * system.step_size
        if result in _DURING:
            component.fail(told.status, _DURING[result], begin)
        if result == _NOT_FINITE:
            system.raise_not_finite(number, end)
        if result == _TERMINATED:
            component.ended(told.reached)
        assert component.native is not None
        component.resume(told.reached if component.native.version == 3 else None, end)
        system.check_finite(number, end)


@cache
def _library() -> Any:
    """The compiled kernel, from the cache or made now."""
    source = resources.files("cosim.kernel").joinpath("kernel.c").read_text(encoding="utf-8")
    platform = this_platform()
    key = hashlib.sha256("\n".join((source, compiler_version(), platform.fmi_name)).encode()).hexdigest()[:20]
    file = cache_directory().parent / "kernel" / f"kernel-{key}{platform.suffix}"
    if not file.is_file():
        binary = compile_for_here(source)
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(f"{file.stem}-{np.random.default_rng().integers(1 << 60):x}.tmp")
        temporary.write_bytes(binary)
        temporary.replace(file)
    library = ctypes.CDLL(str(file))
    library.galenic_kernel_run.argtypes = (_pointer, _int, _int, _int)
    library.galenic_kernel_run.restype = ctypes.c_int
    library.galenic_kernel_help.argtypes = (_pointer,)
    library.galenic_kernel_help.restype = None
    return library


def compile_for_here(source: str) -> bytes:
    """The kernel for this platform; on macOS for this processor alone."""
    import platform as machine

    slices = compile_shared_library({"kernel.c": source}, "kernel.c", this_platform(), "kernel")
    position = 1 if sys.platform == "darwin" and machine.machine() == "arm64" else 0
    return slices[position if len(slices) > 1 else 0]
