"""Binaries of every platform, built on this one."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fmpy import extract, simulate_fmu
from fmpy.validation import validate_fmu
from shared_library import SharedLibrary, read_libraries
from test_export import FMI2_FUNCTIONS, UNITS

import fmus
from fmus.toolchain import PLATFORM_NAMES, Platform, chosen_platforms, this_platform

BINARIES = {
    "linux64": ("feed_frame.so", ["x86_64"]),
    "win64": ("feed_frame.dll", ["x86_64"]),
    "darwin64": ("feed_frame.dylib", ["x86_64", "aarch64"]),
    "aarch64-linux": ("feed_frame.so", ["aarch64"]),
}
SYSTEM_LIBRARIES = {
    "linux64": r"lib[cm]\.so\.6",
    "win64": r"KERNEL32\.dll|api-ms-win-crt-[a-z0-9-]+\.dll",
    "darwin64": r"/usr/lib/libSystem\.B\.dylib",
    "aarch64-linux": r"lib[cm]\.so\.6",
}
# the linker adds them to every Mach-O library; harmless, as macOS looks names up library by library
LINKER_NAMES = {"__dso_handle", "_mh_dylib_header"}
COMPILER = (sys.executable, "-m", "ziglang", "cc")


@pytest.fixture(scope="session")
def everywhere() -> Path:
    """One unit for all platforms. The first build for Windows on a machine takes a minute, then it is cached."""
    return fmus.build_fmu(fmus.unit_model("feed_frame"), platforms=PLATFORM_NAMES)


def _libraries(fmu: Path, platform: str) -> list[SharedLibrary]:
    with zipfile.ZipFile(fmu) as archive:
        return read_libraries(archive.read(f"binaries/{platform}/{BINARIES[platform][0]}"))


def test_the_file_is_valid_and_holds_all_platforms_and_the_sources(everywhere: Path) -> None:
    assert validate_fmu(str(everywhere)) == []
    with zipfile.ZipFile(everywhere) as archive:
        names = set(archive.namelist())
    assert {f"binaries/{p}/{file}" for p, (file, _) in BINARIES.items()} == {n for n in names if "binaries" in n}
    assert {n for n in names if "sources" in n} == {"sources/fmi2.c", "sources/equations.c", "sources/model.h"}


@pytest.mark.parametrize("platform", PLATFORM_NAMES)
def test_a_binary_needs_the_system_alone_and_exports_the_standard_alone(everywhere: Path, platform: str) -> None:
    libraries = _libraries(everywhere, platform)
    assert [library.machine for library in libraries] == BINARIES[platform][1]
    for library in libraries:
        assert library.needs
        assert all(re.fullmatch(SYSTEM_LIBRARIES[platform], name) for name in library.needs), library.needs
        assert library.exports - LINKER_NAMES == set(FMI2_FUNCTIONS)
        assert "/" not in library.name.removeprefix("@rpath/")


@pytest.mark.parametrize("platform", ["linux64", "aarch64-linux"])
def test_linux_binaries_load_with_the_c_library_of_2014(everywhere: Path, platform: str) -> None:
    (library,) = _libraries(everywhere, platform)
    versions = {tuple(map(int, v.removeprefix("GLIBC_").split("."))) for v in library.versions}
    assert (2,) < max(versions) <= (2, 17)


def test_the_arm64_slice_is_signed_as_macos_demands(everywhere: Path) -> None:
    assert _libraries(everywhere, "darwin64")[1].signature == "ad hoc"


def test_no_path_of_the_building_machine_is_inside(everywhere: Path) -> None:
    with zipfile.ZipFile(everywhere) as archive:
        for name in archive.namelist():
            content = archive.read(name)
            assert b"galenic-build-" not in content, name
            assert str(Path.home()).encode() + b"/" not in content, name


def test_a_second_build_is_the_same_file_byte_for_byte(
    everywhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GALENIC_CACHE", str(tmp_path))
    told: list[str] = []
    again = fmus.build_fmu(fmus.unit_model("feed_frame"), platforms=reversed(PLATFORM_NAMES), on_binary=told.append)
    assert again.is_relative_to(tmp_path)
    assert again.read_bytes() == everywhere.read_bytes()
    assert sorted(told) == sorted(PLATFORM_NAMES)


def test_without_a_choice_only_this_platform_is_built() -> None:
    with zipfile.ZipFile(fmus.build_fmu(fmus.unit_model("feed_frame"))) as archive:
        assert {n.split("/")[1] for n in archive.namelist() if n.startswith("binaries")} == {this_platform().fmi_name}


@pytest.mark.parametrize(("names", "words"), [(["win32"], ["'win32'", "'win64'"]), ([], ["no platform"])])
def test_an_unknown_platform_is_named_with_its_neighbours(names: list[str], words: list[str]) -> None:
    with pytest.raises(fmus.GalenicError) as caught:
        fmus.build_fmu(fmus.unit_model("feed_frame"), platforms=names)
    assert all(word in str(caught.value) for word in [*words, "aarch64-linux"])


@pytest.mark.parametrize("unit", ["loss_in_weight_feeder", "tablet_press"])
def test_the_sources_compile_by_themselves_to_the_same_unit(unit: str, tmp_path: Path) -> None:
    fmu = fmus.build_fmu(fmus.unit_model(unit))
    folder = Path(extract(str(fmu), str(tmp_path)))
    (binary,) = (p for p in folder.glob("binaries/*/*") if p.is_file())
    before = binary.read_bytes()
    command = [*COMPILER, "-shared", "-fPIC", "fmi2.c", "-o", str(binary), "-lm"]
    subprocess.run(command, cwd=folder / "sources", check=True, capture_output=True)
    assert binary.read_bytes() != before
    run = {"stop_time": 120.0, "output_interval": 1.0}
    shipped, compiled = simulate_fmu(str(fmu), **run), simulate_fmu(str(folder), **run)
    for name in shipped.dtype.names:
        np.testing.assert_allclose(compiled[name], shipped[name], rtol=1e-10, atol=1e-12, err_msg=name)


@dataclass(frozen=True)
class Elsewhere:
    """Another platform, whose programs a program of this machine can run."""

    platform: str
    runner: tuple[str, ...]
    needs: Path | None = None

    def missing(self) -> str:
        if shutil.which(self.runner[0]) is None:
            return f"{self.runner[0]} is not installed"
        return f"there is no {self.needs}" if self.needs is not None and not self.needs.exists() else ""


LIBRARIES = {".dll": (), ".so": ("-ldl",)}
# Debian's packages wine; qemu-user and libc6-arm64-cross
AARCH64 = Path("/usr/aarch64-linux-gnu")
RUNNERS = (Elsewhere("win64", ("wine",)), Elsewhere("aarch64-linux", ("qemu-aarch64", "-L", str(AARCH64)), AARCH64))


@pytest.fixture(scope="session", params=RUNNERS, ids=lambda e: e.platform)
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Platform, list[str]]:
    """Another platform and the command that steps a library there."""
    elsewhere: Elsewhere = request.param
    if elsewhere.missing():
        pytest.skip(elsewhere.missing())
    (platform,) = chosen_platforms([elsewhere.platform])
    program = tmp_path_factory.mktemp("host") / "fmu_host.exe"
    source = str(Path(__file__).with_name("fmu_host.c"))
    subprocess.run(
        [*COMPILER, "-target", platform.targets[0], source, "-o", str(program), *LIBRARIES[platform.suffix]], check=True
    )
    return platform, [*elsewhere.runner, str(program)]


@pytest.mark.parametrize("unit", UNITS)
def test_a_binary_of_another_platform_computes_the_same(
    unit: str, host: tuple[Platform, list[str]], drive: Callable[..., Any], tmp_path: Path
) -> None:
    platform, command = host
    model = fmus.unit_model(unit)
    steps, size = 300, 2.0
    driver = drive(model).start()
    inputs = {v.name: v.start or 0.0 for v, _ in model.inputs}
    outputs = [v.name for v in model.variables if driver.variables[v.name].type == "Real" and v.name not in inputs]
    expected = []
    for k in range(steps):
        driver.set(**{name: start * (1 + 0.05 * ((k % 7) - 3) / 3) for name, start in inputs.items()})
        driver.step(size)
        expected.append([driver.get(name) for name in outputs])
    folder = extract(str(fmus.build_fmu(model, platforms=[platform.fmi_name])), str(tmp_path))
    library = f"{folder}/binaries/{platform.fmi_name}/{unit}{platform.suffix}"
    command = [*command, library, driver.description.guid, str(steps), str(size), str(len(inputs))]
    for name, start in inputs.items():
        command += [str(driver.reference(name)), repr(start)]
    command += [str(driver.reference(name)) for name in outputs]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    rows = np.array([[float(x) for x in line.split()] for line in done.stdout.splitlines()])
    np.testing.assert_allclose(rows, expected, rtol=1e-10, atol=1e-12)
