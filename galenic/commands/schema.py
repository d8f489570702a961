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
    out: Annotated[
        Path | None, typer.Option("--out", "--output", "-o", help="File to write. Default: standard output.")
    ] = None,
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
    """The schema: cosim's, with the section that this package reads in place of an open one.

    A file that extends another may leave out whatever is required, and remove a key with null: it has its own branch.
    """
    from cosim import Scenario
    from galenic.kpi_section import KpiSection

    content = Scenario.model_json_schema()
    kpis = KpiSection.model_json_schema()
    definitions = content.pop("$defs") | kpis.pop("$defs", {})
    content["properties"]["kpis"] = kpis
    content, definitions = _with_units(content), _with_units(definitions)
    whole = _by_name(content)
    variant = _of_a_variant(whole)
    variant["properties"]["extends"] = {
        "title": "Extends",
        "description": "a scenario, or several of which the later count more, that this one changes",
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}],
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Galenic scenario",
        "if": {"type": "object", "required": ["extends"]},
        "then": variant,
        "else": whole,
        "$defs": definitions | {f"{name}Variant": _of_a_variant(node) for name, node in definitions.items()},
    }


def _by_name(content: dict[str, Any]) -> dict[str, Any]:
    """Lists that may also be sections by name."""
    from cosim.named_lists import NAMED_LISTS

    properties = dict(content["properties"])
    for key in NAMED_LISTS:
        listed = properties[key]
        named = {"type": "object", "additionalProperties": listed["items"]}
        properties[key] = {"title": listed.get("title", key), "anyOf": [listed, named]}
    return content | {"properties": properties}


def _of_a_variant(node: Any) -> Any:
    """Nothing is required, every key may be null, and so below."""
    if isinstance(node, list):
        return [_of_a_variant(item) for item in node]
    if not isinstance(node, dict):
        return node
    changed = {key: _of_a_variant(value) for key, value in node.items() if key != "required"}
    if isinstance(reference := node.get("$ref"), str):
        changed["$ref"] = reference + "Variant"
    if isinstance(properties := node.get("properties"), dict):
        changed["properties"] = {key: _or_null(_of_a_variant(value)) for key, value in properties.items()}
    if isinstance(others := node.get("additionalProperties"), dict):
        changed["additionalProperties"] = _or_null(_of_a_variant(others))
    return changed


def _or_null(node: Any) -> Any:
    return {"anyOf": [node, {"type": "null"}]}


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
