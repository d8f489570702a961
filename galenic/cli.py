"""The command `galenic`: what every command shares. The commands themselves stand in `galenic.commands`, one a file."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from fmus.errors import GalenicError
from galenic.commands import (
    advise,
    calibrate,
    check,
    compare,
    design_space,
    explain,
    export,
    export_controller,
    export_ssp,
    golden_batch,
    identify,
    info,
    lots,
    new,
    plot,
    replay,
    results,
    resume,
    run,
    schema,
    tune,
    watch,
)
from galenic.commands import list as list_command
from galenic.console import make_printable, output, show_bug, show_error

_EPILOG = "Start with: galenic run tablet_line"


class _Group(TyperGroup):
    """Turns errors into one screen and an exit status: 2 for the user's input, 1 for a defect, 130 for Ctrl-C."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Accept ``--debug`` anywhere on the line."""
        if "--debug" in args and "--" not in args:
            args = ["--debug", *(a for a in args if a != "--debug")]
        parsed: list[str] = super().parse_args(ctx, args)
        return parsed

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        debug = bool(ctx.params.get("debug"))
        try:
            return super().invoke(ctx)
        except GalenicError as error:
            if debug:
                raise
            show_error(error)
            ctx.exit(2)
        except KeyboardInterrupt:
            ctx.exit(130)
        except (typer.Exit, typer.Abort, SystemExit, BrokenPipeError):
            raise
        except Exception as error:
            if debug or _is_usage_error(error):
                raise
            show_bug(error)
            ctx.exit(1)


def _is_usage_error(error: Exception) -> bool:
    """Whether typer words this error itself (its exceptions moved between packages across versions)."""
    return hasattr(error, "exit_code")


app = typer.Typer(
    name="galenic",
    cls=_Group,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=_EPILOG,
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        output().print(f"galenic {version('galenic')}")
        raise typer.Exit


@app.callback()
def galenic(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error. May stand anywhere on the line.")
    ] = False,
) -> None:
    """Pharmaceutical unit operations as FMUs, co-simulated as a line, steered by model predictive control."""


for _module in (
    run,
    resume,
    watch,
    compare,
    plot,
    results,
    explain,
    advise,
    identify,
    design_space,
    golden_batch,
    tune,
    calibrate,
    replay,
    lots,
    info,
    export,
    export_ssp,
    export_controller,
    check,
    new,
    schema,
    list_command,
):
    _module.register(app)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the command `galenic`."""
    make_printable(sys.stdout, sys.stderr)
    app(args=None if arguments is None else list(arguments))


if __name__ == "__main__":
    main()
