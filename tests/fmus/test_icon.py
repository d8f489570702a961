"""The icon and the terminals on it: valid, the same every time, and drawn without touching the user's plots."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import fmpy
import numpy as np
import pytest
from lxml import etree
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.image import imread

import fmus
from fmus import GalenicError, UnitModel
from fmus.documentation import icon_files, icon_png, icon_svg, terminals_and_icons_xml
from fmus.documentation.drawing import Text
from fmus.documentation.icon import _shapes
from fmus.documentation.terminals import Side, places

SCHEMA = Path(fmpy.__file__).parent / "schema" / "fmi3" / "fmi3TerminalsAndIcons.xsd"
NAMES = [*fmus.unit_names(), "x", "a_unit_with_quite_a_number_of_words_in_it", "twinscrewwetgranulator_and_dryer"]


def named(name: str) -> UnitModel:
    return fmus.unit_model(name) if name in fmus.unit_names() else UnitModel(name, "")


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(imread(io.BytesIO(png)))


def stream(*sides: str) -> UnitModel:
    """A model with a terminal on each of ``sides``: in, out or both."""
    model = UnitModel("unit", "")
    for i, side in enumerate(sides):
        members = {}
        if side != "out":
            members["there"] = f"u{i}"
            model.input(f"u{i}", 0.0, "1", "")
        if side != "in":
            members["back"] = f"y{i}"
            model.output(f"y{i}", 0.0, "1", "")
        model.terminal(f"port_{i}", "stream", members)
    return model


@pytest.mark.parametrize("name", NAMES)
def test_the_icon_is_a_picture_with_a_transparent_edge(name: str) -> None:
    image = pixels(icon_png(named(name)))
    assert image.shape == (256, 256, 4)
    assert image[0, 0, 3] == 0.0
    assert image[128, 10, 3] == 1.0
    dark = (image[..., :3].sum(axis=-1) < 0.6) & (image[..., 3] > 0.9)
    assert 200 < dark.sum() < 20_000


@pytest.mark.parametrize("name", NAMES)
def test_every_text_is_within_the_icon(name: str) -> None:
    model = named(name)
    figure = Figure(figsize=(1, 1), dpi=256)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 100), ylim=(0, 100))
    texts = [s for s in _shapes(model, True) if isinstance(s, Text)]
    assert " ".join(t.text for t in texts if t.bold) == name.replace("_", " ")
    boxes = []
    for text in texts:
        font = FontProperties(family="DejaVu Sans", weight="bold" if text.bold else "normal", size=0.72 * text.size)
        drawn = axes.text(text.x, text.y, text.text, ha=text.align, va="center_baseline", fontproperties=font)
        box = drawn.get_window_extent(canvas.get_renderer())
        assert box.x0 > 5
        assert box.x1 < 251
        assert box.y0 > 5
        assert box.y1 < 251
        boxes.append(box)
    for i, one in enumerate(boxes):
        assert not any(one.overlaps(other) for other in boxes[i + 1 :]), texts


def test_the_same_model_gives_the_same_files() -> None:
    for fmi in (2, 3):
        first, second = (icon_files(fmus.unit_model("tablet_press"), fmi) for _ in range(2))
        assert first == second


def test_the_same_model_gives_the_same_picture_in_another_process_and_under_other_settings(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text("savefig.dpi: 300\nfont.family: monospace\naxes.facecolor: red\n")
    code = (
        "import sys, fmus\nfrom fmus.documentation import icon_png\n"
        "sys.stdout.buffer.write(icon_png(fmus.unit_model('feed_frame')))"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=True)
    assert run.stdout == icon_png(fmus.unit_model("feed_frame"))


def test_drawing_touches_neither_pyplot_nor_the_backend() -> None:
    code = (
        "import sys, fmus\nfrom fmus.documentation import documentation_page, icon_png\n"
        "model = fmus.unit_model('feed_frame')\ndocumentation_page(model, 3)\n"
        "assert 'matplotlib' not in sys.modules\nicon_png(model)\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "import matplotlib\nassert not isinstance(dict.get(matplotlib.rcParams, 'backend'), str)"
    )
    environment = {k: v for k, v in os.environ.items() if k != "MPLBACKEND"}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert run.returncode == 0, run.stderr


def test_a_picture_carries_no_date_and_no_name_of_a_tool() -> None:
    png = icon_png(fmus.unit_model("feed_frame"))
    assert b"tEXt" not in png
    assert b"tIME" not in png


@pytest.mark.parametrize("name", NAMES)
def test_the_svg_is_well_formed_and_says_the_name(name: str) -> None:
    root = ET.fromstring(icon_svg(named(name)))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.get("viewBox") == "0 0 100 100"
    assert root.findtext("{http://www.w3.org/2000/svg}title") == name


def test_an_fmu_of_each_version_gets_its_files() -> None:
    model = fmus.unit_model("continuous_blender")
    assert list(icon_files(model, 2)) == ["model.png"]
    new = icon_files(model, 3)
    assert {"terminalsAndIcons/icon.png", "terminalsAndIcons/icon.svg"} < set(new)
    assert icon_files(model, 2)["model.png"] != new["terminalsAndIcons/icon.png"], "importers draw the terminals"


@pytest.mark.parametrize(
    "model", [*map(named, NAMES), stream("in", "out", "both"), stream(*["in"] * 9, *["both"] * 4)], ids=lambda m: m.name
)
def test_the_terminals_are_valid_and_their_images_are_there(model: UnitModel) -> None:
    files = icon_files(model, 3)
    content = files["terminalsAndIcons/terminalsAndIcons.xml"]
    root = etree.fromstring(content)
    etree.XMLSchema(etree.parse(SCHEMA)).assertValid(root)
    for drawn in root.iter("TerminalGraphicalRepresentation"):
        assert files[f"terminalsAndIcons/{drawn.get('iconBaseName')}.png"].startswith(b"\x89PNG")
        ET.fromstring(files[f"terminalsAndIcons/{drawn.get('iconBaseName')}.svg"])
    assert [t.get("name") for t in root.iter("Terminal")] == [t.name for t in model.terminals]


def test_terminals_name_members_and_variables() -> None:
    root = ET.fromstring(terminals_and_icons_xml(fmus.unit_model("feed_frame")))
    inlet = next(t for t in root.iter("Terminal") if t.get("name") == "inlet")
    assert inlet.get("matchingRule") == "plug"
    assert inlet.get("terminalKind") == "_galenic_solid_stream"
    members = [
        (m.get("memberName"), m.get("variableName"), m.get("variableKind")) for m in inlet if m.get("memberName")
    ]
    assert members == [(part, f"inlet.{part}", "signal") for part in ("mass_flow", "api_fraction", "bulk_density")]


def test_an_array_is_a_member_under_its_own_name() -> None:
    model = UnitModel("mill", "")
    model.input("inlet.size", [0.5, 0.5], "1", "")
    model.terminal("inlet", "granules", {"size": "inlet.size"})
    root = ET.fromstring(terminals_and_icons_xml(model))
    assert [m.get("variableName") for m in root.iter("TerminalMemberVariable")] == ["inlet.size"]


def test_inlets_stand_at_the_left_outlets_at_the_right_both_below_and_apart() -> None:
    there = places(stream("in", "out", "both", "in", "both"))
    assert [p.side for p in there] == [Side.LEFT, Side.RIGHT, Side.BELOW, Side.LEFT, Side.BELOW]
    assert len({(p.x, p.y) for p in there}) == 5
    assert all(max(abs(p.x), abs(p.y)) == 100.0 for p in there)


def test_a_terminal_with_a_state_as_a_member_is_refused() -> None:
    model = UnitModel("m", "")
    model.state("x", 1.0, "1", "")
    model.terminal("port", "stream", {"x": "x"})
    with pytest.raises(GalenicError, match="'x' as a member, which is a state"):
        terminals_and_icons_xml(model)
