"""The icon of an FMU: what the unit is, its name, its inlets at the left, its outlets at the right."""

from __future__ import annotations

from collections.abc import Iterator

from fmus.documentation.drawing import LETTER_WIDTH, Path, Shape, Style, Text, box, png, svg
from fmus.documentation.glyphs import glyph
from fmus.documentation.tables import rows
from fmus.documentation.terminals import Side, places
from fmus.model import UnitModel

_PIXELS = 256
_TERMINAL_PIXELS = 32
_INK, _QUIET, _BORDER, _PAPER, _MARK = "#1b2a33", "#455a64", "#37474f", "#f7f9fa", "#0b5394"
_LINE_HEIGHT, _LARGEST = 1.15, 17.0
_NAME_TOP, _NAME_HEIGHT, _NAME_WIDTH = 48.0, 44.0, 92.0


def icon_png(model: UnitModel, *, marks: bool = False) -> bytes:
    """The icon as PNG.

    Args:
        model: whose icon.
        marks: whether terminals are marked at the edges. FMI 3.0 wants them absent, since importers draw them by
            ``terminalsAndIcons.xml``; FMI 2.0 has no terminals, so there the icon shows them.
    """
    return png(list(_shapes(model, marks)), _PIXELS)


def icon_svg(model: UnitModel, *, marks: bool = False) -> str:
    """The icon as SVG; arguments as of `icon_png`."""
    return svg(list(_shapes(model, marks)), model.name)


def terminal_icons(model: UnitModel) -> dict[str, bytes]:
    """Name in ``terminalsAndIcons/`` -> content of the images that ``terminalsAndIcons.xml`` places at terminals."""
    kinds = sorted({place.icon for place in places(model)})
    found: dict[str, bytes] = {}
    for kind in kinds:
        shapes = [_mark(50, 50, 46, kind)]
        found[f"{kind}.png"] = png(shapes, _TERMINAL_PIXELS)
        found[f"{kind}.svg"] = svg(shapes, kind).encode()
    return found


def _shapes(model: UnitModel, marks: bool) -> Iterator[Shape]:
    yield box(2, 2, 98, 98, Style(fill=_PAPER, line=_BORDER, width=2.0))
    yield from glyph(model.name)
    yield from _name(model.name)
    there = places(model)
    if not there:
        yield Text(6, 73, f"{len(rows(model, 'input'))} in", 6, _QUIET, "left")
        yield Text(94, 73, f"{len(rows(model, 'output'))} out", 6, _QUIET, "right")
    for place in there:
        x, y = 50 + place.x / 2, 50 + place.y / 2
        name = place.terminal.name
        size = min(5.0, place.room / 2, 24 / (LETTER_WIDTH * len(name)))
        if place.side is Side.LEFT:
            yield Text(7.5, y, name, size, _QUIET, "left")
        elif place.side is Side.RIGHT:
            yield Text(92.5, y, name, size, _QUIET, "right")
        else:
            yield Text(x, 7.5, name, size, _QUIET)
        if marks:
            yield _mark(min(max(x, 3), 97), min(max(y, 3), 97), 3, place.icon)


def _name(name: str) -> Iterator[Text]:
    """The name in as large letters as fit, its words on few lines."""
    words = name.split("_")
    broken = [_lines(words, width) for width in range(max(map(len, words)), len(name) + 1)]
    lines = max(broken, key=lambda some: (_size(some), -len(some)))
    size = _size(lines)
    middle = _NAME_TOP - _NAME_HEIGHT / 2
    for i, line in enumerate(lines):
        y = middle + ((len(lines) - 1) / 2 - i) * _LINE_HEIGHT * size
        yield Text(50, y, line, size, _INK, bold=True)


def _lines(words: list[str], width: int) -> list[str]:
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _size(lines: list[str]) -> float:
    widest = max(max(map(len, lines)), 1)
    return min(_NAME_WIDTH / (LETTER_WIDTH * widest), _NAME_HEIGHT / (_LINE_HEIGHT * len(lines)), _LARGEST)


def _mark(x: float, y: float, half: float, kind: str) -> Shape:
    """A triangle in the direction of flow, or a square where both directions meet."""
    style = Style(fill=_MARK, line="#ffffff", width=half / 10)
    if kind == "flow":
        return Path([(x - half, y - half), (x + half, y), (x - half, y + half)], style)
    return box(x - half, y - half, x + half, y + half, style)
