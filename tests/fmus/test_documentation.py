"""The documentation page: what an engineer who opens the FMU finds in it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest

import fmus
from fmus import UnitModel
from fmus.documentation import documentation_page

_VOID = {"meta", "br", "wbr", "link", "img", "hr", "input"}


def text_of(element: ET.Element) -> str:
    return re.sub(r"\s+", " ", "".join(element.itertext())).strip()


def section(page: str, key: str) -> ET.Element:
    return next(s for s in ET.fromstring(page).iter("section") if s.get("id") == key)


def table_rows(element: ET.Element) -> list[dict[str, str]]:
    """All rows of all tables as column title -> text."""
    found = []
    for table in element.iter("table"):
        titles = [text_of(h) for h in table.iter("th")]
        for line in table.iter("tr"):
            cells = [text_of(c) for c in line.findall("td")]
            if cells:
                found.append(dict(zip(titles, cells, strict=True)))
    return found


def everything() -> UnitModel:
    """A model with all that can be declared."""
    model = UnitModel(
        "mill",
        "A mill & <sieve>",
        documentation="A mill.\n\nIt breaks granules,\nsee ``rate``::\n\n    dn/dt = A n\n\nLeft out: heat < 1 W.",
    )
    feed = model.input("feed", [0.5, 0.25, 0.25], "kg/s", "feed by class", minimum=0.0, nominal=1.0)
    gate = model.input("gate", 1.0, "1", "where it goes", kind="Enumeration", items=["reject", "accept & pack"])
    speed = model.input("speed", 1000.0, "rpm", "rotor", maximum=3000.0, role=fmus.Role.CPP)
    rate = model.parameter("rate", 0.123456789, "1/s", "breakage", source="Smith & Co 2020, table 3", tunable=True)
    warm = model.parameter("warm", 300.0, "K", "of the room", source="assumed", display_unit="degC")
    held = model.state("held", [1.0, 2.0, 3.0], "kg", "powder by class", minimum=0.0)
    on = model.state("on", 1.0, "1", "it turns", kind="Boolean")
    root = model.algebraic("root", 1.0, "1", "an unknown")
    model.residual(root, root**2 - warm / 300.0)
    model.derivative(held, feed - rate * held * speed / 1000.0 * on)
    model.event("stops", held[0] - 0.1, {"on": 0.0, "held[1]": 1.0})
    model.output("outlet.flow", [model.mean(rate * held[i]) for i in range(3)], "kg/s", "by class")
    model.output("accepted", gate, "1", "as asked", kind="Enumeration", items=["reject", "accept & pack"])
    model.terminal("inlet", "granules", {"size": "feed"}, "what comes in")
    model.terminal("outlet", "granules", {"size": "outlet.flow"}, "what goes out")
    return model


def model_of(name: str) -> UnitModel:
    return everything() if name == "everything" else fmus.unit_model(name)


@pytest.fixture(scope="module", params=[*fmus.unit_names(), "everything"])
def model(request: pytest.FixtureRequest) -> UnitModel:
    return model_of(request.param)


@pytest.fixture(scope="module")
def pages(model: UnitModel) -> dict[int, str]:
    """The page of the model by version of FMI."""
    return {fmi: documentation_page(model, fmi) for fmi in (2, 3)}


class _Nesting(HTMLParser):
    """Refuses tags that a browser would have to guess about."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        # in HTML only void elements, SVG and MathML may end like that
        assert tag in _VOID or {"svg", "math"} & set(self.open), tag

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("fmi", [2, 3])
def test_the_page_is_well_formed_as_xml_and_as_html(pages: dict[int, str], fmi: int) -> None:
    page = pages[fmi]
    ET.fromstring(page)
    nesting = _Nesting()
    nesting.feed(page)
    nesting.close()
    assert nesting.open == []
    assert {"math", "svg", "table"} <= nesting.seen
    page.encode("utf-8")


def test_the_page_needs_nothing_from_elsewhere(pages: dict[int, str]) -> None:
    page = pages[3]
    root = ET.fromstring(page)
    assert not {"script", "link", "img", "iframe", "object"} & {e.tag for e in root.iter()}
    assert all(e.get("href", "#").startswith("#") and e.get("src") is None for e in root.iter())
    assert "url(" not in page
    assert "@import" not in page


def test_every_link_leads_to_a_section(pages: dict[int, str]) -> None:
    root = ET.fromstring(pages[3])
    targets = {e.get("id") for e in root.iter()}
    links = [e.get("href", "")[1:] for e in root.iter("a")]
    assert len(links) > 5
    assert set(links) <= targets


