"""The Modelica Association's Reference FMUs, built from a checkout beside the project: equal to the CSVs they carry.

Set GALENIC_REFERENCE_FMUS to a checkout of github.com/modelica/Reference-FMUs; none of its files is in the project.
"""

from __future__ import annotations

import csv
import math
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from cosim.fmu_archive import open_archive
from cosim.fmu_component import FmuComponent
from fmus.check.interfaces import platform_names
from fmus.errors import GalenicError

CHECKOUT = Path(os.environ.get("GALENIC_REFERENCE_FMUS") or "nowhere")
pytestmark = pytest.mark.skipif(
    not (CHECKOUT / "BouncingBall" / "model.c").is_file(),
    reason="GALENIC_REFERENCE_FMUS names no checkout of the Reference FMUs",
)
# Roberts says that it has Event Mode and refuses it; its CSV is the ball's
CASES = [
    (model, version)
    for model in ("BouncingBall", "Dahlquist", "Feedthrough", "Resource", "Stair", "StateSpace", "VanDerPol")
    for version in (2, 3)
    if (CHECKOUT / model / f"FMI{version}.xml").is_file()
]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Builds a Reference FMU; each once."""
    from fmpy import sharedLibraryExtension

    folder = tmp_path_factory.mktemp("reference")

    def build(model: str, version: int) -> Path:
        file = folder / f"{model}{version}.fmu"
        if file.exists():
            return file
        library = folder / f"{model}{version}{sharedLibraryExtension}"
        sources = [f"src/fmi{version}Functions.c", "src/cosimulation.c", f"{model}/model.c"]
        command = [sys.executable, "-m", "ziglang", "cc", "-shared", "-O1", "-w", "-fno-sanitize=all"]
        command += [
            f"-DFMI_VERSION={version}",
            "-DDISABLE_PREFIX",
            f"-I{CHECKOUT / 'include'}",
            f"-I{CHECKOUT / model}",
        ]
        command += ["-o", str(library), *(str(CHECKOUT / source) for source in sources)]
        command += [] if sys.platform.startswith("win") else ["-fPIC", "-lm"]
        subprocess.run(command, check=True, capture_output=True)
        with zipfile.ZipFile(file, "w") as archive:
            archive.write(CHECKOUT / model / f"FMI{version}.xml", "modelDescription.xml")
            archive.write(library, f"binaries/{platform_names(version)[0]}/{model}{sharedLibraryExtension}")
            if model == "Resource":
                archive.write(CHECKOUT / model / "y.txt", "resources/y.txt")
        return file

    return build


def expected(model: str) -> tuple[list[float], list[dict[str, float]]]:
    """Times and, by port, the outputs that the FMU's authors expect."""
    with (CHECKOUT / model / f"{model}_out.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    times = [float(row.pop("time")) for row in rows]
    values = []
    for row in rows:
        found = {}
        for name, text in row.items():
            if name.startswith(("String", "Binary")):
                continue
            words = text.split()
            names = [name] if len(words) == 1 else [f"{name}[{k + 1}]" for k in range(len(words))]
            numbers = [{"true": 1.0, "false": 0.0}.get(word) for word in words]
            found.update((n, float(w) if b is None else b) for n, w, b in zip(names, words, numbers, strict=True))
        values.append(found)
    return times, values


@pytest.mark.parametrize("event_mode", [False, True])
@pytest.mark.parametrize(("model", "version"), CASES)
def test_co_simulation_gives_the_expected_outputs(built, model, version, event_mode):
    component = FmuComponent(
        model, open_archive(built(model, version)), interface="co_simulation", event_mode=event_mode
    )
    if component.event_mode != event_mode:
        pytest.skip("this FMU has no Event Mode")
    names = [port.name for port in component.outputs]
    times, values = expected(model)
    # the FMI 2.0 version of a model may have fewer variables
    values = [{name: number for name, number in row.items() if name in names} for row in values]
    assert values[0]
    try:
        component.initialize(times[0])
        for k, right in enumerate(values):
            if model == "Stair" and times[k] > 9.0 - 1e-9:  # it ends at its top
                with pytest.raises(GalenicError, match="asked to end the simulation at t = 9 s"):
                    component.do_step(times[k - 1], times[k] - times[k - 1])
                break
            if k:
                component.do_step(times[k - 1], times[k] - times[k - 1])
            got = {name: float(component.output_values[names.index(name)]) for name in right}
            # equal to the bit where the compiler is that of the CSVs; another one joins products and sums
            assert got == pytest.approx(right, rel=1e-12, abs=1e-12), f"at t = {times[k]} s"
    finally:
        component.terminate()


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(("model", "end"), [("Dahlquist", 5.0), ("VanDerPol", 10.0), ("BouncingBall", 1.5)])
def test_model_exchange_gives_the_solution_of_the_equations(built, model, end, version):
    from scipy.integrate import solve_ivp

    component = FmuComponent(model, open_archive(built(model, version)), interface="model_exchange", tolerance=1e-9)
    component.initialize(0.0)
    step = 0.1
    for k in range(round(end / step)):
        component.do_step(k * step, step)
    got = component.output_values.copy()
    component.terminate()
    if model == "Dahlquist":
        right = [math.exp(-end)]
    elif model == "VanDerPol":
        exact = solve_ivp(
            lambda _, x: [x[1], (1.0 - x[0] ** 2) * x[1] - x[0]],
            (0.0, end),
            [2.0, 0.0],
            "DOP853",
            rtol=1e-12,
            atol=1e-12,
        )
        right = list(exact.y[:, -1])
    else:
        first, speed = math.sqrt(2.0 / 9.81), 0.7 * math.sqrt(2.0 * 9.81)
        second = first + 2.0 * speed / 9.81
        since, speed = end - second, 0.7 * speed
        right = [speed * since - 0.5 * 9.81 * since**2, speed - 9.81 * since]
    assert np.max(np.abs(got[: len(right)] - right)) < 1e-6


def test_the_clocked_one_is_refused(built):
    with pytest.raises(GalenicError, match="no Co-Simulation and no Model Exchange interface"):
        open_archive(built("Clocks", 3))
