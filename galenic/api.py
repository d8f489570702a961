"""What the commands do, from Python: run a scenario with its report, its KPIs as a table, its figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from cosim import Results, Scenario


def simulate(
    scenario: str | Path | Scenario | Mapping[str, Any],
    *,
    out: Path | str | None = None,
    duration: float | str | None = None,
    seed: int | None = None,
    without: Sequence[str] = (),
    real_time: float | None = None,
    progress: Callable[[float], None] | None = None,
) -> Results:
    """Run a scenario as ``galenic run`` does, without its output.

    Args:
        scenario: the name of one that comes with Galenic, a file, what a file would contain, or a `Scenario`.
        out: folder of the results; None for a new one below ``runs``.
        duration: simulate this long instead, as a number in s or text such as ``"30 min"``.
        seed: replaces the scenario's seed.
        without: names of controllers to leave out.
        real_time: keep simulated time at this many times the clock's; None for as fast as it goes.
        progress: told the simulated time about ten times a second.

    Returns:
        The results; ``results.folder`` also has ``kpis.json``.

    Raises:
        GalenicError: the scenario is not valid, or the run fails; what was computed is then kept in the folder.
            KeyboardInterrupt passes through, likewise.
    """
    from galenic import session

    loaded = session.with_duration(_scenario(scenario), duration)
    folder = session.new_folder(loaded.name, None if out is None else Path(out))
    simulation = session.build(loaded, folder, seed=seed, without=without, real_time=real_time)
    simulation.run(progress)
    return session.finish(loaded, folder).results


def kpis(results: Results) -> pd.DataFrame:
    """The KPIs that the scenario of a run asks for: value, unit and definition, indexed by name.

    Raises:
        GalenicError: the scenario kept with the results is not one that this version reads.
    """
    import pandas as pd

    from galenic import session
    from galenic.kpi import kpis_of

    found = kpis_of(session.scenario_of(results), results, results.metadata.get("wall_time"))
    return pd.DataFrame(
        {
            "value": [kpi.value for kpi in found],
            "unit": [kpi.unit for kpi in found],
            "definition": [kpi.definition for kpi in found],
        },
        index=pd.Index([kpi.name for kpi in found], name="kpi"),
    )


def plot(results: Results, file: Path | str | None = None) -> Path:
    """Draw the figure of a run, as ``galenic plot`` does.

    Args:
        results: of the run.
        file: the PNG to write; None for ``figure.png`` in the run's folder.

    Returns:
        The file.

    Raises:
        GalenicError: as `kpis`.
    """
    from galenic import session

    scenario = session.scenario_of(results)
    outcome = session.finish(scenario, results.folder)
    return session.draw_run(outcome, scenario, None if file is None else Path(file))


def _scenario(scenario: str | Path | Scenario | Mapping[str, Any]) -> Scenario:
    from cosim import Scenario, find_scenario, load_scenario

    if isinstance(scenario, Scenario):
        return scenario
    if isinstance(scenario, Mapping):
        return Scenario.from_mapping(scenario)
    return load_scenario(find_scenario(scenario).resolve())
