"""Replay: the press FMU driven with recorded batches that its calibration did not see.

The recorded fill depth, gap and speed go into the FMU every 10 s and its force is compared with the recorded one.
What the records cannot tell is the powder's density, which changes from batch to batch; hence several modes, all of
which use only what was known before the sample that they predict:

- ``no offset``: the density that the calibration found;
- ``first 10 min``: a batch's density offset from the force in its first 10 min of running, held from then on;
- ``running offset``: the density offset tracked with a 10 min exponential mean, one step ahead;
- ``force mean, no model``: no model at all, the 10 min exponential mean of the force itself. In production a loop holds
  the force, so this is hard to beat there; a model earns its keep where fill depth or gap are moved.

``batch mean (hindsight)`` is the mean of the very samples that are scored: what a constant could reach at best.

The same equations at rest also predict each move of a start-up: from the force on one plateau, that on the next one of
the batch, against the guess that the force does not change.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from cosim.fmu_archive import open_archive
from cosim.fmu_component import FmuComponent
from fmus import build_fmu, unit_model
from twin.parameter_file import ParameterFile, batches_to_replay, read_parameter_file, refuse_other_product
from twin.plant_data import SAMPLE_PERIOD, DataReport, read_plant_data
from twin.press_function import UNIT, PressFunction
from twin.startup import MAX_MOVE, mark_phases, plateaus, select_startup

if TYPE_CHECKING:
    from cosim.fmu_archive import FmuArchive

FloatArray = npt.NDArray[np.float64]

MODEL_MODES = ("no offset", "first 10 min", "running offset")
MODES = (*MODEL_MODES, "force mean, no model", "batch mean (hindsight)")
PHASES = ("start-up", "production")
_WINDOW = 600.0  # s
# the recorded positions are actual ones, so the FMU's own lags must not be added
_FOLLOW = {"actuator_time_constant": 0.5, "turret_time_constant": 0.5}


@dataclass(frozen=True)
class Replay:
    """Errors of the predicted force.

    Attributes:
        product: the product code.
        scores: one row for each batch, phase and mode: ``samples``, ``rmse`` and ``bias`` (predicted minus measured)
            in kN, ``percent`` (RMSE over the mean force).
        pooled: the same over all samples of the batches, by phase and mode.
        traces: batch -> one row a sample: ``time`` in s since the batch's first, ``measured`` kN, ``fill``, ``gap`` mm,
            ``speed`` 1/h, ``phase`` ("" where not scored), one column a mode.
        moves: one row for each move between plateaus of a start-up: ``batch``, ``fill``, ``gap`` (changes in mm),
            ``measured``, ``predicted`` (changes of the force in kN).
        seen: batches among them that the calibration saw.
        report: of the data.
    """

    product: int
    scores: pd.DataFrame
    pooled: pd.DataFrame
    traces: dict[int, pd.DataFrame]
    moves: pd.DataFrame
    seen: tuple[int, ...]
    report: DataReport


def replay_press(
    parameter_file: str | Path,
    data_dir: str | Path,
    product: int,
    batches: Sequence[int] | None = None,
    *,
    progress: Callable[[float, float], None] | None = None,
) -> Replay:
    """Drive the press FMU with recorded batches.

    Args:
        parameter_file: of `galenic calibrate`.
        data_dir: folder with the recorded series.
        product: the product code.
        batches: which; by default all that the calibration did not see.
        progress: called with (FMU runs done, total).

    Raises:
        GalenicError: bad data or parameter file, unknown batches, or nothing that the calibration did not see.
    """
    parameters = read_parameter_file(parameter_file)
    refuse_other_product(parameters, product)
    plant = read_plant_data(data_dir, product)
    wanted = batches_to_replay(parameters, plant.batches, batches)
    marked = mark_phases(plant.series)
    function = PressFunction(parameters.values)
    archive = open_archive(build_fmu(unit_model(UNIT)))
    traces = {}
    total = len(wanted) * len(MODEL_MODES)
    for number, batch in enumerate(wanted):
        samples = marked[marked.batch == batch].reset_index(drop=True)

        def told(done: float, before: int = number * len(MODEL_MODES)) -> None:
            if progress is not None:
                progress(before + done, total)

        traces[batch] = _replay_batch(archive, function, parameters, samples, told)
    chosen = marked[marked.batch.isin(wanted)]
    moves = predicted_moves(function, plateaus(select_startup(chosen)))
    seen = tuple(b for b in wanted if b in parameters.batches)
    return Replay(product, _scores(traces), _pooled(traces), traces, moves, seen, plant.report)


def _replay_batch(
    archive: FmuArchive,
    function: PressFunction,
    parameters: ParameterFile,
    samples: pd.DataFrame,
    told: Callable[[float], None],
) -> pd.DataFrame:
    # a blank position is bridged with the one before; its sample is not scored
    position = samples[["tbl_fill", "cyl_main", "tbl_speed"]].ffill().bfill().fillna(0.0)
    fill, gap = position.tbl_fill.to_numpy(dtype=float), position.cyl_main.to_numpy(dtype=float)
    speed = 1e3 * position.tbl_speed.to_numpy(dtype=float)
    time = (samples.timestamp - samples.timestamp.iloc[0]).dt.total_seconds().to_numpy(dtype=float)
    force = samples.main_comp.to_numpy(dtype=float)
    recorded = samples.running & ~samples.missing & ~samples.frozen
    valid = (recorded & (samples.main_comp > 0) & (samples.sample_of_run > 0)).to_numpy()
    started = samples.started.to_numpy()
    window = int(_WINDOW / SAMPLE_PERIOD)
    seen = np.cumsum(valid)

    observed = np.full(len(samples), np.nan)
    observed[valid] = function.density_effect(fill[valid], gap[valid], speed[valid], force[valid])
    early = observed[valid & (seen <= window)]
    held = float(np.nanmedian(early)) if np.isfinite(early).any() else 0.0
    effects = {
        "no offset": np.zeros(len(samples)),
        "first 10 min": np.where(seen > window, held, 0.0),
        "running offset": running_mean(observed, start=0.0),
    }
    phase = np.where(~valid, "", np.where(~started, "start-up", np.where(seen > window, "production", "")))
    trace = pd.DataFrame(
        {"time": time, "measured": force, "fill": fill, "gap": gap, "speed": speed, "phase": phase, "valid": valid}
    )
    for number, mode in enumerate(MODEL_MODES):
        trace[mode] = drive_press(archive, parameters.values, time, fill, gap, speed, effects[mode])
        told(number + 1.0)
    trace["force mean, no model"] = running_mean(np.where(valid, force, np.nan), start=parameters.force)
    trace["batch mean (hindsight)"] = trace.groupby("phase").measured.transform("mean")
    return trace


def predicted_moves(function: PressFunction, steps: pd.DataFrame) -> pd.DataFrame:
    """Changes of the force between consecutive plateaus of a batch, measured and predicted; see `Replay.moves`.

    The density that explains one plateau's force is kept for the next; moves beyond `MAX_MOVE` are left out.
    """
    columns = ["batch", "fill", "gap", "measured", "predicted"]
    if steps.empty:
        return pd.DataFrame(columns=columns)
    before = steps.groupby("batch")[["fill", "gap", "force", "speed"]].shift()
    rows = np.flatnonzero(before.force.notna())
    old, new = before.iloc[rows], steps.iloc[rows]
    effect = function.density_effect(
        old.fill.to_numpy(), old.gap.to_numpy(), old.speed.to_numpy(), old.force.to_numpy()
    )
    ahead = function.evaluate(function.rows(new.fill, new.gap, new.speed, np.nan_to_num(effect)))[:, 0]
    moves = pd.DataFrame(
        {
            "batch": new.batch.to_numpy(),
            "fill": (new.fill - old.fill).to_numpy(),
            "gap": (new.gap - old.gap).to_numpy(),
            "measured": (new.force - old.force).to_numpy(),
            "predicted": ahead - old.force.to_numpy(),
        },
        columns=columns,
    )
    size = moves[["fill", "gap"]].abs()
    kept = (size <= MAX_MOVE).all(axis=1) & (size.sum(axis=1) > 1e-6) & np.isfinite(effect)
    return moves[kept].reset_index(drop=True)


def drive_press(
    archive: FmuArchive,
    values: Mapping[str, float],
    time: FloatArray,
    fill: FloatArray,
    gap: FloatArray,
    speed: FloatArray,
    effect: FloatArray,
) -> FloatArray:
    """The FMU's main compression force in kN at each instant, shape (n,).

    Args:
        archive: the press FMU.
        values: its parameters.
        time: instants in s, increasing; the sample at an instant holds over the step that ends there.
        fill: fill depth in mm.
        gap: gap in mm.
        speed: turret speed in 1/h.
        effect: log of the bulk density over the reference, at each instant.
    """
    component = FmuComponent("press", archive, {**values, **_FOLLOW, "inlet.mass_flow": 0.0})
    names = [p.name for p in component.inputs]
    outputs = [p.name for p in component.outputs]
    reference = values.get("reference_bulk_density", component.variable("reference_bulk_density").start or 0.0)
    order = [names.index(n) for n in ("fill_depth_setpoint", "gap_setpoint", "turret_speed_setpoint")]
    flow, density = names.index("inlet.mass_flow"), names.index("inlet.bulk_density")
    draw, force = outputs.index("draw_mass_flow"), outputs.index("main_compression_force")
    # a press that is opened for cleaning stands beyond the FMU's range; it is stopped then
    low = [component.inputs[k].min for k in order]
    high = [component.inputs[k].max for k in order]
    recorded = np.column_stack([fill, gap, speed])
    recorded = np.clip(recorded, np.array(low, dtype=float), np.array(high, dtype=float))
    bulk = reference * np.exp(effect)
    component.input_values[order] = recorded[0]
    component.input_values[density] = bulk[0]
    result = np.empty(len(time))
    component.initialize(float(time[0]))
    try:
        u, y = component.input_values, component.output_values
        result[0] = y[force]
        for i in range(1, len(time)):
            u[order] = recorded[i]
            u[flow], u[density] = y[draw], bulk[i]
            component.do_step(float(time[i - 1]), float(time[i] - time[i - 1]))
            result[i] = y[force]
    finally:
        component.terminate()
    return result


def running_mean(values: FloatArray, start: float) -> FloatArray:
    """Exponential mean (10 min) of all values before each, shape as ``values``; NaN values are passed over.

    The first values count as an ordinary mean with ``start`` as one of them, so that it forgets the start quickly.
    """
    least = 1.0 - math.exp(-SAMPLE_PERIOD / _WINDOW)
    result = np.empty(len(values))
    mean, count = start, 1
    for i, value in enumerate(values):
        result[i] = mean
        if np.isfinite(value):
            count += 1
            mean += max(least, 1.0 / count) * (value - mean)
    return result


def _scores(traces: Mapping[int, pd.DataFrame]) -> pd.DataFrame:
    rows = []
    for batch, trace in traces.items():
        rows += [{"batch": batch, **row} for row in _errors(trace)]
    return pd.DataFrame(rows)


def _pooled(traces: Mapping[int, pd.DataFrame]) -> pd.DataFrame:
    return pd.DataFrame(_errors(pd.concat(list(traces.values()))))


def _errors(trace: pd.DataFrame) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for phase in PHASES:
        scored = trace[trace.phase == phase]
        for mode in MODES:
            error = (scored[mode] - scored.measured).to_numpy(dtype=float)
            rmse = float(np.sqrt(np.mean(error**2))) if error.size else math.nan
            mean = float(scored.measured.mean()) if error.size else math.nan
            bias = float(error.mean()) if error.size else math.nan
            rows.append(
                {
                    "phase": phase,
                    "mode": mode,
                    "samples": len(error),
                    "rmse": rmse,
                    "bias": bias,
                    "percent": 100.0 * rmse / mean if error.size else math.nan,
                }
            )
    return rows
