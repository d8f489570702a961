"""`galenic export-ssp`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EPILOG = """Examples:

    galenic export-ssp tablet_line

    galenic export-ssp my_line.yaml --out my_line.ssp --platform linux64

    galenic export-ssp my_line.yaml --ssp 2.0

    galenic info my_line.ssp

    galenic run my_line.ssp"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export-ssp", epilog=EPILOG)(export_ssp)


def export_ssp(
    scenario: Annotated[str, typer.Argument(help="Name of a shipped scenario (see `galenic list`), or a YAML file.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File to write. Default: NAME.ssp")] = None,
    ssp: Annotated[str, typer.Option(metavar="1.0|2.0", help="Version of SSP.")] = "1.0",
    platform: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Platform that the FMUs are built for, repeatable, or all. Default: all."),
    ] = None,
) -> None:
    """Write a scenario's system as one .ssp file, to use in any tool that reads SSP.

    The file holds the FMUs, their parameters and start values, the connections, start and stop time. SSP has no words
    for sensors, disturbances and controllers: other tools run the line in open loop; 'galenic run' has them again.
    """
    from cosim import load_scenario
    from cosim.assembly import find_unit
    from cosim.ssp import write_ssp
    from fmus import GalenicError, build_fmu
    from fmus.toolchain import PLATFORM_NAMES, chosen_platforms
    from galenic.console import messages, output

    loaded = load_scenario(scenario)
    file = out if out is not None else Path(f"{loaded.name}.ssp")
    if file.suffix.lower() != ".ssp" or file.is_dir():
        raise GalenicError(f"--out: '{file}' is not an .ssp file", cure="write for example --out my_line.ssp")
    wanted = platform or ["all"]
    names = [p.fmi_name for p in chosen_platforms(PLATFORM_NAMES if "all" in wanted else wanted)]
    notes = messages()
    with notes.status("Building the FMUs") as status:

        def fmu_of(name: str) -> Path:
            model = find_unit(loaded, name)
            status.update(f"Building {model.name} for {', '.join(names)}")
            return build_fmu(model, platforms=names)

        said = write_ssp(loaded, file, version=ssp, fmu_of=fmu_of)
    count = len(loaded.components)
    facts = f"SSP {ssp}, {file.stat().st_size / 1024:.0f} KiB: {count} component{'s' if count > 1 else ''}"
    output().print(f"{file}  ({facts})", soft_wrap=True, markup=False)
    for note in said:
        notes.print(note, soft_wrap=True, markup=False)
