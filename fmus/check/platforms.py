"""The binaries of an FMU: for which platforms, and whether they load where nothing else is installed."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

from fmus.check.binary import Binary, read_binary
from fmus.check.functions import required_functions
from fmus.check.interfaces import interfaces, major_version
from fmus.check.job import CO_SIMULATION, MODEL_EXCHANGE
from fmus.check.verdict import Verdict, shortened

PLATFORMS = "platforms"
_SUFFIX = {"linux": ".so", "windows": ".dll", "darwin": ".dylib"}
# FMI 2.0's names, and what others write; FMI 3.0's are machine-system
_FMI2 = {
    "linux64": ("linux", {"x86_64"}),
    "linux32": ("linux", {"x86"}),
    "win64": ("windows", {"x86_64"}),
    "win32": ("windows", {"x86"}),
    "darwin64": ("darwin", {"x86_64", "aarch64"}),
}
_SYSTEM = {
    "linux": re.compile(r"lib(c|m|pthread|dl|rt)\.so\.\d+|ld-linux.*\.so\.\d+|linux-vdso\.so\.1"),
    "windows": re.compile(
        r"(kernel32|user32|advapi32|msvcrt|ucrtbase|ntdll|ws2_32|ole32|oleaut32|shell32|shlwapi|bcrypt|gdi32|rpcrt4"
        r"|version|winmm|psapi|dbghelp|crypt32|secur32|api-ms-win-.*)\.dll",
        re.IGNORECASE,
    ),
    "darwin": re.compile(r"/usr/lib/.*|/System/Library/.*"),
}
_USUAL = re.compile(
    r"libgcc_s\.so\.1|libstdc\+\+\.so\.6|libgomp\.so\.1|libgfortran\.so\.\d|(vcruntime|msvcp|concrt|vcomp)\d+(_\d)?\.dll",
    re.IGNORECASE,
)


def check_platforms(file: Path, description: Any, names: set[str]) -> list[Verdict]:
    """A verdict on the set of platforms, and one on each binary."""
    identifiers = _identifiers(description)
    folders = sorted({n.split("/")[1] for n in names if re.match(r"binaries/[^/]+/.", n)})
    failures: list[str] = []
    binaries: dict[str, tuple[str, str, set[str]]] = {}
    for folder in folders:
        system, _ = _expected(folder)
        for identifier, kinds in identifiers.items():
            suffixes = [_SUFFIX[system]] if system else _SUFFIX.values()
            wanted = [f"binaries/{folder}/{identifier}{suffix}" for suffix in suffixes]
            found = next((name for name in wanted if name in names), None)
            if found is None:
                failures.append(f"binaries/{folder} has no {identifier}{_SUFFIX.get(system, '')}")
            else:
                several = f" {identifier}" if len(identifiers) > 1 else ""
                binaries[f"binary {folder}{several}"] = (folder, found, kinds)
    has_sources = any(n.startswith("sources/") and n.endswith((".c", ".cpp", ".cc")) for n in names)
    if not folders and not has_sources:
        failures.append("there is neither a binary nor source code in it")
    warnings = ["sources only: many tools want a binary"] if not folders and has_sources else []
    warnings += [f"no common tool knows the platform '{f}'" for f in folders if not _expected(f)[0]]
    if major_version(description) == 3:
        warnings += [
            f"'{f}' is FMI 2.0's name of a platform: FMI 3.0 has machine-system" for f in folders if f in _FMI2
        ]
    fine = ", ".join(folders) + (" and sources" if has_sources else "")
    verdicts = [Verdict.judged(PLATFORMS, failures, warnings, fine)]
    with zipfile.ZipFile(file) as archive:
        for check, (folder, name, kinds) in binaries.items():
            verdicts.append(_binary(check, archive.read(name), folder, description, kinds, names))
    return verdicts


def _identifiers(description: Any) -> dict[str, set[str]]:
    """The names that binaries have, and the interfaces that each is for."""
    found: dict[str, set[str]] = {}
    for interface, said in interfaces(description).items():
        found.setdefault(str(said.modelIdentifier), set()).add(interface)
    return found


def _needs_tool(description: Any) -> bool:
    """Whether the FMU says that the tool that made it must be installed, which then brings libraries."""
    return any(said.needsExecutionTool for said in interfaces(description).values())


def _expected(folder: str) -> tuple[str, set[str]]:
    """The system and the processors of a platform's name; an empty system if the name says nothing."""
    if folder in _FMI2:
        return _FMI2[folder]
    machine, _, system = folder.partition("-")
    system = re.sub(r"-.*", "", system)
    return (system, {machine}) if system in _SUFFIX else ("", set())


def _binary(check: str, data: bytes, folder: str, description: Any, kinds: set[str], names: set[str]) -> Verdict:
    try:
        slices = read_binary(data)
    except ValueError as error:
        return Verdict.judged(check, [str(error)], [], "")
    required = required_functions(
        description.fmiVersion,
        co_simulation=CO_SIMULATION in kinds,
        model_exchange=MODEL_EXCHANGE in kinds,
    )
    system, machines = _expected(folder)
    failures: list[str] = []
    warnings: list[str] = []
    for part in slices:
        if system and (part.system != system or part.machine not in machines):
            failures.append(f"it is for {part.machine} {part.system}, not for {folder}")
        bad, doubtful = _needs(part, folder, names)
        (warnings if _needs_tool(description) else failures).extend(bad)
        warnings += doubtful
        if missing := sorted(required - part.exports):
            failures.append(f"it lacks {len(missing)} of {len(required)} functions: {shortened(missing, ', ')}")
    exported = f"all {len(required)} functions" if required else "functions not checked"
    facts = f"{' and '.join(p.machine for p in slices)}, {exported}, needs {_all_needs(slices)}"
    return Verdict.judged(check, failures, warnings, facts)


def _needs(part: Binary, folder: str, names: set[str]) -> tuple[list[str], list[str]]:
    foreign, brought, usual = [], [], []
    for library in sorted(part.needs):
        base = re.split(r"[/\\]", library)[-1]
        if _SYSTEM[part.system].fullmatch(library):
            continue
        if f"binaries/{folder}/{base}" in names:
            brought.append(base)
        elif _USUAL.fullmatch(base):
            usual.append(base)
        else:
            foreign.append(library)
    failures = [f"it needs {', '.join(foreign)}: neither part of the system nor in the FMU"] if foreign else []
    warnings = [f"it needs {', '.join(usual)}: not on every machine"] if usual else []
    warnings += [f"it needs {', '.join(brought)}, which it brings: not every tool finds them there"] if brought else []
    return failures, warnings


def _all_needs(slices: list[Binary]) -> str:
    libraries = sorted({re.split(r"[/\\]", n)[-1] for part in slices for n in part.needs})
    if len(libraries) > 3 and slices[0].system == "windows":
        libraries = ["Windows' own libraries"]
    glibc = [
        tuple(int(n) for n in found[1].split("."))
        for part in slices
        for version in part.versions
        if (found := re.fullmatch(r"GLIBC_([\d.]+)", version))
    ]
    newest = f" (glibc {'.'.join(map(str, max(glibc)))})" if glibc else ""
    return (", ".join(libraries) or "nothing") + newest