@pytest.mark.parametrize("fmi", [2, 3])
def test_every_variable_is_in_its_table_with_its_reference(model: UnitModel, pages: dict[int, str], fmi: int) -> None:
    root = ET.fromstring(pages[fmi])
    listed = {r["name"]: r for key in root.iter("section") for r in table_rows(key) if "reference" in r}
    seen = 0
    for reference, variable in enumerate(model.variables):
        if variable.array and not variable.name.endswith("[1]"):
            continue
        size = sum(v.array == variable.array for v in model.variables) if variable.array else 1
        last = f"{variable.array}[{size}]"
        name = variable.name if not variable.array else variable.array if fmi == 3 else f"{variable.name} to {last}"
        several = variable.array and fmi == 2
        row = listed[name]
        assert row["reference"] == (f"{reference} to {reference + size - 1}" if several else str(reference))
        assert row["unit"] == variable.unit
        assert row["description"] == variable.description
        assert row.get("display unit", "") == variable.display_unit
        assert row.get("role", "") == variable.role.value
        assert row.get("source", "") == variable.source
        for title, number in (("min", variable.minimum), ("max", variable.maximum)):
            assert number is None or float(row[title]) == number
        if variable.start is not None and not variable.array and variable.kind == "Real":
            assert float(row["start"]) == variable.start
        seen += 1
    assert seen == len(listed)


def test_every_parameter_has_its_source_beside_it(model: UnitModel, pages: dict[int, str]) -> None:
    lines = {r["name"]: r["source"] for r in table_rows(section(pages[3], "parameters"))}
    assert lines == {v.array or v.name: v.source for v, _ in model.parameters}


def test_text_of_the_model_is_escaped_and_keeps_its_paragraphs() -> None:
    page = documentation_page(everything(), 3)
    about = section(page, "about")
    assert [text_of(p) for p in about.iter("p")] == [
        "A mill.",
        "It breaks granules, see rate:",
        "Left out: heat < 1 W.",
    ]
    assert [p.text for p in about.iter("pre")] == ["dn/dt = A n"]
    assert "A mill & <sieve>" in text_of(ET.fromstring(page))


def test_enumerations_show_their_items() -> None:
    page = documentation_page(everything(), 3)
    lines = table_rows(section(page, "enumerations"))
    assert [(r["variable"], r["value"], r["item"]) for r in lines if r["variable"] == "gate"] == [
        ("gate", "0", "reject"),
        ("gate", "1", "accept & pack"),
    ]
    assert "1 (accept & pack)" in text_of(section(page, "inputs"))


def test_a_jump_to_an_item_of_an_enumeration_says_its_name() -> None:
    page = documentation_page(fmus.unit_model("loss_in_weight_feeder"), 3)
    items = fmus.unit_model("loss_in_weight_feeder").variable("mode").items
    notes = {text_of(e) for e in section(page, "equations").iter("span")}
    assert len(items) == 3
    assert set(items) <= notes


def test_terminals_show_their_members() -> None:
    lines = table_rows(section(documentation_page(everything(), 3), "terminals"))
    assert [(r["name"], r["kind"], r["members"]) for r in lines] == [
        ("inlet", "granules", "size: feed"),
        ("outlet", "granules", "size: outlet.flow"),
    ]


def test_arrays_and_types_are_called_as_that_version_of_fmi_calls_them() -> None:
    old = text_of(section(documentation_page(everything(), 2), "inputs"))
    new = text_of(section(documentation_page(everything(), 3), "inputs"))
    assert "feed[1] to feed[3]" in old
    assert "Real" in old
    assert "Float64[3]" in new
    assert "feed[1]" not in new


def test_what_is_tunable_and_what_a_mean_is_are_said() -> None:
    page = documentation_page(everything(), 3)
    lines = {r["name"]: r["tunable"] for r in table_rows(section(page, "parameters"))}
    assert lines == {"rate": "yes", "warm": ""}
    use = text_of(section(page, "use"))
    assert "means over the last communication step" in use
    assert "event indicator" in use
    assert "early return" in use
    assert "early return" not in text_of(section(documentation_page(everything(), 2), "use"))


def test_solver_and_tolerances_are_those_of_the_model() -> None:
    model = UnitModel("m", "", integrator="erk", relative_tolerance=3e-7, absolute_tolerance=4e-9)
    x = model.state("x", 1.0, "1", "")
    model.derivative(x, -x)
    use = text_of(section(documentation_page(model, 2), "use"))
    assert "explicit Runge-Kutta" in use
    assert "3e-07" in use
    assert "4e-09" in use


def test_sections_without_content_are_left_out() -> None:
    model = UnitModel("m", "nothing else")
    model.output("y", 1.0, "1", "a constant")
    keys = [s.get("id") for s in ET.fromstring(documentation_page(model, 3)).iter("section")]
    assert keys == ["use", "equations", "outputs", "licence"]


def test_the_same_model_gives_the_same_page(model: UnitModel, pages: dict[int, str]) -> None:
    again = model_of("everything" if model.name == "mill" else model.name)
    assert documentation_page(again, 3) == pages[3]
