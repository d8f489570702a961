"""Draw docs/images/cosimulation.png: error and energy of two coupled masses under the master's algorithms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.linalg import expm

from cosim import Scenario, Simulation

ROOT = Path(__file__).parents[2]
UNIT = f"{(ROOT / 'tests' / 'cosim' / 'small_units.py').as_posix()}:mass"
MOTION = np.array([[0, 1, 0, 0], [-2, 0, 1, 0], [0, 0, 0, 1], [1, 0, -2, 0]], dtype=float)
STEPS = (0.1, 0.05, 0.025, 0.0125)
WAYS = {
    "Jacobi": ({"algorithm": "jacobi"}, "tab:red"),
    "Jacobi, extrapolation": ({"algorithm": "jacobi", "extrapolation": 1}, "tab:orange"),
    "Gauss-Seidel": ({"algorithm": "gauss_seidel"}, "tab:blue"),
    "Gauss-Seidel, extrapolation": ({"algorithm": "gauss_seidel", "extrapolation": 1}, "tab:cyan"),
    "iterative": ({"algorithm": "iterative"}, "tab:green"),
}


def simulation(step: float, duration: float, master: dict[str, object], second: float) -> Simulation:
    """Two masses of 1 kg, each on a spring to the ground and one to the other."""
    return Simulation(
        Scenario.from_mapping(
            {
                "scenario": "galenic/1",
                "duration": duration,
                "communication_step": step,
                "master": master,
                "components": {
                    "first": {"unit": UNIT, "parameters": {"x_start": 1.0}},
                    "second": {"unit": UNIT, "parameters": {"x_start": second}},
                },
                "connections": ["first.x -> second.u", "second.x -> first.u"],
            }
        )
    )


def largest_error(step: float, master: dict[str, object]) -> float:
    """Of the positions, against the exact solution, over 4 s."""
    exact, forward, worst = np.array([1.0, 0.0, 0.0, 0.0]), expm(MOTION * step), 0.0
    with simulation(step, 4.0, master, 0.0) as run:
        for _ in range(run.steps):
            run.step()
            exact = forward @ exact
            worst = max(worst, abs(run.get("first.x") - exact[0]), abs(run.get("second.x") - exact[2]))
    return worst


def energies(step: float, master: dict[str, object]) -> list[float]:
    """In the mode in which the masses swing against each other, relative to the start."""
    found = []
    with simulation(step, 40.0, master, -1.0) as run:
        run.initialize()
        for _ in range(run.steps):
            x1, v1, x2, v2 = (run.get(f"{n}.{s}") for n in ("first", "second") for s in "xv")
            found.append(0.5 * (v1**2 + v2**2 + x1**2 + x2**2 + (x1 - x2) ** 2))
            run.step()
    return [e / found[0] for e in found]


def main() -> None:
    """Compute, print and draw."""
    figure = Figure(figsize=(9.5, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    print(f"{'algorithm':30}{'error at 0.0125 s':>20}{'order':>8}{'energy after 40 s':>20}")
    for name, (master, colour) in WAYS.items():
        errors = [largest_error(step, master) for step in STEPS]
        order = np.log2(errors[-2] / errors[-1])
        energy = energies(0.05, master)
        print(f"{name:30}{errors[-1]:20.2e}{order:8.2f}{energy[-1]:20.3f}")
        style = "--" if name == "iterative" else "-"  # its errors are those of Jacobi, with the other sign
        left.loglog(STEPS, errors, "o", linestyle=style, color=colour, label=f"{name}: order {order:.1f}")
        right.plot(0.05 * np.arange(len(energy)), energy, color=colour, linestyle=style, label=name)
    left.set_xlabel("communication step [s]")
    left.set_ylabel("largest error of a position [m]")
    left.set_xticks(STEPS, [f"{step:g}" for step in STEPS])
    left.minorticks_off()
    left.legend(fontsize=8, loc="upper left")
    left.set_ylim(top=5.0)
    right.set_xlabel("time [s], communication step 0.05 s")
    right.set_ylabel("energy / energy at the start")
    right.axhline(1.0, color="black", linewidth=0.8, linestyle=":")
    for axis in (left, right):
        axis.grid(alpha=0.3, which="both")
    figure.savefig(ROOT / "docs" / "images" / "cosimulation.png", dpi=110)


if __name__ == "__main__":
    main()
