"""The same trajectory from the equations in this process and from importers that know nothing of each other."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from fmpy import read_model_description
from importers import MISSING, Job
from in_process import Equations, movable

import fmus

STEPS, SIZE = 400, 2.0
VERSIONS = {"fmpy": (2, 3), "libcosimpy": (2,), "ecospy": (2, 3)}
CASES = [(name, version) for name, versions in VERSIONS.items() for version in versions]


def job_for(model: fmus.UnitModel, fmu: Path, answer: Path, *, arrays: bool = True) -> Job:
    """Inputs and all that the model calculates, as far as they are real, by the description that the importer reads."""
    inputs, outputs = {}, {}
    calculated = model.variables[len(model.inputs) + len(model.parameters) :]
    known = {v.name for v in calculated} | {v.array for v in calculated}
    for v in read_model_description(str(fmu)).modelVariables:
        sizes = [int(d.start) for d in v.dimensions]
        if v.type not in ("Real", "Float64") or v.causality == "parameter":
            continue
        if sizes and not arrays:
            continue
        count = int(np.prod(sizes, dtype=int))
        if v.causality == "input":
            elements = [v.name] if not sizes else [f"{v.name}[{i + 1}]" for i in range(count)]
            if not all(movable(model.variable(e)) for e in elements):
                continue
            inputs[v.name] = (int(v.valueReference), [float(model.variable(e).start or 0.0) for e in elements])
        elif v.name in known:
            outputs[v.name] = (int(v.valueReference), count)
    return Job(str(fmu), str(answer), STEPS, SIZE, inputs, outputs)


def names_in(job: Job) -> list[str]:
    """The scalar names of what is set, element by element."""
    return _elements({name: len(starts) for name, (_, starts) in job.inputs.items()})


def names_out(job: Job) -> list[str]:
    """The scalar names of the columns that an importer returns."""
    return _elements({name: count for name, (_, count) in job.outputs.items()})


def _elements(counts: dict[str, int]) -> list[str]:
    return [name if n == 1 else f"{name}[{i + 1}]" for name, n in counts.items() for i in range(n)]


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that all workers of this session see."""
    own = tmp_path_factory.getbasetemp()
    folder = (own if worker_id == "master" else own.parent) / "trajectories"
    folder.mkdir(exist_ok=True)
    return folder


def trajectory(model: fmus.UnitModel, job: Job, shared: Path) -> dict[str, np.ndarray]:
    """What the equations give; made once for all importers that move the same inputs."""
    names = names_in(job)
    key = hashlib.sha256("\n".join([model.name, *names]).encode()).hexdigest()[:16]
    file = shared / f"{model.name}-{key}.npz"
    if not file.is_file():
        made = Equations(model).co_simulation(STEPS, SIZE, lambda k: dict(zip(names, job.moved(k), strict=True)))
        with tempfile.NamedTemporaryFile(dir=shared, suffix=".npz", delete=False) as part:
            np.savez(part, **{f"x{i}": values for i, values in enumerate(made.values())}, names=np.array(list(made)))
        Path(part.name).replace(file)
    with np.load(file) as kept:
        return {str(name): kept[f"x{i}"] for i, name in enumerate(kept["names"])}


@pytest.mark.parametrize("unit", fmus.unit_names())
@pytest.mark.parametrize(("importer", "version"), CASES, ids=[f"{name}-fmi{version}" for name, version in CASES])
def test_an_importer_computes_what_the_equations_give(
    importer: str, version: int, unit: str, tmp_path: Path, shared: Path
) -> None:
    model = fmus.unit_model(unit)
    job = job_for(model, fmus.build_fmu(model, fmi=version), tmp_path / "rows.json", arrays=importer != "ecospy")
    program = [sys.executable, str(Path(__file__).with_name("importers.py")), importer]
    done = subprocess.run(program, input=job.write(), capture_output=True, text=True, check=False, timeout=300)
    if done.returncode == MISSING:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    rows = np.array(json.loads(Path(job.answer).read_text(encoding="utf-8")))
    assert rows.shape == (STEPS, len(names_out(job)))
    expected = trajectory(model, job, shared)
    assert set(names_out(job)) <= set(expected)
    missing = {v.name for v, _ in model.outputs if v.kind == "Real"} - set(names_out(job))
    assert all(model.variable(name).array for name in missing)
    for name, column in zip(names_out(job), rows.T, strict=True):
        nothing = 1e-12 * model.variable(name).nominal
        np.testing.assert_allclose(column, expected[name], rtol=1e-10, atol=nothing, err_msg=name)
    if unit == "loss_in_weight_feeder":
        assert expected["refill_count"][-1] >= 1
