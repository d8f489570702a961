"""What a unit operation looks like, in a few lines; drawn into the upper half of its icon."""

from __future__ import annotations

from fmus.documentation.drawing import Ellipse, Path, Shape, Style, box

_STEEL = Style(fill="#cfd8dc", line="#455a64", width=1.6)
_POWDER = Style(fill="#f5f0e1", line="#455a64", width=1.6)
_DARK = Style(fill="#607d8b", line="#455a64", width=1.6)
_LINE = Style(line="#455a64", width=1.8)


def glyph(name: str) -> list[Shape]:
    """The glyph of a unit called ``name``: that of the last word there is one for, or a vessel."""
    words = name.lower().split("_")
    return next((_GLYPHS[w] for w in reversed(words) if w in _GLYPHS), _VESSEL)


def _hopper(top: float, bottom: float, half: float, outlet: float) -> Path:
    return Path([(50 - half, top), (50 + half, top), (50 + outlet, bottom), (50 - outlet, bottom)], _POWDER)


_FEEDER: list[Shape] = [
    _hopper(93, 70, 17, 6),
    box(40, 56, 76, 70, _STEEL),
    *(Path([(x, 57), (x + 5, 69)], _LINE, closed=False) for x in (44, 51, 58, 65)),
    Path([(40, 63), (76, 63)], _LINE, closed=False),
]
_BLENDER: list[Shape] = [
    box(29, 58, 71, 88, _POWDER),
    Path([(25, 73), (75, 73)], _LINE, closed=False),
    *(Path([(x - 2.5, 63), (x + 2.5, 83)], _LINE, closed=False) for x in (36, 45, 54, 63)),
]
_FRAME: list[Shape] = [
    _hopper(93, 74, 15, 6),
    box(30, 54, 70, 74, _STEEL),
    Ellipse(50, 64, 7.5, 7.5, _POWDER),
    Path([(44.5, 58.5), (55.5, 69.5)], _LINE, closed=False),
    Path([(44.5, 69.5), (55.5, 58.5)], _LINE, closed=False),
]
_PRESS: list[Shape] = [
    Path([(44, 94), (56, 94), (56, 79), (44, 79)], _DARK),
    box(28, 60, 42.5, 78, _STEEL),
    box(57.5, 60, 72, 78, _STEEL),
    Ellipse(50, 72.5, 6.5, 4.5, _POWDER),
    Path([(44, 51), (56, 51), (56, 66), (44, 66)], _DARK),
]
_VESSEL: list[Shape] = [
    Path([(35, 92), (35, 60), (42, 54), (58, 54), (65, 60), (65, 92)], _STEEL),
    Path([(35, 76), (35, 60), (42, 54), (58, 54), (65, 60), (65, 76)], _POWDER),
]
_GLYPHS = {"feeder": _FEEDER, "blender": _BLENDER, "frame": _FRAME, "press": _PRESS}
