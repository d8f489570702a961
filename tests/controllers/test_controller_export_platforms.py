"""The exported controller where it is made to run: on other platforms, many instances, clean memory."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import fmpy
import numpy as np
import pytest

from controllers.export.build import build_controller_fmu, controller_model
from controllers.export.source import exported_mpc
from controllers.mpc import MPCController
from cosim import load_scenario
from cosim.system_builder import build_system
from fmus.check.binary import read_binary
from fmus.toolchain import chosen_platforms, this_platform

AARCH64 = Path("/usr/aarch64-linux-gnu")
# Debian's packages wine; qemu-user and libc6-arm64-cross
RUNNERS = {"win64": ("wine",), "aarch64-linux": ("qemu-aarch64", "-L", str(AARCH64))}


@pytest.fixture(scope="module")
def everywhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The controller of the tablet line for this platform and those that can be run here, extracted."""
    controller = build_system(load_scenario("tablet_line")).controllers["mpc"]
    assert isinstance(controller, MPCController)
    folder = tmp_path_factory.mktemp("platforms")
    model = controller_model("line_mpc", "The controller of the tablet line", exported_mpc(controller))
    names = {this_platform().fmi_name, *(n for n in RUNNERS if not missing(n))}
    return Path(fmpy.extract(str(build_controller_fmu(model, folder, platforms=names)), str(folder / "extracted")))


def missing(platform: str) -> str:
    program = RUNNERS[platform][0]
    if shutil.which(program) is None:
        return f"{program} is not installed"
    return f"there is no {AARCH64}" if platform == "aarch64-linux" and not AARCH64.exists() else ""


def run(fmu: Path, name: str, folder: Path, runner: tuple[str, ...] = (), steps: int = 60) -> np.ndarray:
    """Outputs of all steps, from the host program compiled for a platform."""
    (platform,) = chosen_platforms([name])
    host = folder / f"host_{name}.exe"
    source = str(Path(__file__).with_name("controller_host.c"))
    libraries = () if platform.suffix == ".dll" else ("-ldl",)
    compiler = [sys.executable, "-m", "ziglang", "cc", "-target", platform.targets[0], "-O1", "-g", "-fno-sanitize=all"]
    subprocess.run([*compiler, source, "-o", str(host), *libraries], check=True, capture_output=True)
    description = fmpy.read_model_description(str(fmu))
    inputs = [v for v in description.modelVariables if v.causality == "input" and v.type == "Real"]
    inputs += [v for v in description.modelVariables if v.name == "start_after"]
    outputs = [v for v in description.modelVariables if v.causality == "output" and v.type == "Real"]
    library = fmu / "binaries" / name / f"line_mpc{platform.suffix}"
    arguments = [str(library), description.guid, str(steps), "10", str(len(inputs))]
    for v in inputs:
        arguments += [str(v.valueReference), "1e-9" if v.name == "start_after" else str(v.start)]
    arguments += [str(v.valueReference) for v in outputs]
    done = subprocess.run([*runner, str(host), *arguments], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return np.array([[float(x) for x in line.split()] for line in done.stdout.splitlines()])


@pytest.mark.parametrize("platform", RUNNERS)
def test_it_returns_the_same_on_another_platform(platform: str, everywhere: Path, tmp_path: Path) -> None:
    if missing(platform):
        pytest.skip(missing(platform))
    here = run(everywhere, this_platform().fmi_name, tmp_path)
    there = run(everywhere, platform, tmp_path, RUNNERS[platform])
    assert np.ptp(here, axis=0).max() > 1.0
    np.testing.assert_allclose(there, here, rtol=1e-9, atol=1e-9)


def test_it_needs_the_c_library_alone(everywhere: Path) -> None:
    (file,) = (everywhere / "binaries" / this_platform().fmi_name).iterdir()
    (binary,) = read_binary(file.read_bytes())[:1]
    allowed = ("libc.so", "libm.so", "KERNEL32", "api-ms-win-crt", "/usr/lib/libSystem")
    assert all(name.startswith(allowed) for name in binary.needs), binary.needs


def test_its_memory_is_clean(everywhere: Path, tmp_path: Path) -> None:
    if shutil.which("valgrind") is None or sys.platform != "linux":
        pytest.skip("valgrind is not installed")
    runner = ("valgrind", "--error-exitcode=9", "--leak-check=full", "-q")
    assert run(everywhere, this_platform().fmi_name, tmp_path, runner, steps=8).shape[0] == 8


def test_the_sources_in_the_file_are_those_that_were_compiled(everywhere: Path, tmp_path: Path) -> None:
    library = tmp_path / "again.so"
    command = [
        sys.executable,
        "-m",
        "ziglang",
        "cc",
        "-std=c11",
        "-O1",
        "-shared",
        "-fPIC",
        "fmi2.c",
        "-o",
        str(library),
    ]
    subprocess.run([*command, "-lm"], cwd=everywhere / "sources", check=True, capture_output=True)
    copy = tmp_path / "fmu"
    shutil.copytree(everywhere, copy)
    (binary,) = (copy / "binaries" / this_platform().fmi_name).iterdir()
    shutil.copyfile(library, binary)
    name = this_platform().fmi_name
    np.testing.assert_allclose(run(copy, name, tmp_path), run(everywhere, name, tmp_path), rtol=1e-7, atol=1e-9)
