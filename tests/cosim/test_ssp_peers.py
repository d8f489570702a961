"""What other tools make of our `.ssp`: FMPy, Ecos and libcosim, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cosim import simulate
from cosim.ssp import write_ssp

#: lags of which the second hears the first a step later, in every tool alike
PLAIN = """\
components:
  a: {fmu: lag.fmu, parameters: {tau: 500 ms}, start: {u: 2}}
  b: {fmu: lag.fmu, parameters: {gain: 3}}
  free: {fmu: lag.fmu, start: {u: 1}}
connections: [a.y -> b.u]
"""
CHANGED = """\
components:
  a: {fmu: grams.fmu, parameters: {tau: 500 ms}, start: {u: 2}}
  b: {fmu: milligrams.fmu, parameters: {gain: 3}}
  free: {fmu: lag.fmu, start: {u: 1}}
connections: [{from: a.y, to: b.u, factor: -0.5, offset: 10 mg/L}]
"""
OUTPUTS = ("a.y", "b.y", "free.y")

FMPY = """
import json, sys
from fmpy.ssp.simulation import simulate_ssp
from fmpy.ssp.ssd import read_ssv
file = sys.argv[1]
values = read_ssv(file, "resources/all_parameters.ssv")
rows = simulate_ssp(file, stop_time=1.0 - 1e-9, step_size=0.01, parameter_set=values)
print(json.dumps([[float(row[name]) for name in ("a.y", "b.y", "free.y")] for row in rows]))
"""
ECOS = """
import json, os, sys
sys.path.insert(0, sys.argv[2])
from importers import load
if missing := load("ecospy"):
    print(json.dumps(missing)); sys.exit()
from ecospy import EcosSimulation
rows = []
with EcosSimulation(0.01, ssp_path=sys.argv[1]) as simulation:
    assert simulation.init(parameter_set="case")
    for _ in range(100):
        simulation.step()
        rows.append([simulation.get_real(f"{name}::y") for name in ("a", "b", "free")])
    simulation.terminate()
print(json.dumps(rows))
"""
LIBCOSIM = """
import json, sys
try:
    from libcosimpy.CosimExecution import CosimExecution
    from libcosimpy.CosimObserver import CosimObserver
except (ImportError, OSError) as error:
    print(json.dumps(str(error))); sys.exit()
execution = CosimExecution.from_ssp_file(sys.argv[1], step_size=10_000_000)
observer = CosimObserver.create_last_value()
execution.add_observer(observer)
order = {info.name.decode(): info.index for info in execution.slave_infos()}
rows = []
for _ in range(100):
    assert execution.step()
    rows.append([observer.last_real_values(order[name], [1])[0] for name in ("a", "b", "free")])
print(json.dumps(rows))
"""


def run(program: str, file: Path) -> np.ndarray:
    """What a tool computes, a row for each step; skips where the tool cannot be loaded."""
    importers = Path(__file__).parents[1] / "fmus"
    command = [sys.executable, "-c", program, str(file), str(importers)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    # libcosim writes its log to the same stream
    answer = json.loads(next(line for line in done.stdout.splitlines() if line.startswith(("[[", '"'))))
    if isinstance(answer, str):
        pytest.skip(f"the tool cannot be loaded: {answer}")
    return np.array(answer)


def ours(scenario, folder: Path) -> np.ndarray:
    """Our own outputs after each of 100 steps."""
    return simulate(scenario, out=folder).frame(list(OUTPUTS)).to_numpy()[1:]


def test_fmpy_opens_a_line_and_computes_the_same(scenario, tmp_path) -> None:
    case = scenario(PLAIN)
    write_ssp(case, tmp_path / "case.ssp")
    np.testing.assert_allclose(run(FMPY, tmp_path / "case.ssp"), ours(case, tmp_path / "run"), rtol=1e-12)


def test_fmpy_passes_over_transformations_and_units_but_not_over_start_values(scenario, tmp_path) -> None:
    case = scenario(CHANGED)
    write_ssp(case, tmp_path / "case.ssp")
    theirs, right = run(FMPY, tmp_path / "case.ssp"), ours(case, tmp_path / "run")
    # it writes 0 to every unconnected input that has a connector, and we write none
    np.testing.assert_allclose(theirs[:, [0, 2]], right[:, [0, 2]], rtol=1e-12)
    assert abs(theirs[-1, 1] - right[-1, 1]) > 100.0


@pytest.mark.parametrize("program", [ECOS, LIBCOSIM], ids=["Ecos", "libcosim"])
@pytest.mark.parametrize("body", [PLAIN, CHANGED], ids=["plain", "changed"])
def test_tools_that_know_transformations_compute_the_same(scenario, tmp_path, program, body) -> None:
    case = scenario(body)
    write_ssp(case, tmp_path / "case.ssp")
    np.testing.assert_allclose(run(program, tmp_path / "case.ssp"), ours(case, tmp_path / "run"), rtol=1e-10)
