"""`galenic new`."""

from __future__ import annotations

import re
from importlib.resources import files
from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path
from typing import Annotated

import typer

EPILOG = """Examples:

    galenic new unit my_hopper

    galenic new unit roller_compactor --out models"""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
#: words that C, the template or Windows' file names keep for themselves
_TAKEN = re.compile(
    "auto|break|case|char|const|continue|default|do|double|else|enum|extern|float|for|goto|if|inline|int|long|register|"
    "restrict|return|short|signed|sizeof|static|struct|switch|typedef|union|unsigned|void|volatile|while|main|time|"
    "ca|aux|con|nul|prn"
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", epilog=EPILOG)
    group.callback()(new)
    group.command("unit", epilog=EPILOG)(unit)
    app.add_typer(group, name="new")


def new() -> None:
    """Begin something of your own from a commented example that works."""


def unit(
    name: Annotated[str, typer.Argument(help="Name of the unit, such as my_hopper.")],
    out: Annotated[Path, typer.Option(help="Folder of the files.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Replace files of these names.")] = False,
) -> None:
    """Write a unit model NAME.py, its test test_NAME.py and its page NAME.md, all working as they are."""
    from fmus import unit_model
    from galenic.console import output
    from galenic.session import write_text
    from galenic.variable_tables import markdown_tables

    _check_name(name, out)
    model, test, page = (out / file for file in (f"{name}.py", f"test_{name}.py", f"{name}.md"))
    _check_files((model, test, page), out, force)
    write_text(model, _template("unit.py", name))
    write_text(test, _template("test_unit.py", name))
    tables = markdown_tables(unit_model(str(model)))
    write_text(page, _template("unit.md", name).replace("@TABLES@", tables))
    console = output()
    console.print(f"Written: {model}, {test}, {page}", soft_wrap=True, markup=False)
    console.print("It is a surge hopper, and works as it is. Next:", markup=False)
    for command in (f"galenic info {model}", f"galenic export {model}", f"pytest {test}"):
        console.print(f"  {command}", soft_wrap=True, markup=False)


def _template(kind: str, name: str) -> str:
    text = (files("galenic") / "templates" / f"{kind}.txt").read_text(encoding="utf-8")
    return text.replace("@NAME@", name)


def _check_name(name: str, out: Path) -> None:
    """Refuse what cannot be the name of a file, a Python function and a C identifier at once."""
    from fmus import GalenicError, unit_names

    rule = "use small letters, digits and underscores, beginning with a letter"
    if not _NAME.fullmatch(name):
        slug = re.sub(r"[^a-z0-9]+", "_", name.removesuffix(".py").lower()).strip("_")
        hint = f", such as '{slug}'" if _NAME.fullmatch(slug) else ""
        raise GalenicError(f"'{name}' cannot be the name of a unit", cure=rule + hint)
    if name in unit_names():
        raise GalenicError(f"there is a unit '{name}' already", cure="choose another name, such as 'my_" + name + "'")
    if iskeyword(name) or _TAKEN.fullmatch(name):
        raise GalenicError(f"'{name}' is a reserved word", cure=f"choose another name, such as 'my_{name}'")
    spec = find_spec(name)
    if spec is not None and (spec.origin is None or Path(spec.origin).parent != out.resolve()):
        raise GalenicError(
            f"'{name}' is the name of a Python module, which a file {name}.py would hide",
            cure=f"choose another name, such as 'my_{name}'",
        )


def _check_files(wanted: tuple[Path, ...], out: Path, force: bool) -> None:
    from fmus import GalenicError

    if out.exists() and not out.is_dir():
        raise GalenicError(f"--out: '{out}' is a file", cure="give a folder")
    there = [str(file) for file in wanted if file.exists()]
    if there and not force:
        raise GalenicError(f"there is {', '.join(there)} already", cure="choose another name, or replace with --force")
