"""`galenic export-controller`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from galenic.export_options import Fmi, Out, Platforms, chosen, tell, tell_python

if TYPE_CHECKING:
    from controllers.mpc import MPCController
    from cosim import Scenario
    from cosim.component import Controller

EPILOG = """Examples:

    galenic export-controller tablet_line --out fmus

    galenic export-controller tablet_line --fmi 2 --platform linux64

    galenic export-controller my_line.yaml --controller mpc --name line_mpc

    galenic export-controller cho_fed_batch_mpc    (a nonlinear law)

    galenic export-controller perfusion_ramp_mpc --python

    galenic check tablet_line_mpc.fmu

In another tool: connect each *.measured and *.sample to a measurement, each output named like a signal to that
actuator, and step it with its period or a divisor of it. See docs/controller_fmu.md."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export-controller", epilog=EPILOG)(export_controller)


def export_controller(
    scenario: Annotated[str, typer.Argument(help="Name of a shipped scenario (see `galenic list`), or a YAML file.")],
    controller: Annotated[
        str | None, typer.Option(help="Its controller to export. Default: the one predictive controller.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the FMU. Default: SCENARIO_CONTROLLER.")] = None,
    out: Out = Path(),
    fmi: Fmi = None,
    platform: Platforms = None,
    python: Annotated[
        bool, typer.Option("--python", help="An FMU that needs Python with Galenic, for any law and engine: FMI 2.0.")
    ] = False,
    engine: Annotated[
        str | None,
        typer.Option(metavar="hpipm|casadi|ipopt|do_mpc", help="Engine of a nonlinear law in a --python FMU."),
    ] = None,
) -> None:
    """Write a scenario's model predictive controller as an FMU.

    Where the law allows it needs no Python there: estimator and optimisers with their solver become C, compiled for
    all platforms, FMI 2.0 and 3.0 Co-Simulation, discrete in time. The FMU executes at multiples of its period, holds
    its outputs in between, and returns the setpoints that the scenario's controller returns. Its page
    (documentation/index.html in the file) has the equations, the settings and all variables.

    What it leaves to its surroundings: advice, records and the explanations of 'galenic explain'. Without an answer
    it gives the fallback inputs where 'fallback_connected' is set, else it holds; 'reason' says why.

    With --python (or --engine) the file holds the scenario's section and files, and runs Galenic itself through
    PythonFMU: any law and engine, also do_mpc, on machines that have Python with these packages.
    """
    from controllers.export.build import build_controller_fmu, controller_model
    from controllers.export.source import exported_mpc
    from cosim import load_scenario
    from cosim.system_builder import build_system
    from fmus import GalenicError
    from galenic.console import messages

    versions, names = chosen(out, fmi, platform)
    loaded = load_scenario(scenario)
    system = build_system(loaded)
    found = _chosen(loaded, system.controllers, controller)
    called = name or f"{loaded.name}_{found.name}"
    if python or engine is not None:
        from controllers.export.python_variant import build_python_variant

        if 2 not in versions:
            raise GalenicError("--fmi: an FMU that needs Python is FMI 2.0 only", cure="leave --fmi out")
        engine = None if engine is None else engine.replace("-", "_")
        file = build_python_variant(
            loaded, system, found, called, out, engine=engine, platforms=names if platform else None
        )
        tell_python(file)
        return
    model = controller_model(
        called,
        f"Model predictive controller '{found.name}' of the scenario {loaded.name}",
        exported_mpc(found),
    )
    for version in versions:
        with messages().status(f"Building {model.name} (FMI {version}.0) for {', '.join(names)}"):
            file = build_controller_fmu(model, out, fmi=version, platforms=names)
        tell(file, version, names)


def _chosen(scenario: Scenario, controllers: dict[str, Controller], name: str | None) -> MPCController:
    """The controller of that name, or the only predictive one."""
    from controllers.mpc import MPCController
    from fmus import GalenicError, nearest

    predictive = {n: c for n, c in controllers.items() if isinstance(c, MPCController)}
    if name is not None and name not in controllers:
        raise GalenicError(
            f"--controller: there is no controller '{name}' in {scenario.name}", cure=nearest(name, controllers)
        )
    if name is not None and name not in predictive:
        raise GalenicError(
            f"--controller: '{name}' is no predictive controller",
            cure=f"predictive ones of {scenario.name}: {', '.join(predictive) or 'none'}",
        )
    if name is None and len(predictive) != 1:
        raise GalenicError(
            f"{scenario.name} has {len(predictive) or 'no'} predictive controllers",
            cure=f"choose one by --controller: {', '.join(predictive)}" if predictive else "export one with an MPC",
        )
    return predictive[name or next(iter(predictive))]
