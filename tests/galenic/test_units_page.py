"""The units' page: its tables are the models', its figures' scenarios build."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cosim import build_system, load_scenario
from fmus import unit_model, unit_names
from galenic.variable_tables import markdown_tables

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "units.md").read_text(encoding="utf-8")
UNITS = re.findall(r"^## (\w+)$", TEXT, re.MULTILINE)


PAGES = {page: page.read_text(encoding="utf-8") for page in sorted((DOCS / "models").glob("*.md"))}


def test_every_shipped_unit_has_its_section_or_its_page() -> None:
    described = {unit for text in PAGES.values() for unit in unit_names() if f"`{unit}`" in text}
    assert sorted({*UNITS, *described}) == unit_names()
    assert set(UNITS).isdisjoint(page.stem for page in PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_names_its_figure_and_the_command_that_makes_it(page: Path) -> None:
    text = PAGES[page]
    figures = re.findall(r"\]\(\.\./images/([\w.]+)\)", text)
    makers = re.findall(r"python (docs/figures/\w+\.py)", text)
    assert figures
    assert makers
    for figure in figures:
        assert (DOCS / "images" / figure).stat().st_size < 300_000
    for maker in makers:
        assert (DOCS.parent / maker).is_file()


@pytest.mark.parametrize("unit", UNITS)
def test_tables_are_what_the_command_prints(unit: str) -> None:
    match = re.search(rf"<!-- galenic info {unit} --markdown -->\n(.*?)\n<!-- end -->", TEXT, re.DOTALL)
    assert match is not None
    assert match[1] == markdown_tables(unit_model(unit)), f"galenic info {unit} --markdown prints the tables anew"


@pytest.mark.parametrize("unit", UNITS)
def test_equations_are_those_of_the_model_file(unit: str) -> None:
    import fmus.units

    source = (Path(fmus.units.__path__[0]) / f"{unit}.py").read_text(encoding="utf-8")
    written = {line.replace(" ", "") for line in source.splitlines() if " = " in line}
    section = TEXT.split(f"## {unit}\n")[1].split("\n## ")[0]
    equations = [line.replace(" ", "") for line in section.splitlines() if line.startswith("    ") and " = " in line]
    assert len(equations) >= 3
    missing = [e for e in equations if not any(e in line for line in written)]
    assert not missing


@pytest.mark.parametrize("unit", UNITS)
def test_the_figure_is_there_and_its_scenario_builds(unit: str) -> None:
    assert f"(images/{unit}.png)" in TEXT
    assert (DOCS / "images" / f"{unit}.png").stat().st_size < 300_000
    assert f"galenic run docs/units/{unit}.yaml" in TEXT
    assert build_system(load_scenario(DOCS / "units" / f"{unit}.yaml")).names
