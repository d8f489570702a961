"""Drawings of lines, shapes and text, as SVG and as PNG; the same drawing gives the same bytes.

Coordinates run from 0 to 100, x to the right, y upwards.
"""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

SIDE = 100.0
_FONT = "DejaVu Sans"
#: of a bold letter, in multiples of the font's size
LETTER_WIDTH = 0.7
_ANCHOR = {"left": "start", "center": "middle", "right": "end"}


@dataclass(frozen=True)
class Style:
    """Colours (empty for none) and the width of lines."""

    fill: str = ""
    line: str = ""
    width: float = 1.5


@dataclass(frozen=True)
class Path:
    """Straight lines through points."""

    points: Sequence[tuple[float, float]]
    style: Style
    closed: bool = True


@dataclass(frozen=True)
class Ellipse:
    """An ellipse about a centre."""

    x: float
    y: float
    rx: float
    ry: float
    style: Style


@dataclass(frozen=True)
class Text:
    """A line of text, centred in height at ``y``."""

    x: float
    y: float
    text: str
    size: float
    colour: str
    align: Literal["left", "center", "right"] = "center"
    bold: bool = False


Shape = Path | Ellipse | Text


def box(x1: float, y1: float, x2: float, y2: float, style: Style) -> Path:
    """A rectangle."""
    return Path([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], style)


def svg(shapes: Sequence[Shape], title: str) -> str:
    """The drawing as an SVG document."""
    inner = "\n".join(_svg_shape(shape) for shape in shapes)
    label = html.escape(title)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100" width="256" height="256" role="img" '
        f'aria-label="{label}">\n<title>{label}</title>\n{inner}\n</svg>\n'
    )


def png(shapes: Sequence[Shape], pixels: int) -> bytes:
    """The drawing as a PNG file with a transparent background."""
    # heavy, and only needed here; neither pyplot nor the user's backend is touched
    import matplotlib.image
    import matplotlib.patches
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties

    figure = Figure(figsize=(1, 1), dpi=pixels, facecolor="none", edgecolor="none")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set(xlim=(0, SIDE), ylim=(0, SIDE))
    points = 72.0 / SIDE  # per unit of the drawing
    for shape in shapes:
        if isinstance(shape, Text):
            font = FontProperties(family=_FONT, weight="bold" if shape.bold else "normal", size=shape.size * points)
            axes.text(
                shape.x,
                shape.y,
                shape.text,
                color=shape.colour,
                ha=shape.align,
                va="center_baseline",
                fontproperties=font,
                parse_math=False,
            )
            continue
        fill, line, width = shape.style.fill or "none", shape.style.line or "none", shape.style.width * points
        patch: matplotlib.patches.Patch
        if isinstance(shape, Ellipse):
            patch = matplotlib.patches.Ellipse((shape.x, shape.y), 2 * shape.rx, 2 * shape.ry)
        else:
            patch = matplotlib.patches.Polygon(list(shape.points), closed=shape.closed, joinstyle="round")
        patch.set(facecolor=fill, edgecolor=line, linewidth=width, fill=bool(shape.style.fill))
        axes.add_patch(patch)
    canvas.draw()  # type: ignore[no-untyped-call]
    pixel_values = canvas.buffer_rgba()  # type: ignore[no-untyped-call]
    file = io.BytesIO()
    # no trace of who drew it, so that the bytes are the drawing's alone
    nobody: Any = {"Software": None}
    matplotlib.image.imsave(file, pixel_values, format="png", dpi=pixels, metadata=nobody)
    return file.getvalue()


def _svg_shape(shape: Shape) -> str:
    if isinstance(shape, Text):
        weight = ' font-weight="bold"' if shape.bold else ""
        return (
            f'<text x="{shape.x:g}" y="{SIDE - shape.y + 0.35 * shape.size:g}" font-size="{shape.size:g}" '
            f'font-family="{_FONT}, Verdana, Arial, sans-serif"{weight} text-anchor="{_ANCHOR[shape.align]}" '
            f'fill="{shape.colour}">{html.escape(shape.text)}</text>'
        )
    fill, line = shape.style.fill or "none", shape.style.line or "none"
    style = f'fill="{fill}" stroke="{line}" stroke-width="{shape.style.width:g}"'
    if isinstance(shape, Ellipse):
        return f'<ellipse cx="{shape.x:g}" cy="{SIDE - shape.y:g}" rx="{shape.rx:g}" ry="{shape.ry:g}" {style}/>'
    points = " ".join(f"{x:g},{SIDE - y:g}" for x, y in shape.points)
    element = "polygon" if shape.closed else "polyline"
    return f'<{element} points="{points}" stroke-linejoin="round" {style}/>'
