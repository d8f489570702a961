"""A user's Python component as it stands before it is exported: its files, what it asks for, what it offers."""

from __future__ import annotations

import ast
import json
import math
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cosim.component import Measurement, Port
from cosim.python_fmu.imports import check_imports, normal, parsed
from cosim.python_fmu.requirements import clauses, parse, unmet
from fmus.errors import GalenicError, nearest

# for a class that stands elsewhere than its scenario
_BESIDE = "beside/"
# what the contract itself needs
_PYTHON, _NUMPY = ">=3.11", "numpy>=1.26"


@dataclass(frozen=True)
class Wanted:
    """What is to be exported.

    Args:
        name: of the component and of the FMU.
        file: the Python file.
        class_name: the class in it.
        directory: the folder against which files are resolved: the scenario's, or the Python file's.
        config: the component's section of a scenario.
        scenario: the scenario's name.
        step_size: its communication step in s.
        seed: its seed.
        find_port: ports of the scenario's other signals; raises GalenicError.
        measurements: the scenario's sensors, by the name of their value signal.
        requires: packages, beside those that the class states.
        files: files to embed, relative to the Python file, beside those that the class and the section name.
    """

    name: str
    file: Path
    class_name: str
    directory: Path
    config: Mapping[str, Any]
    find_port: Callable[[str], Port]
    scenario: str = ""
    step_size: float = 1.0
    seed: int = 0
    measurements: Mapping[str, Measurement] = field(default_factory=dict)
    requires: Sequence[str] = ()
    files: Sequence[str] = ()


@dataclass(frozen=True)
class Prepared:
    """What goes into the FMU: ``said`` is component.json, ``files`` the component's own, by their place."""

    name: str
    description: str
    said: Mapping[str, Any]
    files: Mapping[str, bytes]
    inputs: Sequence[Port]
    outputs: Sequence[Port]
    step_size: float

    @property
    def python(self) -> str:
        """The versions of Python that do."""
        return str(self.said["python"])

    @property
    def packages(self) -> Sequence[str]:
        """The packages that are needed."""
        return tuple(self.said["packages"])

    @property
    def sampled(self) -> bool:
        """Whether it is executed at instants of its own."""
        return self.said["period"] is not None


def prepare(wanted: Wanted) -> Prepared:
    """Build the component from copies of the files that the FMU will hold, and describe it.

    Raises:
        GalenicError: a file, a package or a statement about packages is missing, or the component cannot be built.
    """
    source = _Source.read(wanted)
    main = _place_of(wanted.file, wanted)
    sources = {main: wanted.file}
    for file in _named_files(wanted, source):
        sources.setdefault(_place_of(file, wanted), file)
    files = {place: file.read_bytes() for place, file in sources.items()}
    python = str(source.attribute("requires_python", _PYTHON))
    packages = _packages(wanted, source)
    check_imports(sources, packages)
    lacking = unmet(python, packages)
    if lacking:
        raise GalenicError(f"'{wanted.name}' {lacking}", file=wanted.file)
    said: dict[str, Any] = {
        "name": wanted.name,
        "file": main,
        "class": wanted.class_name,
        "config": dict(wanted.config),
        "scenario": wanted.scenario,
        "step_size": wanted.step_size,
        "seed": wanted.seed,
        "measurements": {signal: vars(known) for signal, known in wanted.measurements.items()},
        "python": python,
        "packages": packages,
    }
    try:
        json.dumps(said)
    except (TypeError, ValueError) as error:
        raise GalenicError(
            f"the options of '{wanted.name}' cannot be stored: {error}",
            cure="use numbers, texts, lists and mappings",
            file=wanted.file,
        ) from error
    ports: dict[str, Any] = {}
    component = _built(wanted, said, files, ports)
    inputs, outputs = _ports(wanted, component)
    period = None if getattr(component, "period", None) is None else float(component.period)
    said |= {
        "ports": ports,
        "inputs": [vars(port) for port in inputs],
        "outputs": [vars(port) for port in outputs],
        "period": period,
    }
    return Prepared(
        wanted.name, source.summary, said, files, inputs, outputs, wanted.step_size if period is None else period
    )


