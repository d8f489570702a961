"""Line plots of text: braille dots where the terminal has them, letters where it has ASCII alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from rich.text import Text

FloatArray = npt.NDArray[np.float64]

COLOURS = ("bright_blue", "yellow", "green", "magenta", "cyan", "red")
_LETTERS = "*+ox#@"
#: Bits of a braille character's dots, two columns of four rows.
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_BUCKETS = 2048


class History:
    """The range of signals over time in a memory that does not grow: its buckets widen as time goes on.

    Args:
        signals: how many.
        width: of a bucket at first, in s.
    """

    def __init__(self, signals: int, width: float) -> None:
        self.width = width
        self.low: FloatArray = np.full((_BUCKETS, signals), np.nan)
        self.high: FloatArray = np.full((_BUCKETS, signals), np.nan)
        self.end = 0.0
        self.last: FloatArray = np.full(signals, np.nan)

    def add(self, times: FloatArray, values: FloatArray) -> None:
        """Add rows in the order of time: ``times`` in s of shape (n,), ``values`` of shape (n, signals)."""
        if not len(times):
            return
        self.end, self.last = float(times[-1]), values[-1]
        while self.end >= _BUCKETS * self.width:
            self._widen()
        bucket = (times / self.width).astype(np.int64)
        first = np.flatnonzero(np.diff(bucket, prepend=-1))
        where = bucket[first]
        self.low[where] = np.fmin(self.low[where], np.fmin.reduceat(values, first))
        self.high[where] = np.fmax(self.high[where], np.fmax.reduceat(values, first))

    def columns(self, signal: int, count: int, end: float) -> tuple[FloatArray, FloatArray]:
        """Least and greatest value in each of ``count`` equal spans of 0 to ``end`` (s); NaN outside the data."""
        begin: FloatArray = np.arange(_BUCKETS, dtype=np.float64) * self.width
        known = np.isfinite(self.low[:, signal]) & (begin <= end)
        place: FloatArray = begin[known] / max(end, 1e-300)
        return _spread(place, self.low[known, signal], self.high[known, signal], count)

    def _widen(self) -> None:
        for values, pick, rest in ((self.low, np.fmin, np.nan), (self.high, np.fmax, np.nan)):
            values[: _BUCKETS // 2] = pick(values[0::2], values[1::2])
            values[_BUCKETS // 2 :] = rest
        self.width *= 2.0


class Window:
    """The last ``span`` s of signals, row by row; what is older is forgotten."""

    def __init__(self, signals: int, span: float) -> None:
        self.last: FloatArray = np.full(signals, np.nan)
        self._span = span
        self._times: FloatArray = np.zeros(0)
        self._values: FloatArray = np.zeros((0, signals))

    def add(self, times: FloatArray, values: FloatArray) -> None:
        """As `History.add`."""
        if len(times):
            self.last = values[-1]
            self._times, self._values = np.append(self._times, times), np.vstack([self._values, values])
            kept = self._times >= times[-1] - self._span
            self._times, self._values = self._times[kept], self._values[kept]

    def columns(self, signal: int, count: int, end: float) -> tuple[FloatArray, FloatArray]:
        """As `History.columns`, of the time from ``end - span`` on."""
        begin = max(0.0, end - self._span)
        known = np.isfinite(self._values[:, signal]) & (self._times >= begin)
        values = self._values[known, signal]
        return _spread((self._times[known] - begin) / max(end - begin, 1e-300), values, values, count)


def _spread(place: FloatArray, low: FloatArray, high: FloatArray, count: int) -> tuple[FloatArray, FloatArray]:
    """Ranges at places from 0 to 1 brought into ``count`` columns; columns between are filled along a line."""
    column = np.minimum((place * count).astype(np.int64), count - 1)
    least, most = np.full(count, np.nan), np.full(count, np.nan)
    np.fmin.at(least, column, low)
    np.fmax.at(most, column, high)
    present = np.flatnonzero(np.isfinite(least))
    if len(present):
        between = np.arange(present[0], present[-1] + 1)
        empty = between[np.isnan(least[between])]
        least[empty] = most[empty] = np.interp(empty, present, 0.5 * (least[present] + most[present]))
    return least, most


@dataclass
class Canvas:
    """Characters to draw curves on.

    Args:
        width: in characters.
        height: in characters.
        ascii_only: draw with letters instead of braille.
    """

    width: int
    height: int
    ascii_only: bool = False
    _dots: npt.NDArray[np.int64] = field(init=False)
    _owner: npt.NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self._dots = np.zeros((self.height, self.width), dtype=np.int64)
        self._owner = np.zeros((self.height, self.width), dtype=np.int64)

    @property
    def columns(self) -> int:
        """Columns of dots."""
        return self.width if self.ascii_only else 2 * self.width

    @property
    def rows(self) -> int:
        """Rows of dots."""
        return self.height if self.ascii_only else 4 * self.height

    def curve(self, low: FloatArray, high: FloatArray, bottom: float, top: float, number: int) -> None:
        """Draw a curve: in each column of dots the span from ``low`` to ``high``, joined with the column before.

        Args:
            low: shape (columns,), NaN where there is nothing.
            high: the same.
            bottom: the value at the lower edge.
            top: the value at the upper edge.
            number: of the curve; it chooses colour or letter.
        """
        scale = (self.rows - 1) / (top - bottom)
        before: tuple[int, int] | None = None
        for x in range(self.columns):
            if not math.isfinite(low[x]):
                before = None
                continue
            # rows count from the top
            upper = min(max(round((top - high[x]) * scale), 0), self.rows - 1)
            lower = min(max(round((top - low[x]) * scale), 0), self.rows - 1)
            begin, end = upper, lower
            if before is not None:
                begin, end = min(begin, before[1] + 1), max(end, before[0] - 1)
            for y in range(begin, end + 1):
                self._set(x, y, number)
            before = upper, lower

    def lines(self) -> list[Text]:
        """What was drawn, from top to bottom."""
        return [self._line(row) for row in range(self.height)]

    def _set(self, x: int, y: int, number: int) -> None:
        if self.ascii_only:
            self._dots[y, x] = 1
            self._owner[y, x] = number
        else:
            self._dots[y // 4, x // 2] |= _DOTS[y % 4][x % 2]
            self._owner[y // 4, x // 2] = number

    def _line(self, row: int) -> Text:
        text = Text()
        for dots, owner in zip(self._dots[row].tolist(), self._owner[row].tolist(), strict=True):
            if not dots:
                text.append(" ")
                continue
            letter = _LETTERS[owner % len(_LETTERS)] if self.ascii_only else chr(0x2800 + dots)
            text.append(letter, style=COLOURS[owner % len(COLOURS)])
        return text


def mark(number: int, ascii_only: bool) -> Text:
    """What stands before a curve's name in the legend."""
    sign = _LETTERS[number % len(_LETTERS)] if ascii_only else "⠤⠤"
    return Text(sign, style=COLOURS[number % len(COLOURS)])


def limits(low: Sequence[FloatArray], high: Sequence[FloatArray]) -> tuple[float, float]:
    """Edges between which all curves lie, a little apart where they are flat."""
    least = min((float(np.nanmin(v)) for v in low if np.isfinite(v).any()), default=0.0)
    most = max((float(np.nanmax(v)) for v in high if np.isfinite(v).any()), default=1.0)
    if most - least <= 1e-9 * max(abs(least), abs(most)):
        apart = 0.01 * abs(most) or 1.0
        return least - apart, most + apart
    return least, most


def edge_label(value: float, span: float) -> str:
    """A value at an edge, with the digits that tell it from the other edge ``span`` away."""
    if not 1e-3 <= max(abs(value), span) < 1e6:
        return f"{value:.4g}"
    decimals = min(9, max(0, 2 - math.floor(math.log10(span)))) if span > 0.0 else 3
    return f"{value:.{decimals}f}"
