"""From a Python component to an FMU file: PythonFMU's library and classes, the component's files, a front in C."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import io
import json
import re
import sys
import uuid
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from cosim.component import Port
from cosim.python_fmu.component import Prepared, Wanted, classes_in, prepare
from cosim.python_fmu.description import documentation, model_description
from cosim.python_fmu.imports import CONTRACT
from cosim.python_fmu.requirements import clauses, satisfies
from cosim.scenario import Scenario
from cosim.sensors import Sensor
from cosim.system import System
from fmus.errors import GalenicError
from fmus.export import cache_directory, write_atomically
from fmus.toolchain import chosen_platforms, compile_shared_library, compiler_version

_HERE = Path(__file__).parent
_ROOMS = _HERE.parent.parent
# PythonFMU runs this for each instance, keeps what it defines, and drops a reference to its names that it does not own
_ENTRY = """\
import ctypes
from {module} import PythonComponent
ctypes.pythonapi.Py_IncRef(ctypes.py_object(globals()))
"""
# PythonFMU has a library for these
_PLATFORMS = ("linux64", "win64")
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def is_python_component(target: str) -> bool:
    """Whether ``target`` is ``file.py:Class``: a class is a component, a function a unit model."""
    file, colon, name = target.rpartition(":")
    return bool(colon) and file.endswith(".py") and name in classes_in(Path(file).expanduser())


def build_python_fmu(
    target: str,
    directory: str | Path,
    *,
    config: Mapping[str, Any] | None = None,
    requires: Sequence[str] = (),
    files: Sequence[str] = (),
    platforms: Iterable[str] | None = None,
) -> Path:
    """Build the FMU of a component that is a class in a Python file, and return its path.

    Args:
        target: ``file.py:Class``.
        directory: where ``<Class>.fmu`` is written.
        config: what the component's section of a scenario would hold.
        requires: packages that it needs, beside those that the class states in ``requires``.
        files: files to embed, relative to the Python file, beside those that the class states in ``files``.
        platforms: FMI's names of the platforms; without them, all that PythonFMU has a library for.

    Raises:
        GalenicError: PythonFMU is missing, or the component is not complete or cannot be built.
    """
    file, _, class_name = target.rpartition(":")

    def no_port(signal: str) -> NoReturn:
        raise GalenicError(
            f"'{class_name}' asks for the signal '{signal}' of a system, and there is none",
            cure="export the scenario in which it is a controller: galenic export SCENARIO",
        )

    path = Path(file).expanduser()
    wanted = Wanted(
        name=class_name,
        file=path,
        class_name=class_name,
        directory=path.parent,
        config={} if config is None else config,
        find_port=no_port,
        requires=requires,
        files=files,
    )
    return write_python_fmu(wanted, directory, platforms)


def build_controller_fmus(
    scenario: Scenario, directory: str | Path, *, platforms: Iterable[str] | None = None
) -> list[Path]:
    """Build an FMU of each controller of a scenario that is the user's own class, ``file.py:Class``.

    Raises:
        GalenicError: like `build_python_fmu`, and what is wrong in the scenario.
    """
    from cosim.system_builder import build_system

    own = _own_controllers(scenario)
    if not own:
        return []
    _pythonfmu()
    system = build_system(scenario)
    files = []
    for name, config in own.items():
        file, _, class_name = config["type"].rpartition(":")
        wanted = wanted_controller(
            scenario, system, name, file=scenario.resolve(file), class_name=class_name, config=config
        )
        try:
            files.append(write_python_fmu(wanted, directory, platforms))
        except GalenicError as error:
            raise scenario.located(("controllers", name), error) from error
    return files


def wanted_controller(
    scenario: Scenario,
    system: System,
    name: str,
    *,
    file: Path,
    class_name: str,
    config: Mapping[str, Any],
    requires: Sequence[str] = (),
    files: Sequence[str] = (),
) -> Wanted:
    """A controller of a scenario to export, with all of the scenario that it may ask for; see `Wanted`."""

    def port(signal: str) -> Port:
        return system.ports[signal]  # the controllers were built with it: every signal that they ask for is there

    return Wanted(
        name=name,
        file=file,
        class_name=class_name,
        directory=scenario.directory,
        config=config,
        find_port=port,
        scenario=scenario.name,
        step_size=scenario.communication_step,
        seed=scenario.seed,
        measurements={f"{s.name}.value": s.measurement for s in system.sampled if isinstance(s, Sensor)},
        requires=requires,
        files=files,
    )


def build_python_fmus(
    target: str,
    directory: str | Path,
    *,
    fmi: Iterable[int] = (2,),
    platforms: Iterable[str] | None = None,
    on_left_out: Callable[[str], None] = lambda _: None,
) -> list[Path]:
    """What is Python in ``target``: a component, ``file.py:Class``, or a scenario's own controllers; else nothing.

    Args:
        target: what `galenic export` was given.
        directory: where the FMUs are written.
        fmi: the versions that are wanted; PythonFMU has FMI 2.0 only.
        platforms: the platforms that are wanted; those without a library of PythonFMU are left out.
        on_left_out: told why a scenario's controllers are not exported, where that is not their fault.

    Raises:
        GalenicError: like `build_python_fmu`, or a component is wanted as FMI 3.0.
    """
    from cosim.library import load_scenario, scenario_names

    if is_python_component(target):
        if 2 not in fmi:
            raise GalenicError("a Python component is exported as FMI 2.0 only", cure="export it with --fmi 2")
        return [build_python_fmu(target, directory, platforms=platforms)]
    if not target.lower().endswith((".yaml", ".yml")) and target not in scenario_names():
        return []
    scenario = load_scenario(target)
    own = ", ".join(f"'{name}'" for name in _own_controllers(scenario))
    if not own:
        return []
    wanted = None if platforms is None else list(platforms)
    try:
        if 2 not in fmi:
            raise GalenicError("Python is exported as FMI 2.0 only")
        _pythonfmu()
        _chosen(wanted)
    except GalenicError as error:
        on_left_out(f"Not exported: {own}. {error}")
        return []
    return build_controller_fmus(scenario, directory, platforms=wanted)


def _own_controllers(scenario: Scenario) -> dict[str, dict[str, Any]]:
    return {name: config for name, config in scenario.controllers.items() if ".py:" in config["type"]}


# ---- the archive ---------------------------------------------------------------------------------------------------


def write_python_fmu(wanted: Wanted, directory: str | Path, platforms: Iterable[str] | None) -> Path:
    """Write the FMU of what is wanted. Raises GalenicError like `build_python_fmu`."""
    package = _pythonfmu()
    if not _NAME.fullmatch(wanted.name):
        raise GalenicError(
            f"'{wanted.name}' cannot be an FMU's name", cure="use letters, digits and underscores", file=wanted.file
        )
    chosen = _chosen(platforms)
    prepared = prepare(wanted)
    target = Path(directory) / f"{wanted.name}.fmu"
    write_atomically(target, _archive(prepared, chosen, package))
    return target


def _pythonfmu() -> Path:
    """The folder of PythonFMU."""
    spec = importlib.util.find_spec("pythonfmu")
    if spec is None or spec.origin is None:
        raise GalenicError(
            "a Python component is exported with PythonFMU, which is not installed",
            cure='pip install "pythonfmu>=0.7,<0.8" (or Galenic with its extra: pip install ".[python-fmu]")',
        )
    version = importlib.metadata.version("pythonfmu")
    if not version.startswith("0.7"):
        raise GalenicError(f"PythonFMU {version} is not known here", cure='pip install "pythonfmu>=0.7,<0.8"')
    return Path(spec.origin).parent


def _chosen(platforms: Iterable[str] | None) -> list[str]:
    wanted = [p.fmi_name for p in chosen_platforms(_PLATFORMS if platforms is None else platforms)]
    possible = [name for name in wanted if name in _PLATFORMS]
    if not possible:
        raise GalenicError(
            f"no FMU of a Python component can be built for {' and '.join(wanted)}",
            cure=f"PythonFMU has libraries for {' and '.join(_PLATFORMS)}",
        )
    return possible


def _archive(prepared: Prepared, platforms: Sequence[str], package: Path) -> bytes:
    galenic, pythonfmu = importlib.metadata.version("galenic"), importlib.metadata.version("pythonfmu")
    said = json.dumps(prepared.said, indent=1)  # the order of a section may be that of the ports
    about = prepared.description or f"The Python class {prepared.said['class']} as an FMU."
    entries: dict[str, bytes] = {
        **{f"binaries/{name}/{prepared.name}{suffix}": data for name, suffix, data in _fronts(platforms)},
        "documentation/index.html": documentation(prepared, platforms, about).encode(),
        **_license(),
        "resources/component.json": said.encode(),
        "resources/requirements.txt": ("\n".join(prepared.packages) + "\n").encode(),
        "resources/requirements.py": (_HERE / "requirements.py").read_bytes(),
        **{f"resources/component/{place}": content for place, content in prepared.files.items()},
        **{f"resources/contract/{place}": (_ROOMS / place).read_bytes() for place in CONTRACT},
        **{f"resources/pythonfmu/{file.name}": file.read_bytes() for file in sorted(package.glob("*.py"))},
        **_libraries(package, platforms),
    }
    slave = (_HERE / "slave.py").read_bytes()
    digest = hashlib.sha256()
    for place, content in entries.items():
        digest.update(place.encode() + hashlib.sha256(content).digest())
    digest.update(slave)
    guid = "{" + str(uuid.UUID(digest.hexdigest()[:32])) + "}"
    # Python keeps one module of a name in a process: each FMU has its own
    module = f"galenic_component_{digest.hexdigest()[:16]}"
    entries |= {
        f"resources/{module}.py": slave,
        f"resources/{module}_entry.py": _ENTRY.format(module=module).encode(),
        "resources/slavemodule.txt": f"{module}_entry\n".encode(),
        "resources/front.txt": "\n".join([guid, *_python_libraries(prepared.python), ""]).encode(),
    }
    description = model_description(prepared, guid, platforms, galenic, pythonfmu)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for place, content in {"modelDescription.xml": description, **entries}.items():
            archive.writestr(zipfile.ZipInfo(place, _ZIP_DATE), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _python_libraries(python: str) -> list[str]:
    """What front.c tries in a process without Python: this Python's version first, then the newest."""
    wanted = clauses(python)
    minors = sorted(
        range(8, max(sys.version_info.minor, 13) + 2), key=lambda minor: (minor != sys.version_info.minor, -minor)
    )
    fitting = [minor for minor in minors if satisfies(f"3.{minor}.99", wanted) or satisfies(f"3.{minor}", wanted)]
    return [*(f"libpython3.{minor}.so.1.0" for minor in fitting), "python3.dll"]