class _Source:
    """A Python file, read and not run."""

    def __init__(self, tree: ast.Module, lineage: Sequence[ast.ClassDef], file: Path) -> None:
        self.file = file
        self.body = [node for found in lineage for node in found.body]
        text = ast.get_docstring(lineage[0]) or ast.get_docstring(tree) or ""
        self.summary = (text.strip().splitlines() or [""])[0]

    @classmethod
    def read(cls, wanted: Wanted) -> _Source:
        tree = parsed(wanted.file)
        classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
        if wanted.class_name not in classes:
            raise GalenicError(
                f"there is no class '{wanted.class_name}'", cure=nearest(wanted.class_name, classes), file=wanted.file
            )
        lineage, pending = [], [wanted.class_name]
        while pending:
            found = classes.pop(pending.pop(0), None)
            if found is not None:
                lineage.append(found)
                pending += [base.id for base in found.bases if isinstance(base, ast.Name)]
        return cls(tree, lineage, wanted.file)

    def attribute(self, name: str, default: Any) -> Any:
        """A class attribute, its own or a base's in the file, written as a literal: known without the packages."""
        for node in self.body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            if not any(isinstance(target, ast.Name) and target.id == name for target in targets):
                continue
            try:
                return ast.literal_eval(node.value)  # type: ignore[attr-defined]
            except ValueError as error:
                raise GalenicError(
                    f"'{name}' has to be written out", cure="give texts, not names", file=self.file, line=node.lineno
                ) from error
        return default

    def texts(self, name: str) -> list[str]:
        """A class attribute that is a list or tuple of texts."""
        value = self.attribute(name, ())
        if not isinstance(value, list | tuple) or not all(isinstance(text, str) for text in value):
            raise GalenicError(
                f"'{name}' has to be a list of texts",
                cure='write for example requires = ["scikit-learn>=1.5"]',
                file=self.file,
            )
        return list(value)


def classes_in(file: Path) -> list[str]:
    """The names of the classes that a Python file defines, without running it; none if it is not one."""
    try:
        return [node.name for node in parsed(file).body if isinstance(node, ast.ClassDef)]
    except GalenicError:
        return []


# ---- files ---------------------------------------------------------------------------------------------------------


def _named_files(wanted: Wanted, source: _Source) -> Iterator[Path]:
    """What the class and the caller name, beside the class, and what texts of the section name, beside the scenario.

    A folder of the class stands for all that is in it.
    """
    for name in (*source.texts("files"), *wanted.files):
        path = wanted.file.parent / Path(name).expanduser()
        if path.is_dir():
            yield from sorted(p for p in path.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
        elif path.is_file():
            yield path
        else:
            raise GalenicError(
                f"there is no file '{path}' to embed",
                cure="correct 'files'; it is relative to the class's file",
                file=wanted.file,
            )
    for text in texts_in(wanted.config):
        try:
            if text.strip() and (wanted.directory / text).is_file():
                yield wanted.directory / text
        except (OSError, ValueError):
            continue


def texts_in(value: Any) -> Iterator[str]:
    """Every text in a section, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from texts_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from texts_in(inner)


def _place_of(file: Path, wanted: Wanted) -> str:
    """Where a file stands in the FMU: as it does below the scenario's folder, so that it is found the same way."""
    for folder, prefix in ((wanted.directory, ""), (wanted.file.parent, _BESIDE)):
        with suppress(ValueError):
            return prefix + file.resolve().relative_to(folder.resolve()).as_posix()
    raise GalenicError(
        f"'{file}' is neither in the folder of the component nor in that of its scenario",
        cure="put it there, or in a folder below",
        file=wanted.file,
    )


def _packages(wanted: Wanted, source: _Source) -> list[str]:
    stated = [*source.texts("requires"), *wanted.requires]
    for requirement in stated:
        try:
            parse(requirement)
        except ValueError as error:
            raise GalenicError(
                f"'{requirement}' is not a requirement that can be checked",
                cure="write a package with versions, such as 'scikit-learn>=1.5,<2'",
                file=wanted.file,
            ) from error
    try:
        clauses(str(source.attribute("requires_python", _PYTHON)))
    except ValueError as error:
        raise GalenicError(
            "'requires_python' is not a range of versions", cure="write for example '>=3.11,<3.14'", file=wanted.file
        ) from error
    names = {normal(parse(requirement)[0]) for requirement in stated}
    return stated if "numpy" in names else [*stated, _NUMPY]


# ---- the component itself ------------------------------------------------------------------------------------------


def _built(wanted: Wanted, said: Mapping[str, Any], files: Mapping[str, bytes], ports: dict[str, Any]) -> Any:
    """The component, from copies of the files alone; ``ports`` gets what it asked its context for."""
    from cosim.python_fmu.slave import build_component

    def find_port(signal: str) -> Port:
        port = wanted.find_port(signal)
        ports[signal] = vars(_plain(port))
        return port

    with tempfile.TemporaryDirectory(prefix="galenic-component-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        for place, content in files.items():
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            (folder / place).write_bytes(content)
        path, modules = list(sys.path), set(sys.modules)
        try:
            return build_component(said, folder, f"galenic_component_{folder.name.replace('-', '_')}", find_port)
        except Exception as error:
            frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).is_relative_to(folder)]
            if isinstance(error, GalenicError):
                message, cure = error.message, error.cure
            else:
                message = f"'{wanted.name}' cannot be built: {type(error).__name__}: {error}"
                cure = "correct the component, or name the files that it needs in 'files' of its class"
            line = frames[-1].lineno if frames else None
            raise GalenicError(message, cure=cure, file=wanted.file, line=line) from error
        finally:
            sys.path[:] = path
            for module in set(sys.modules) - modules:
                if str(getattr(sys.modules[module], "__file__", None) or "").startswith(name):
                    del sys.modules[module]


