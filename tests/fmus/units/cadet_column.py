"""The breakthrough of `protein_a_column` as cadet-core computes it: writes the CSV file that the tests compare with.

``python tests/fmus/units/cadet_column.py`` with the packages cadet-core 5.1 and h5py.
"""

from __future__ import annotations

import csv
import importlib.util
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import fmus

CSV = Path(__file__).with_name("protein_a_column_cadet.csv")
#: bed height [cm], superficial velocity [cm/h], antibody in the feed [g/L], by the curve's name
CURVES = {"reference": (10.0, 200.0, 3.0), "taller_faster_thinner": (20.0, 300.0, 1.0)}
#: duration [s] and interval [s] of each curve
DURATION = {"reference": (7200.0, 60.0), "taller_faster_thinner": (28800.0, 240.0)}
CELLS = 400


def missing() -> str:
    """Why cadet-core cannot be run here; empty if it can."""
    lacking = [name for name in ("cadet_core", "h5py") if importlib.util.find_spec(name) is None]
    return f"not installed: {', '.join(lacking)}" if lacking else ""


def breakthrough(curve: str) -> tuple[np.ndarray, np.ndarray]:
    """Times [s] and antibody at the outlet [g/L] of cadet-core's lumped rate model with pores."""
    import cadet_core
    import h5py

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "column.h5"
        with h5py.File(file, "w") as content:
            _write(content, "input", _simulation(curve))
        done = subprocess.run([str(cadet_core.get_cadet_binary()), str(file)], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"cadet-cli failed: {done.stdout}{done.stderr}")
        with h5py.File(file, "r") as content:
            outlet = np.asarray(content["output/solution/unit_001/SOLUTION_OUTLET"]).ravel()
            return np.asarray(content["output/solution/SOLUTION_TIMES"]).ravel(), outlet


def _simulation(curve: str) -> dict[str, Any]:
    height, velocity, feed = CURVES[curve]
    p = {v.name: v.start or 0.0 for v, _ in fmus.unit_model("protein_a_column").parameters}
    porosity, pores, radius = p["bed_porosity"], p["particle_porosity"], 1e-6 * p["particle_radius"]
    superficial = velocity / 360000.0
    film = p["free_diffusivity"] / (2 * radius) * 1.09 / porosity
    film *= (1.0 + superficial * 2 * radius / p["free_diffusivity"]) ** (1 / 3)
    lumped = 1.0 / (1.0 / film + radius / (5.0 * p["pore_diffusivity"]))
    duration, interval = DURATION[curve]
    inlet = {"UNIT_TYPE": "INLET", "NCOMP": 1, "INLET_TYPE": "PIECEWISE_CUBIC_POLY"}
    inlet["sec_000"] = {"CONST_COEFF": [feed], "LIN_COEFF": [0.0], "QUAD_COEFF": [0.0], "CUBE_COEFF": [0.0]}
    column = {
        "UNIT_TYPE": "LUMPED_RATE_MODEL_WITH_PORES",
        "NCOMP": 1,
        "COL_LENGTH": 0.01 * height,
        "COL_POROSITY": porosity,
        "COL_DISPERSION": 1e-3 * p["dispersion_length"] * superficial / porosity,
        "VELOCITY": superficial / porosity,
        "PAR_POROSITY": pores,
        "PAR_RADIUS": radius,
        "FILM_DIFFUSION": [lumped],
        "NBOUND": [1],
        "INIT_C": [0.0],
        "INIT_Q": [0.0],
        "ADSORPTION_MODEL": "MULTI_COMPONENT_LANGMUIR",
        # bound per volume of the particles' solid there, per volume of bed here
        "adsorption": {
            "IS_KINETIC": 1,
            "MCL_KA": [p["binding_rate"]],
            "MCL_KD": [p["binding_rate"] * p["affinity"]],
            "MCL_QMAX": [p["capacity"] / (1 - porosity) / (1 - pores)],
        },
        "discretization": {
            "SPATIAL_METHOD": "FV",
            "NCOL": CELLS,
            "USE_ANALYTIC_JACOBIAN": 1,
            "RECONSTRUCTION": "WENO",
            "GS_TYPE": 1,
            "MAX_KRYLOV": 0,
            "MAX_RESTARTS": 10,
            "SCHUR_SAFETY": 1e-8,
            "weno": {"BOUNDARY_MODEL": 0, "WENO_EPS": 1e-10, "WENO_ORDER": 3},
        },
    }
    connections = {"NSWITCHES": 1, "switch_000": {"SECTION": 0, "CONNECTIONS": [0.0, 1.0, -1.0, -1.0, superficial]}}
    return {
        "model": {
            "NUNITS": 2,
            "unit_000": inlet,
            "unit_001": column,
            "connections": connections,
            "solver": {"GS_TYPE": 1, "MAX_KRYLOV": 0, "MAX_RESTARTS": 10, "SCHUR_SAFETY": 1e-8},
        },
        "solver": {
            "NTHREADS": 1,
            "USER_SOLUTION_TIMES": np.arange(0.0, duration + interval / 2, interval),
            "sections": {"NSEC": 1, "SECTION_TIMES": [0.0, duration], "SECTION_CONTINUITY": np.zeros(0, dtype=int)},
            "time_integrator": {
                "ABSTOL": 1e-10,
                "RELTOL": 1e-8,
                "ALGTOL": 1e-12,
                "INIT_STEP_SIZE": 1e-6,
                "MAX_STEPS": 1000000,
            },
        },
        "return": {
            "SPLIT_COMPONENTS_DATA": 0,
            "WRITE_SOLUTION_TIMES": 1,
            "unit_001": {"WRITE_SOLUTION_OUTLET": 1},
        },
    }


def _write(parent: Any, name: str, value: Any) -> None:
    if isinstance(value, dict):
        group = parent.create_group(name)
        for key, part in value.items():
            _write(group, key, part)
    else:
        parent[name] = np.bytes_(value) if isinstance(value, str) else value


def recorded() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The curves of the CSV file: times [s], antibody at the outlet [g/L]."""
    with CSV.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    return {
        curve: tuple(np.array([[float(r[k]) for k in ("second", "mab")] for r in rows if r["curve"] == curve]).T)
        for curve in CURVES
    }


def main() -> None:
    """Compute and write all curves."""
    import cadet_core

    with CSV.open("w", encoding="utf-8", newline="\n") as file:
        file.write(
            f"# Antibody at the outlet [g/L], cadet-core {cadet_core.__version__}, lumped rate model with pores,\n"
        )
        file.write(f"# {CELLS} cells, parameters of protein_a_column; made by cadet_column.py\n")
        file.write("curve,second,mab\n")
        for curve in CURVES:
            file.writelines(f"{curve},{t:.0f},{c:.6f}\n" for t, c in zip(*breakthrough(curve), strict=True))


if __name__ == "__main__":
    main()
