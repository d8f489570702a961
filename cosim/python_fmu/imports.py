"""What the Python files of a component import, beside what the component states that it requires."""

from __future__ import annotations

import ast
import importlib.metadata
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NoReturn

from cosim.python_fmu.requirements import parse
from fmus.errors import GalenicError

#: what a component may import of Galenic without Galenic being required: these files are embedded
CONTRACT = ("cosim/__init__.py", "cosim/component.py", "fmus/__init__.py", "fmus/errors.py")
_OURS = ("fmus", "cosim", "controllers", "twin", "galenic")
_OF_CONTRACT = {
    "cosim": {"Component", "Controller", "ControllerContext", "Measurement", "Port", "SampledComponent"},
    "fmus": {"GalenicError", "nearest"},
}


def parsed(file: Path) -> ast.Module:
    """The syntax tree of a Python file. Raises GalenicError with the line at fault."""
    if not file.is_file():
        raise GalenicError(f"there is no file '{file}'", cure="give the path of a Python file with a component")
    try:
        return ast.parse(file.read_bytes(), str(file))
    except (SyntaxError, ValueError) as error:
        raise GalenicError(
            f"{type(error).__name__}: {error}",
            cure="correct the component's file",
            file=file,
            line=getattr(error, "lineno", None),
        ) from error


def check_imports(sources: Mapping[str, Path], packages: Sequence[str]) -> None:
    """Every package that the embedded files import is stated, so that the FMU's description is true."""
    stated = {normal(parse(requirement)[0]) for requirement in packages}
    offered = importlib.metadata.packages_distributions()
    python = {place: file for place, file in sources.items() if place.endswith(".py")}
    own = {part.removesuffix(".py") for place in python for part in PurePosixPath(place).parts}
    for file in python.values():
        for module, names, line in _imports(parsed(file)):
            top = module.partition(".")[0]
            if top in sys.stdlib_module_names or top in own:
                continue
            if top in _OURS:
                if not _in_contract(module, names) and "galenic" not in stated:
                    _unstated(f"'{module}' is more of Galenic than a component's contract", "galenic", file, line)
                continue
            if (file.parent / f"{top}.py").is_file() or (file.parent / top / "__init__.py").is_file():
                raise GalenicError(
                    f"'{top}' is a module beside it that would not be embedded",
                    cure=f'add files = ["{top}.py"] to the class (or the folder)',
                    file=file,
                    line=line,
                )
            distributions = {normal(name) for name in offered.get(top, [])}
            if distributions and not distributions & stated:
                _unstated(f"it imports '{module}'", sorted(distributions)[0], file, line)


def _unstated(why: str, package: str, file: Path, line: int) -> NoReturn:
    version = importlib.metadata.version(package)
    shortened = ".".join(version.split(".")[:2])
    raise GalenicError(
        f"{why}, but does not state that it requires '{package}'",
        cure=f'add requires = ["{package}>={shortened}"] to the class ({version} is installed here)',
        file=file,
        line=line,
    )


def _imports(tree: ast.Module) -> Iterator[tuple[str, set[str], int]]:
    """Modules that are imported, the names taken from each, and the line; not those in a ``try``."""
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, set(), node.lineno
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module, {alias.name for alias in node.names}, node.lineno
        pending.extend(child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.Try))


def _in_contract(module: str, names: set[str]) -> bool:
    if f"{module.replace('.', '/')}.py" in CONTRACT:
        return True
    return bool(names) and names <= _OF_CONTRACT.get(module, set())


def normal(name: str) -> str:
    """A distribution's name as it is compared."""
    return name.lower().replace("_", "-").replace(".", "-")