def _ports(wanted: Wanted, component: Any) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    """Input and output ports, the inputs with start values."""
    missing = [
        name
        for name in ("inputs", "outputs", "input_values", "output_values", "do_step")
        if not hasattr(component, name)
    ]
    if missing:
        raise GalenicError(
            f"'{wanted.class_name}' is not a component: it has no {' and no '.join(missing)}",
            cure="write a class that fulfils cosim.Component or cosim.SampledComponent",
            file=wanted.file,
        )
    for ports, values in (("inputs", component.input_values), ("outputs", component.output_values)):
        if len(getattr(component, ports)) != len(values):
            raise GalenicError(
                f"'{wanted.class_name}' has {len(getattr(component, ports))} {ports} and {len(values)} values of them",
                cure="give 'input_values' and 'output_values' one value for each port",
                file=wanted.file,
            )
    period = getattr(component, "period", None)
    if period is not None and not (math.isfinite(period) and period > 0.0):
        raise GalenicError(
            f"the period of '{wanted.name}' is {period!r}", cure="give a time above 0 s", file=wanted.file
        )
    inputs = tuple(
        _plain(replace(port, start=_within(port, float(value)) if port.start is None else port.start))
        for port, value in zip(component.inputs, component.input_values, strict=True)
    )
    for port in inputs:
        if port.start is None or not math.isfinite(port.start):
            raise GalenicError(
                f"the start value of '{port.name}' is {port.start}", cure="give a finite number", file=wanted.file
            )
    outputs = tuple(
        _plain(replace(port, start=float(value)))
        for port, value in zip(component.outputs, component.output_values, strict=True)
    )
    names = [port.name for port in (*inputs, *outputs)]
    if twice := {name for name in names if names.count(name) > 1}:
        raise GalenicError(f"'{wanted.name}' has two ports '{min(twice)}'", cure="rename one of them", file=wanted.file)
    return _described(inputs, component, "reads"), _described(outputs, component, "writes")


def _plain(port: Port) -> Port:
    """With numbers of Python's own, which a text file can hold, and no bound where it is infinite."""
    start, low, high = (None if x is None else float(x) for x in (port.start, port.min, port.max))
    low = None if low is None or math.isinf(low) else low
    return replace(port, start=start, min=low, max=None if high is None or math.isinf(high) else high)


def _within(port: Port, value: float) -> float:
    low = -math.inf if port.min is None else port.min
    high = math.inf if port.max is None else port.max
    return min(max(value, low), high)


def _described(ports: tuple[Port, ...], component: Any, verb: str) -> tuple[Port, ...]:
    """With the signals to which a scenario connects the ports."""
    signals: Sequence[str | None] = getattr(component, verb, None) or [None] * len(ports)
    return tuple(
        replace(port, description=f"{port.description} ({verb} {signal})".strip()) if signal else port
        for port, signal in zip(ports, signals, strict=True)
    )
