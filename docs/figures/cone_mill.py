"""Draw docs/images/cone_mill.png: sizes before and after the mill, and steps of both fidelities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from fmpy import simulate_fmu
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import fmus
from fmus.granules import N_SIZES, SIZE_EDGES, SIZES, lognormal_fractions

CLASSES = [f"outlet.size[{k + 1}]" for k in range(N_SIZES)]
FEED = lognormal_fractions(6.2231e-3, 1.02258)
# from, rpm, wear, kg/h
STEPS = ((0.0, 900.0, 0.0, 20.4), (40.0, 1100.0, 0.0, 20.4), (80.0, 1100.0, 0.2, 20.4), (120.0, 1100.0, 0.2, 12.0))
END = 160.0


def main() -> None:
    """Simulate both mills and draw."""
    paths = {
        label: str(fmus.build_fmu(fmus.unit_model(unit)))
        for label, unit in (("detailed", "cone_mill"), ("fast", "cone_mill_fast"))
    }
    figure = Figure(figsize=(9.0, 3.3), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    width = np.diff(np.log(SIZE_EDGES))
    left.semilogx(1e6 * SIZES, FEED / width, color="0.6", label="feed (up to 4.1)")
    feed = {f"inlet.size[{k + 1}]": share for k, share in enumerate(FEED)}
    for aperture, speed in ((1.0, 900.0), (1.5, 900.0), (1.0, 1500.0)):
        starts = feed | {"screen_aperture": aperture, "impeller_speed": speed}
        run = simulate_fmu(
            paths["detailed"], start_values=starts, stop_time=100.0, output_interval=10.0, output=CLASSES
        )
        density = np.array([run[name][-1] for name in CLASSES]) / width
        left.semilogx(1e6 * SIZES, density, label=f"{aperture:g} mm, {speed:g} rpm")
    left.set(xlabel="size [um]", ylabel="dry mass per ln(size)", title="at rest", ylim=(0.0, 1.0))
    left.legend(fontsize=8)

    inputs = np.zeros(
        2 * len(STEPS), [("time", float)] + [(n, float) for n in ("impeller_speed", "screen_wear", "inlet.mass_flow")]
    )
    for i, (begin, speed, wear, flow) in enumerate(STEPS):
        end = STEPS[i + 1][0] if i + 1 < len(STEPS) else END
        for k, t in enumerate((begin, end)):
            inputs[2 * i + k] = (t, speed, wear, flow / 3600)
    for label, style in (("detailed", "-"), ("fast", ":")):
        run = simulate_fmu(paths[label], input=inputs, stop_time=END, output_interval=1.0, output=["d10", "d50", "d90"])
        for name, colour in (("d10", "tab:green"), ("d50", "tab:blue"), ("d90", "tab:purple")):
            shown = run["time"] > 20.0  # before that the detailed mill works up its first filling
            right.plot(run["time"][shown], run[name][shown], colour, ls=style, label=f"{name}, {label}")
    right.set(xlabel="time [s]", ylabel="[um]", title="steps of speed, wear, feed", ylim=(0.0, 1050.0))
    right.legend(fontsize=8, ncols=2)
    for axis in (left, right):
        axis.grid(alpha=0.3)
    figure.savefig(Path(__file__).parents[1] / "images" / "cone_mill.png", dpi=110)


if __name__ == "__main__":
    main()
