"""What an environment lacks of the Python and the packages that a component needs.

This file travels in the FMU and runs there before anything else: standard library only, and no syntax newer than
Python 3.8, so that an old Python gets the message and not a syntax error.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable

_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(.*?)\s*")
_CLAUSE = re.compile(r"\s*(==|!=|<=|>=|<|>)\s*([0-9][0-9A-Za-z.+!-]*|[0-9][0-9.]*\.\*)\s*")
_NUMBERS = re.compile(r"[0-9]+(?:\.[0-9]+)*")


def parse(requirement: str) -> tuple[str, list[tuple[str, str]]]:
    """Name and clauses of ``scikit-learn>=1.5,<2``. Raises ValueError if it is written in another way."""
    match = _REQUIREMENT.fullmatch(requirement)
    if match is None:
        raise ValueError(requirement)
    return match[1], clauses(match[2])


def clauses(text: str) -> list[tuple[str, str]]:
    """Operators and versions of ``>=1.5,<2``. Raises ValueError if it is written in another way."""
    found = []
    for part in text.split(",") if text.strip() else []:
        match = _CLAUSE.fullmatch(part)
        if match is None:
            raise ValueError(text)
        found.append((match[1], match[2]))
    return found


def satisfies(version: str, wanted: Iterable[tuple[str, str]]) -> bool:
    """Whether a version meets all clauses. A pre-release or local part does not count: 1.5rc1 is 1.5."""
    return all(_compare(version, operator, bound) for operator, bound in wanted)


def _compare(version: str, operator: str, bound: str) -> bool:
    a, b = _numbers(version), _numbers(bound)
    if bound.endswith(".*"):
        same = a[: len(b)] == b
        return same if operator == "==" else not same
    length = max(len(a), len(b))
    a, b = a + (0,) * (length - len(a)), b + (0,) * (length - len(b))
    return {"==": a == b, "!=": a != b, "<=": a <= b, ">=": a >= b, "<": a < b, ">": a > b}[operator]


def _numbers(version: str) -> tuple[int, ...]:
    match = _NUMBERS.match(version)
    return tuple(int(part) for part in match[0].split(".")) if match else (0,)


def installed(name: str) -> str | None:
    """The installed version of a distribution, or None."""
    try:
        import importlib.metadata as metadata
    except ImportError:  # Python 3.7 and older
        return None
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def unmet(python: str, packages: Iterable[str], find: Callable[[str], str | None] = installed) -> str:
    """What is missing here, which version is there, and the cure; an empty text if nothing is missing.

    Args:
        python: the versions of Python that do, such as ``>=3.11``.
        packages: requirements such as ``scikit-learn>=1.5``.
        find: gives the installed version of a distribution.
    """
    here = ".".join(str(part) for part in sys.version_info[:3])
    if not satisfies(here, clauses(python)):
        return f"needs Python {python}; this is Python {here}. Cure: run it in a process with Python {python}"
    missing, wanted = [], []
    for requirement in packages:
        name, bounds = parse(requirement)
        version = find(name)
        if version is None or not satisfies(version, bounds):
            there = "not installed" if version is None else f"{version} is there"
            missing.append(f"{requirement} ({there})")
            wanted.append('"' + requirement.replace(" ", "") + '"')
    if not missing:
        return ""
    return (
        f"needs {', '.join(missing)}, in the Python {here} at {sys.prefix}. "
        f"Cure: {_python()} -m pip install {' '.join(wanted)}"
    )


def _python() -> str:
    """How to call this Python; in another tool's process, the tool is the executable."""
    executable = sys.executable or ""
    if not os.path.basename(executable).lower().startswith("python"):
        return "python"
    return f'"{executable}"' if " " in executable else executable