def _fronts(platforms: Sequence[str]) -> list[tuple[str, str, bytes]]:
    """Platform, suffix and binary of front.c; the same for every component, so that it is compiled once."""
    source = (_HERE / "front.c").read_text(encoding="utf-8")
    key = hashlib.sha256(f"{source} {compiler_version()}".encode()).hexdigest()[:16]
    fronts = []
    for platform in chosen_platforms(platforms):
        cached = cache_directory() / f"python-front-{key}" / f"{platform.fmi_name}{platform.suffix}"
        if not cached.exists():
            [binary] = compile_shared_library({"front.c": source}, "front.c", platform, "front")
            write_atomically(cached, binary)
        fronts.append((platform.fmi_name, platform.suffix, cached.read_bytes()))
    return fronts


def _libraries(package: Path, platforms: Sequence[str]) -> dict[str, bytes]:
    """PythonFMU's libraries, where front.c looks for them."""
    names = {"linux64": "libpythonfmu-export.so", "win64": "pythonfmu-export.dll"}
    places = [f"resources/binaries/{platform}/{names[platform]}" for platform in platforms]
    return {f"resources/pythonfmu/{place}": (package / place).read_bytes() for place in places}


def _license() -> dict[str, bytes]:
    """PythonFMU's licence, which has to go with it."""
    files = importlib.metadata.files("pythonfmu") or []
    found = next((file for file in files if file.name.upper().startswith("LICENSE")), None)
    return {} if found is None else {"documentation/licenses/pythonfmu.txt": Path(str(found.locate())).read_bytes()}
