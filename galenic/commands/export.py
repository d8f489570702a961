"""`galenic export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fmus import UnitModel

EPILOG = """Examples:

    galenic export tablet_press --out fmus

    galenic export tablet_line --out fmus    (every unit of the scenario)

    galenic export my_unit.py --out fmus"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export", epilog=EPILOG)(export)


def export(
    target: Annotated[str, typer.Argument(metavar="UNIT_OR_SCENARIO", help="A unit, FILE.py, or a scenario.")],
    out: Annotated[Path, typer.Option(help="Folder to write the FMUs to.")] = Path(),
) -> None:
    """Write units as FMI 2.0 Co-Simulation FMUs for this platform, to use in any tool.

    Of a scenario, every component that is a unit becomes <component>.fmu, with the scenario's parameters and starts.
    """
    from fmus import GalenicError, build_fmu
    from galenic.console import messages, output

    if out.exists() and not out.is_dir():
        raise GalenicError(f"--out: '{out}' is not a folder", cure="give a folder; it is created where it is missing")
    console = output()
    for model in _models(target):
        with messages().status(f"Building {model.name}"):
            file = build_fmu(model, out)
        console.print(f"{file}  ({file.stat().st_size / 1024:.0f} KiB)", soft_wrap=True, markup=False)


def _models(target: str) -> list[UnitModel]:
    from cosim import load_scenario, scenario_names
    from cosim.system import build_system
    from fmus import GalenicError, nearest, unit_model, unit_names

    if target in unit_names() or target.partition(":")[0].endswith(".py"):
        return [unit_model(target)]
    if target not in scenario_names() and not target.lower().endswith((".yaml", ".yml")):
        raise GalenicError(
            f"there is no unit or scenario '{target}'", cure=nearest(target, [*unit_names(), *scenario_names()])
        )
    scenario = load_scenario(target)
    bare = scenario.model_copy(update={"controllers": {}, "disturbances": [], "sensors": {}, "record": "all"})
    models = []
    for component in build_system(bare).components:
        unit = scenario.components[component.name].unit
        if unit is None:
            continue
        file, colon, function = unit.partition(":")
        model = unit_model(f"{scenario.resolve(file)}{colon}{function}" if file.endswith(".py") else unit)
        models.append(model.with_starts(component.values, component.name))
    return models
