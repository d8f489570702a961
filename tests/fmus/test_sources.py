"""The C sources inside an FMU compile by themselves, for platforms without a binary and for static linking."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import pytest

import fmus

HOST = """
#include <stdio.h>
const char *feed_frame_fmi{v}GetVersion(void);
const char *tablet_press_fmi{v}GetVersion(void);
int main(void) {{ return puts(feed_frame_fmi{v}GetVersion()) < 0 || puts(tablet_press_fmi{v}GetVersion()) < 0; }}
"""


def unpack(unit: str, fmi: int, folder: Path) -> Path:
    with zipfile.ZipFile(fmus.build_fmu(fmus.unit_model(unit), fmi=fmi)) as archive:
        archive.extractall(folder, [n for n in archive.namelist() if n.startswith("sources/") or n.endswith(".xml")])
    return folder


def compile_c(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "ziglang", "cc", "-std=c99", "-O1", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("fmi", [2, 3])
def test_two_units_are_linked_into_one_program_with_the_standards_prefix(fmi: int, tmp_path: Path) -> None:
    objects = []
    for unit in ("feed_frame", "tablet_press"):
        folder = unpack(unit, fmi, tmp_path / unit)
        objects.append(tmp_path / f"{unit}.o")
        prefix = f"-DFMI{fmi}_FUNCTION_PREFIX={unit}_"
        compile_c("-c", prefix, folder / "sources" / f"fmi{fmi}.c", "-o", objects[-1])
    host = tmp_path / "host.c"
    host.write_text(HOST.format(v=fmi), encoding="utf-8")
    program = tmp_path / "host.exe"
    compile_c(host, *objects, "-o", program, "-lm")
    said = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    assert said.split() == [f"{fmi}.0"] * 2


def test_the_named_source_file_is_all_that_has_to_be_compiled(tmp_path: Path) -> None:
    two, three = unpack("feed_frame", 2, tmp_path / "two"), unpack("feed_frame", 3, tmp_path / "three")
    described = ET.parse(two / "modelDescription.xml").getroot()
    kinds = ("CoSimulation", "ModelExchange")
    named = {kind: [f.get("name") for k in described.iter(kind) for f in k.iter("File")] for kind in kinds}
    assert named == {"CoSimulation": ["fmi2.c"], "ModelExchange": ["fmi2.c"]}
    build = ET.parse(three / "sources" / "buildDescription.xml").getroot()
    files = [f.get("name") for f in build.iter("SourceFile")]
    libraries = [f"-l{e.get('name')}" for e in build.iter("Library")]
    assert build.find("BuildConfiguration").get("modelIdentifier") == "feed_frame"  # type: ignore[union-attr]
    sources = [three / "sources" / str(name) for name in files]
    compile_c("-shared", "-fPIC", *sources, "-o", tmp_path / "feed_frame.so", *libraries)
