"""What an FMU may bring beside its description: terminals, icons, and how its sources are built."""

from __future__ import annotations

import importlib
import posixpath
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from fmus.check.interfaces import interfaces, major_version
from fmus.check.verdict import Verdict

TERMINALS, BUILD = "terminals and icons", "build description"
_TERMINALS_FILE, _BUILD_FILE = "terminalsAndIcons/terminalsAndIcons.xml", "sources/buildDescription.xml"
_PNG = b"\x89PNG\r\n\x1a\n"


def check_extras(file: Path, description: Any, names: set[str]) -> Iterator[Verdict]:
    """The verdicts on terminals, icons and sources, where the FMU has them."""
    with zipfile.ZipFile(file) as archive:
        if any(n.startswith("terminalsAndIcons/") for n in names):
            yield _terminals(archive, description, names)
        if _BUILD_FILE in names:
            yield _build(archive, description, names)
        elif any(n.startswith("sources/") for n in names) or description.buildConfigurations:
            yield _sources(description, names)


def _terminals(archive: zipfile.ZipFile, description: Any, names: set[str]) -> Verdict:
    failures: list[str] = []
    warnings: list[str] = []
    icon = "terminalsAndIcons/icon"
    if f"{icon}.png" in names and not archive.read(f"{icon}.png").startswith(_PNG):
        failures.append(f"{icon}.png is no PNG image")
    if f"{icon}.svg" in names and f"{icon}.png" not in names:
        failures.append("there is an icon.svg without the icon.png that it needs beside it")
    if _TERMINALS_FILE not in names:
        icons = [n for n in (f"{icon}.png", f"{icon}.svg") if n in names]
        return Verdict.judged(TERMINALS, failures, warnings, f"{len(icons)} icons, no terminals")
    root, problems = _validated(archive, _TERMINALS_FILE, "fmi3TerminalsAndIcons.xsd")
    if root is None or problems:
        return Verdict.judged(TERMINALS, [*failures, *problems], warnings, "")
    known = {v.name: v for v in description.modelVariables}
    members = 0
    for parent in [*root.iter("Terminals"), *root.iter("Terminal")]:
        twice = _twice(t.get("name", "") for t in parent.findall("Terminal"))
        failures += [f"the terminal '{name}' is there twice" for name in twice]
    for terminal in root.iter("Terminal"):
        name = terminal.get("name")
        listed = [m.get("variableName", "") for m in terminal.findall("TerminalMemberVariable")]
        for stream in terminal.findall("TerminalStreamMemberVariable"):
            listed += [stream.get("inStreamVariableName", ""), stream.get("outStreamVariableName", "")]
        members += len(listed)
        failures += [f"terminal '{name}': there is no variable '{v}'" for v in listed if v not in known]
        called = [m.get("memberName") or "" for m in terminal.findall("TerminalMemberVariable")]
        failures += [f"terminal '{name}': the member '{m}' is there twice" for m in _twice(filter(None, called))]
        if terminal.get("matchingRule") == "plug" and not all(called):
            failures.append(f"terminal '{name}': the rule 'plug' matches member names, and a member has none")
        for drawn in terminal.findall("TerminalGraphicalRepresentation"):
            base = posixpath.normpath(f"terminalsAndIcons/{drawn.get('iconBaseName')}")
            if f"{base}.png" not in names:
                failures.append(f"terminal '{name}': there is no {base}.png")
    count = sum(1 for _ in root.iter("Terminal"))
    return Verdict.judged(TERMINALS, failures, warnings, f"{count} terminals with {members} variables, all there")


def _build(archive: zipfile.ZipFile, description: Any, names: set[str]) -> Verdict:
    root, failures = _validated(archive, _BUILD_FILE, "fmi3BuildDescription.xsd")
    if root is None or failures:
        return Verdict.judged(BUILD, failures, [], "")
    wanted = {str(said.modelIdentifier) for said in interfaces(description).values()}
    built = {c.get("modelIdentifier", "") for c in root.iter("BuildConfiguration")}
    failures += [f"there is no model identifier '{name}'" for name in sorted(built - wanted)]
    failures += [f"nothing builds '{name}'" for name in sorted(wanted - built)]
    files = [f.get("name", "") for f in root.iter("SourceFile")]
    failures += [f"there is no sources/{name}" for name in dict.fromkeys(files) if f"sources/{name}" not in names]
    for folder in (d.get("name", "").strip("/") for d in root.iter("IncludeDirectory")):
        if folder not in {"", "."} and not any(n.startswith(f"sources/{folder}/") for n in names):
            failures.append(f"there is no folder sources/{folder}")
    return Verdict.judged(BUILD, failures, [], f"{len(built)} configurations with {len(set(files))} source files")


def _sources(description: Any, names: set[str]) -> Verdict:
    """FMI 2.0 lists its source files in the model description."""
    files = [name for c in description.buildConfigurations for s in c.sourceFileSets for name in s.sourceFiles]
    failures = [f"there is no sources/{name}" for name in dict.fromkeys(files) if f"sources/{name}" not in names]
    if major_version(description) == 3:
        failures.append(f"there are sources without {_BUILD_FILE}")
    warnings = [] if files or failures else ["there are sources, and nothing says which are to be compiled"]
    return Verdict.judged(BUILD, failures, warnings, f"{len(set(files))} source files listed, all there")


def _validated(archive: zipfile.ZipFile, name: str, schema: str) -> tuple[ElementTree.Element | None, list[str]]:
    """The root of an XML file, and what its schema says of it."""
    content = archive.read(name)
    etree = importlib.import_module("lxml.etree")  # it has no types
    try:
        tree = etree.fromstring(content, etree.XMLParser(resolve_entities=False))
        checked = _schema(schema)
        if not checked.validate(tree):
            return None, [f"{name}, line {e.line}: {e.message}" for e in checked.error_log]
        return ElementTree.fromstring(content), []
    except (etree.XMLSyntaxError, ElementTree.ParseError) as error:
        return None, [f"{name}: {error}"]


@cache
def _schema(name: str) -> Any:
    """A schema of FMI 3.0, as FMPy brings it."""
    import fmpy

    etree = importlib.import_module("lxml.etree")
    return etree.XMLSchema(file=str(Path(fmpy.__file__).parent / "schema" / "fmi3" / name))


def _twice(names: Iterator[str] | Any) -> list[str]:
    listed = list(names)
    return sorted({n for n in listed if listed.count(n) > 1})
