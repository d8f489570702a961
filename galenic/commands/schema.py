"""`galenic schema`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

EPILOG = """Example:

    galenic schema --out galenic.schema.json

and, as the first line of a scenario, for editors with a YAML language server:

    # yaml-language-server: $schema=galenic.schema.json"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("schema", epilog=EPILOG)(schema)


def schema(
    out: Annotated[Path | None, typer.Option(help="File to write. Default: standard output.")] = None,
) -> None:
    """Print the JSON schema of scenario files, with which editors complete and check them."""
    import json

    from galenic.console import output
    from galenic.session import write_json

    content = scenario_schema()
    if out is not None:
        write_json(out, content)
        output().print(str(out), soft_wrap=True, markup=False)
    else:
        typer.echo(json.dumps(content, indent=1))


def scenario_schema() -> dict[str, Any]:
    """The schema: cosim's, with the section that this package reads in place of an open one."""
    from cosim import Scenario
    from galenic.kpi_section import KpiSection

    content = Scenario.model_json_schema()
    kpis = KpiSection.model_json_schema()
    content.setdefault("$defs", {}).update(kpis.pop("$defs", {}))
    content["properties"]["kpis"] = kpis
    content = {key: _with_units(value) for key, value in content.items()}
    content["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    content["title"] = "Galenic scenario"
    return content


def _with_units(node: Any) -> Any:
    """Wherever a scenario takes a number, it also takes a text with a unit."""
    if isinstance(node, list):
        return [_with_units(item) for item in node]
    if not isinstance(node, dict):
        return node
    changed = {key: _with_units(value) for key, value in node.items()}
    if changed.get("type") == "number":
        changed["type"] = ["number", "string"]
    return changed
