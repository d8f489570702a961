"""What the commands that write FMUs share: their options, what these choose, and what is said of a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from fmus.errors import GalenicError

Out = Annotated[Path, typer.Option(help="Folder to write the FMUs to.")]
Fmi = Annotated[
    list[int] | None,
    typer.Option(metavar="2|3", help="FMI version, repeatable: 2 (NAME.fmu) or 3 (NAME_fmi3.fmu). Default: both."),
]
Platforms = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="Platform to build for, repeatable: linux64, win64, darwin64 (x86-64 and arm64), aarch64-linux, "
        "or all. Default: all.",
    ),
]


def chosen(out: Path, fmi: Sequence[int] | None, platform: Sequence[str] | None) -> tuple[list[int], list[str]]:
    """FMI versions and names of platforms.

    Raises:
        GalenicError: ``out`` is not a folder, or a version or platform is unknown.
    """
    from fmus.export import FMI_VERSIONS
    from fmus.toolchain import PLATFORM_NAMES, chosen_platforms

    if out.exists() and not out.is_dir():
        raise GalenicError(f"--out: '{out}' is not a folder", cure="give a folder; it is created where it is missing")
    versions = sorted(set(fmi or FMI_VERSIONS))
    for version in versions:
        if version not in FMI_VERSIONS:
            raise GalenicError(f"--fmi: there is no export to FMI {version}", cure="2 for FMI 2.0 or 3 for FMI 3.0")
    wanted = platform or ["all"]
    names = [p.fmi_name for p in chosen_platforms(PLATFORM_NAMES if "all" in wanted else wanted)]
    return versions, names


def tell(file: Path, version: int, names: Sequence[str]) -> None:
    """Say what was written, compiled for these platforms."""
    _say(file, f"FMI {version}.0, {_size(file)}: {', '.join(names)}")


def tell_python(file: Path) -> None:
    """Say what was written, an FMU that needs Python."""
    _say(file, f"FMI 2.0, {_size(file)}; needs Python, 'galenic info' says which")


def _size(file: Path) -> str:
    return f"{file.stat().st_size / 1024:.0f} KiB"


def _say(file: Path, facts: str) -> None:
    from galenic.console import output

    output().print(f"{file}  ({facts})", soft_wrap=True, markup=False)
