"""What PythonFMU runs: a Python component behind the functions of FMI 2.0 Co-Simulation.

This file travels in the FMU, under a name of its own for each FMU, beside `component.json`, which says what to build.
Nothing raises out of a method: PythonFMU would free its objects twice. An error is logged instead, and front.c makes
the worst status that a call logged its result. Syntax newer than Python 3.8's would hide the message about an old one.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from pythonfmu import Fmi2Slave
from pythonfmu.enums import Fmi2Status

_loading = threading.RLock()
# on a helper module, of its content
_DIGEST = "__galenic_digest__"
_EARLY = 1e-9  # share of a period by which an execution may come early: rounding of the importer's time


class PythonComponent(Fmi2Slave):  # type: ignore[misc]
    """One instance: values by reference, inputs first; the component reads and writes copies of them."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._component: Any = None
        self._start, self._executions = 0.0, 0
        resources = Path(kwargs["resources"])
        # PythonFMU puts it first, where it could hide others' modules; all that is needed of it is loaded
        with suppress(ValueError):
            sys.path.remove(kwargs["resources"])
        self._said = json.loads((resources / "component.json").read_text(encoding="utf-8"))
        ports = self._said["inputs"] + self._said["outputs"]
        self._kinds = [port["kind"] for port in ports]
        self._values = [0.0 if port["start"] is None else port["start"] for port in ports]
        self._inputs = len(self._said["inputs"])
        self._guarded("instantiation", lambda: self._build(resources))

    # ---- what FMI asks for -------------------------------------------------------------------------------------

    def setup_experiment(self, start_time: float, *_: float | None) -> None:
        """Keep the time from which executions are counted."""
        self._start = start_time

    def exit_initialization_mode(self) -> None:
        """Initialise the component, if it is one that can be."""
        if hasattr(self._component, "initialize"):
            self._guarded("initialisation", lambda: self._run(self._component.initialize, self._start))

    def do_step(self, current_time: float, step_size: float) -> bool:
        """Step the component, or execute it at the instants of its period that the step begins with or passes."""
        period = self._said["period"]
        if period is None:
            step = self._component.do_step
            self._guarded(f"the step at t = {current_time:.6g} s", lambda: self._run(step, current_time, step_size))
            return True
        while self._due() < current_time + step_size - _EARLY * period:
            if not self._guarded(f"the execution at t = {self._due():.6g} s", self._execute):
                break
            self._executions += 1
        return True

    def terminate(self) -> None:
        """Let the component free what it holds."""
        if hasattr(self._component, "terminate"):
            self._guarded("termination", self._component.terminate)

    def __del__(self) -> None:
        self.terminate()

    def get_real(self, vrs: list[int]) -> list[float]:
        """Values of Reals."""
        return [float(value) for value in self._get(vrs, "real")]

    def get_integer(self, vrs: list[int]) -> list[int]:
        """Values of Integers."""
        return [round(value) for value in self._get(vrs, "integer")]

    def get_boolean(self, vrs: list[int]) -> list[bool]:
        """Values of Booleans."""
        return [value > 0.5 for value in self._get(vrs, "boolean")]

    def get_string(self, vrs: list[int]) -> list[str]:
        """There are none."""
        return ["" for _ in self._get(vrs, "string")]

    def set_real(self, vrs: list[int], values: list[float]) -> None:
        """Set inputs that are Reals."""
        self._set(vrs, values, "real")

    def set_integer(self, vrs: list[int], values: list[int]) -> None:
        """Set inputs that are Integers."""
        self._set(vrs, values, "integer")

    def set_boolean(self, vrs: list[int], values: list[bool]) -> None:
        """Set inputs that are Booleans."""
        self._set(vrs, values, "boolean")

    def set_string(self, vrs: list[int], values: list[str]) -> None:
        """There are none."""
        self._set(vrs, [0.0] * len(values), "string")

    # ---- values ------------------------------------------------------------------------------------------------

    def _get(self, references: list[int], kind: str) -> list[float]:
        known = [self._known(reference, kind) for reference in references]
        return [self._values[r] if ok else 0.0 for r, ok in zip(references, known)]  # noqa: B905 (Python 3.10)

    def _set(self, references: list[int], values: Sequence[float], kind: str) -> None:
        for reference, value in zip(references, values):  # noqa: B905
            if not self._known(reference, kind):
                continue
            if reference >= self._inputs:
                self._error(f"variable {reference} is an output and cannot be set")
            else:
                self._values[reference] = float(value)

    def _known(self, reference: int, kind: str) -> bool:
        if 0 <= reference < len(self._kinds) and self._kinds[reference] == kind:
            return True
        self._error(f"there is no {kind} variable {reference}")
        return False

    # ---- the component -----------------------------------------------------------------------------------------

    def _build(self, resources: Path) -> None:
        said = self._said
        lacking = _load(resources / "requirements.py", f"{__name__}_requirements").unmet(
            said["python"], said["packages"]
        )
        if lacking:
            self._error(f"'{said['name']}' {lacking}")
            return
        if importlib.util.find_spec("cosim") is None:
            # a process without Galenic: what a component needs of it is embedded
            sys.path.append(str(resources / "contract"))
        # the same FMU may be unpacked again elsewhere, and its first folder be gone
        folder = hashlib.sha256(str(resources).encode("utf-8", "surrogateescape")).hexdigest()[:16]
        self._component = component = build_component(said, resources / "component", f"{__name__}_{folder}", self._port)
        if hasattr(component, "bind"):
            component.bind(component.input_values.copy(), component.output_values.copy())
        self._take_outputs()

    def _port(self, signal: str) -> Any:
        """The port of another component, as it was in the scenario."""
        from cosim.component import Port
        from fmus.errors import GalenicError

        if signal not in self._said["ports"]:
            raise GalenicError(f"it asks for the signal '{signal}', which it did not when it was exported")
        return Port(**self._said["ports"][signal])

    def _due(self) -> float:
        """When a sampled component is executed next."""
        return float(self._start + self._executions * self._said["period"])

    def _execute(self) -> None:
        self._run(self._component.do_step, self._due(), self._said["period"])

    def _run(self, method: Callable[..., None], *arguments: float) -> None:
        self._component.input_values[:] = self._values[: self._inputs]
        method(*arguments)
        self._take_outputs()

    def _take_outputs(self) -> None:
        outputs = [float(value) for value in self._component.output_values]
        if len(outputs) != len(self._values) - self._inputs:
            raise ValueError(
                f"output_values has {len(outputs)} values for {len(self._values) - self._inputs} output ports"
            )
        for value, kind in zip(outputs, self._kinds[self._inputs :]):  # noqa: B905
            if kind != "real":
                round(value)  # raises where it is no number
        self._values[self._inputs :] = outputs

    def _guarded(self, what: str, action: Callable[[], object]) -> bool:
        """Run the user's code; whether it went well. Not even SystemExit may pass."""
        try:
            action()
        except BaseException as error:
            self.log(_clean(traceback.format_exc()), Fmi2Status.ok, "logTraceback")
            last = traceback.format_exception_only(type(error), error)[-1].strip()
            self._error(f"'{self._said['name']}': {what} failed: {last}{_place(error)}")
            return False
        return True

    def _error(self, text: str) -> None:
        self.log(_clean(text), Fmi2Status.error, "logStatusError")


