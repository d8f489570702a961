"""`galenic export`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from galenic.export_options import Fmi, Out, Platforms, chosen, tell, tell_python

if TYPE_CHECKING:
    from fmus import UnitModel

EPILOG = """Examples:

    galenic export tablet_press --out fmus

    galenic export tablet_line --out fmus    (every unit of the scenario)

    galenic export my_unit.py --out fmus

    galenic export my_sensor.py:SoftSensor --out fmus    (a class: a component that has to be Python)

    galenic export tablet_press --fmi 2    (FMI 2.0 only)

    galenic export tablet_press --platform win64    (one binary only)

    galenic export tablet_press --platform linux64 --platform win64"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export", epilog=EPILOG)(export)


def export(
    target: Annotated[str, typer.Argument(metavar="UNIT_OR_SCENARIO", help="A unit, FILE.py, or a scenario.")],
    out: Out = Path(),
    fmi: Fmi = None,
    platform: Platforms = None,
) -> None:
    """Write units as FMUs, to use in any tool on Linux, Windows and macOS.

    NAME.fmu is FMI 2.0, NAME_fmi3.fmu is FMI 3.0; each offers Co-Simulation and Model Exchange and holds the binaries
    of all platforms, built here, the C sources and a documentation page. With --platform, only the binaries named.
    The first build for Windows on a machine takes about a minute, later ones seconds.

    Of a scenario, every component that is a unit becomes `COMPONENT.fmu`, with the scenario's parameters and starts.

    A class (FILE.py:CLASS), or a controller of a scenario that is your own class, becomes an FMU that needs Python
    where it runs: FMI 2.0 Co-Simulation for Linux and Windows, through PythonFMU.
    """
    from cosim.python_fmu import build_python_fmus, is_python_component
    from fmus import build_fmu

    versions, names = chosen(out, fmi, platform)
    for model in () if is_python_component(target) else _models(target):
        for version in versions:
            with _progress(f"{model.name} (FMI {version}.0)", names) as done:
                file = build_fmu(model, out, fmi=version, platforms=names, on_binary=done)
            tell(file, version, names)
    # what has to be Python: a component, or a scenario's own controllers
    for file in build_python_fmus(target, out, fmi=versions, platforms=names, on_left_out=_note):
        tell_python(file)


def _note(text: str) -> None:
    from galenic.console import messages

    messages().print(text, soft_wrap=True, markup=False)


@contextmanager
def _progress(name: str, platforms: list[str]) -> Iterator[Callable[[str], None]]:
    """A bar over the binaries of one FMU that names those still to come; yields what to tell each when it is there."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from galenic.console import messages

    left = list(platforms)
    columns = (TextColumn("Building {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = messages()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"{name} for {', '.join(left)}", total=len(left))

        def done(platform: str) -> None:
            left.remove(platform)
            bar.update(task, advance=1, description=f"{name} for {', '.join(left)}")

        yield done


def _models(target: str) -> list[UnitModel]:
    from cosim import load_scenario, scenario_names
    from cosim.python_files import split_name, with_file
    from cosim.system_builder import build_system
    from fmus import GalenicError, nearest, unit_model, unit_names

    if target in unit_names() or split_name(target) is not None:
        return [unit_model(target)]
    if target not in scenario_names() and not target.lower().endswith((".yaml", ".yml")):
        raise GalenicError(
            f"there is no unit or scenario '{target}'", cure=nearest(target, [*unit_names(), *scenario_names()])
        )
    scenario = load_scenario(target)
    unwanted = ("actions", "stop_when", "disturbances", "sensors", "controllers")
    empty = {key: type(getattr(scenario, key))() for key in unwanted}
    bare = scenario.model_copy(update={**empty, "record": "all"})
    models = []
    for component in build_system(bare).components:
        unit = scenario.components[component.name].unit
        if unit is None:
            continue
        model = unit_model(with_file(unit, lambda file: str(scenario.resolve(file))))
        starts = {name: value for name, value in component.values.items() if isinstance(value, int | float)}
        models.append(model.with_starts(starts, component.name))
    return models
