"""Binaries of every platform, built on this one."""

from __future__ import annotations

import re
import shutil
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from fmpy import extract, simulate_fmu
from fmpy.validation import validate_fmu
from in_process import Equations, moved
from native_host import COMPILER, compile_host, host_run
from shared_library import SharedLibrary, read_libraries

import fmus
from fmus.check.functions import required_functions
from fmus.toolchain import PLATFORM_NAMES, Platform, chosen_platforms, this_platform

# an explicit method, events, an implicit equation, arrays
UNITS = ["feed_frame", "loss_in_weight_feeder", "tablet_press", "granule_hopper"]
# folder in the FMU -> file, processors
BINARIES = {
    2: {
        "linux64": ("feed_frame.so", ["x86_64"]),
        "win64": ("feed_frame.dll", ["x86_64"]),
        "darwin64": ("feed_frame.dylib", ["x86_64", "aarch64"]),
        "aarch64-linux": ("feed_frame.so", ["aarch64"]),
    },
    3: {
        "x86_64-linux": ("feed_frame.so", ["x86_64"]),
        "x86_64-windows": ("feed_frame.dll", ["x86_64"]),
        "x86_64-darwin": ("feed_frame.dylib", ["x86_64"]),
        "aarch64-darwin": ("feed_frame.dylib", ["aarch64"]),
        "aarch64-linux": ("feed_frame.so", ["aarch64"]),
    },
}
FOLDERS = [(fmi, folder) for fmi, folders in BINARIES.items() for folder in folders]
SYSTEM_LIBRARIES = {
    ".so": r"lib[cm]\.so\.6",
    ".dll": r"KERNEL32\.dll|api-ms-win-crt-[a-z0-9-]+\.dll",
    ".dylib": r"/usr/lib/libSystem\.B\.dylib",
}
# the linker adds them to every Mach-O library; harmless, as macOS looks names up library by library
LINKER_NAMES = {"__dso_handle", "_mh_dylib_header"}


@pytest.fixture(scope="session")
def everywhere() -> dict[int, Path]:
    """One unit for all platforms, by FMI version. The first build for Windows on a machine takes a minute."""
    model = fmus.unit_model("feed_frame")
    return {fmi: fmus.build_fmu(model, fmi=fmi, platforms=PLATFORM_NAMES) for fmi in BINARIES}


def _libraries(fmu: Path, fmi: int, folder: str) -> list[SharedLibrary]:
    with zipfile.ZipFile(fmu) as archive:
        return read_libraries(archive.read(f"binaries/{folder}/{BINARIES[fmi][folder][0]}"))


@pytest.mark.parametrize("fmi", BINARIES)
def test_the_file_is_valid_and_holds_all_platforms_and_the_sources(fmi: int, everywhere: dict[int, Path]) -> None:
    assert validate_fmu(str(everywhere[fmi])) == []
    with zipfile.ZipFile(everywhere[fmi]) as archive:
        names = set(archive.namelist())
    binaries = {f"binaries/{folder}/{file}" for folder, (file, _) in BINARIES[fmi].items()}
    assert binaries == {n for n in names if n.startswith("binaries/")}
    sources = {f"fmi{fmi}.c", "unit.c", "unit.h", "erk.c", "equations.c", "model.h", "identity.h"}
    assert {f"sources/{name}" for name in sources} == {n for n in names if re.fullmatch(r"sources/.*\.[ch]", n)}


@pytest.mark.parametrize(("fmi", "folder"), FOLDERS)
def test_a_binary_needs_the_system_alone_and_exports_the_standard_alone(
    fmi: int, folder: str, everywhere: dict[int, Path]
) -> None:
    file, machines = BINARIES[fmi][folder]
    libraries = _libraries(everywhere[fmi], fmi, folder)
    assert [library.machine for library in libraries] == machines
    functions = required_functions(f"{fmi}.0", co_simulation=True, model_exchange=True)
    for library in libraries:
        assert library.needs
        allowed = SYSTEM_LIBRARIES[Path(file).suffix]
        assert all(re.fullmatch(allowed, name) for name in library.needs), library.needs
        assert library.exports - LINKER_NAMES == functions
        assert "/" not in library.name.removeprefix("@rpath/")


@pytest.mark.parametrize(("fmi", "folder"), [(f, name) for f, name in FOLDERS if BINARIES[f][name][0].endswith(".so")])
def test_linux_binaries_load_with_the_c_library_of_2014(fmi: int, folder: str, everywhere: dict[int, Path]) -> None:
    (library,) = _libraries(everywhere[fmi], fmi, folder)
    versions = {tuple(map(int, v.removeprefix("GLIBC_").split("."))) for v in library.versions}
    assert (2,) < max(versions) <= (2, 17)


@pytest.mark.parametrize(("fmi", "folder", "which"), [(2, "darwin64", 1), (3, "aarch64-darwin", 0)])
def test_the_arm64_code_is_signed_as_macos_demands(
    fmi: int, folder: str, which: int, everywhere: dict[int, Path]
) -> None:
    assert _libraries(everywhere[fmi], fmi, folder)[which].signature == "ad hoc"