def build_component(said: Mapping[str, Any], directory: Path, module_name: str, find_port: Callable[[str], Any]) -> Any:
    """The component that ``component.json`` describes, its files being in ``directory``."""
    found = getattr(_load(directory / said["file"], module_name, beside=True), said["class"])
    if not hasattr(found, "from_config"):
        return found(said["name"], **said["config"])
    from cosim.component import ControllerContext, Measurement
    from fmus.errors import GalenicError

    context = ControllerContext(
        scenario_name=said["scenario"],
        directory=directory,
        step_size=said["step_size"],
        seed=said["seed"],
        find_port=find_port,
        find_error=lambda key, message, cure: GalenicError(
            f"{'.'.join(map(str, key))}: {message}" if key else message, cure=cure
        ),
        measurements={signal: Measurement(**known) for signal, known in said["measurements"].items()},
    )
    return found.from_config(said["name"], dict(said["config"]), context)


def _load(file: Path, name: str, *, beside: bool = False) -> ModuleType:
    """The module in ``file``, once for each name; with ``beside``, it may import its neighbours."""
    with _loading:
        return sys.modules[name] if name in sys.modules else _loaded(file, name, beside)


def _loaded(file: Path, name: str, beside: bool) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, str(file))
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    helpers = _helpers(file) if beside else {}
    try:
        for helper, place in helpers.items():
            _refuse_twin(helper, place)
        if beside:
            sys.path.append(str(file.parent))
        spec.loader.exec_module(module)
        for helper, place in helpers.items():
            if helper in sys.modules:
                setattr(sys.modules[helper], _DIGEST, _digest(place))
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _helpers(file: Path) -> dict[str, Path]:
    """Modules and packages beside a file."""
    modules = {place.stem: place for place in file.parent.glob("*.py") if place != file}
    return {**modules, **{place.parent.name: place.parent for place in file.parent.glob("*/__init__.py")}}


def _refuse_twin(name: str, place: Path) -> None:
    """A helper with a name that the process knows already: one of the two would get the other's."""
    if getattr(sys.modules.get(name), _DIGEST, None) == _digest(place):
        return
    try:
        spec = importlib.util.find_spec(name)
    except ValueError:  # __main__, and what was made by hand
        spec = None
    if spec is None:
        return
    twin = Path(spec.origin or "")
    twin = twin.parent if twin.name == "__init__.py" else twin
    if not twin.exists() or twin.is_dir() != place.is_dir() or _digest(twin) != _digest(place):
        raise ImportError(f"there is another module '{name}' already, {spec.origin}: rename {place.name}")


def _digest(place: Path) -> str:
    """Of the content of a module, or of all modules of a package."""
    digest = hashlib.sha256()
    for file in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _place(error: BaseException) -> str:
    """The innermost line of the traceback."""
    frames = traceback.extract_tb(error.__traceback__)
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