@pytest.mark.parametrize("fmi", BINARIES)
def test_no_path_of_the_building_machine_is_inside(fmi: int, everywhere: dict[int, Path]) -> None:
    with zipfile.ZipFile(everywhere[fmi]) as archive:
        for name in archive.namelist():
            content = archive.read(name)
            assert b"galenic-build-" not in content, name
            assert str(Path.home()).encode() + b"/" not in content, name


@pytest.fixture(scope="module")
def empty_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another cache; what one version compiles there the other links."""
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("fmi", BINARIES)
def test_a_second_build_is_the_same_file_byte_for_byte(
    fmi: int, everywhere: dict[int, Path], empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GALENIC_CACHE", str(empty_cache))
    told: list[str] = []
    again = fmus.build_fmu(
        fmus.unit_model("feed_frame"), fmi=fmi, platforms=reversed(PLATFORM_NAMES), on_binary=told.append
    )
    assert again.is_relative_to(empty_cache)
    assert again.read_bytes() == everywhere[fmi].read_bytes()
    assert sorted(told) == sorted(PLATFORM_NAMES)


def test_without_a_choice_only_this_platform_is_built() -> None:
    with zipfile.ZipFile(fmus.build_fmu(fmus.unit_model("feed_frame"))) as archive:
        assert {n.split("/")[1] for n in archive.namelist() if n.startswith("binaries")} == {this_platform().fmi_name}


@pytest.mark.parametrize(("names", "words"), [(["win32"], ["'win32'", "'win64'"]), ([], ["no platform"])])
def test_an_unknown_platform_is_named_with_its_neighbours(names: list[str], words: list[str]) -> None:
    with pytest.raises(fmus.GalenicError) as caught:
        fmus.build_fmu(fmus.unit_model("feed_frame"), platforms=names)
    assert all(word in str(caught.value) for word in [*words, "aarch64-linux"])


@pytest.mark.parametrize("fmi", BINARIES)
@pytest.mark.parametrize("unit", ["loss_in_weight_feeder", "tablet_press"])
def test_the_sources_compile_by_themselves_to_the_same_unit(unit: str, fmi: int, tmp_path: Path) -> None:
    fmu = fmus.build_fmu(fmus.unit_model(unit), fmi=fmi)
    folder = Path(extract(str(fmu), str(tmp_path)))
    (binary,) = (p for p in folder.glob("binaries/*/*") if p.is_file())
    before = binary.read_bytes()
    # without -O, and so with the sanitizer of undefined behaviour, which ends a process that shows any
    command = [*COMPILER, "-target", this_platform().targets[0], "-shared", "-fPIC"]
    command += [f"fmi{fmi}.c", "-o", str(binary), "-lm"]
    subprocess.run(command, cwd=folder / "sources", check=True, capture_output=True)
    assert binary.read_bytes() != before
    run = {"fmi_type": "CoSimulation", "stop_time": 120.0, "output_interval": 1.0}
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
    return platform, [*elsewhere.runner, str(compile_host(tmp_path_factory.mktemp("host"), platform))]


def _rows(command: list[str]) -> np.ndarray:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return np.array([[float(x) for x in line.split()] for line in done.stdout.splitlines()])


def _agree(found: np.ndarray, expected: dict[str, np.ndarray], columns: list[str], model: fmus.UnitModel) -> None:
    for name, column in zip(columns, found.T, strict=True):
        nothing = 1e-12 * model.variable(name.removeprefix("der(").removesuffix(")")).nominal
        np.testing.assert_allclose(column, expected[name], rtol=1e-10, atol=nothing, err_msg=name)


@pytest.mark.parametrize("fmi", [2, 3])
@pytest.mark.parametrize("unit", UNITS)
def test_a_binary_of_another_platform_computes_the_same(
    unit: str, fmi: int, host: tuple[Platform, list[str]], tmp_path: Path
) -> None:
    platform, command = host
    model, steps, size = fmus.unit_model(unit), 300, 2.0
    run = host_run(model, f"{fmi}cs", platform, tmp_path, steps, size)
    expected = Equations(model).co_simulation(steps, size, lambda k: {n: moved(s, k) for n, s in run.moved.items()})
    _agree(_rows([*command, *run.arguments]), expected, run.columns, model)


@pytest.mark.parametrize("fmi", [2, 3])
@pytest.mark.parametrize("unit", UNITS)
def test_a_binary_of_another_platform_has_the_same_derivatives(
    unit: str, fmi: int, host: tuple[Platform, list[str]], tmp_path: Path
) -> None:
    platform, command = host
    model, steps, size = fmus.unit_model(unit), 50, 0.05
    run = host_run(model, f"{fmi}me", platform, tmp_path, steps, size)
    expected = Equations(model).euler(steps, size, lambda k: {n: moved(s, k) for n, s in run.moved.items()})
    assert sum(name.startswith("der(") for name in run.columns) == len(model.continuous_states)
    _agree(_rows([*command, *run.arguments]), expected, run.columns, model)
