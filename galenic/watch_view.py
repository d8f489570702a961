"""The picture that `galenic watch` draws of a run: its state and its panels as text."""

from __future__ import annotations

import time as clock
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from cosim.follow import Follower
from fmus.errors import GalenicError
from fmus.quantity import conversion
from galenic.panels import Panel, panels_of
from galenic.progress import clock_text
from galenic.terminal_plot import Canvas, History, Window, edge_label, limits, mark

if TYPE_CHECKING:
    from cosim import Results

_LABEL = 10
_LEAST_HEIGHT, _PLAIN_HEIGHT = 3, 8
_TWO_COLUMNS = 120
_SILENT = 30.0  # s without new rows after which that is said
_RATE_WINDOW = 30.0  # s


class WatchView:
    """A run as it is now; `refresh` looks for what is new, `render` draws.

    Args:
        folder: of the run.
        signals: names or patterns to draw; empty for the panels of the scenario.
        last: draw only this much of the simulated time, in s; None for all of it.

    Raises:
        GalenicError: the folder holds no results, or a signal was not recorded.
    """

    def __init__(self, folder: Path, signals: Sequence[str] = (), last: float | None = None) -> None:
        self._folder, self._signals, self._last = folder, tuple(signals), last
        self._time = 0.0
        self._begin()

    @property
    def ended(self) -> bool:
        """Whether the run has ended, complete or not."""
        return self.results.closed

    @property
    def results(self) -> Results:
        """Of the run."""
        return self._follower.results

    def refresh(self) -> None:
        """Read what came since the last call. Raises GalenicError where the results are damaged or gone."""
        new = self._follower.poll()
        if not self._follower.same_run:
            self._begin()
            new = self._follower.poll()
        for rows in new:
            if rows.signals not in self._histories:
                self._histories[rows.signals] = self._new_history(len(rows.signals))
            self._histories[rows.signals].add(rows.times, rows.values)
            self._time = max(self._time, float(rows.times[-1]))
        if new:
            self._seen.append((max(rows.written for rows in new), self._time))
            while self._seen[-1][0] - self._seen[0][0] > _RATE_WINDOW and len(self._seen) > 2:
                self._seen.popleft()

    def render(self, console: Console) -> RenderableType:
        """The picture for a console: as high as a terminal is, or of a fixed height for text that is kept."""
        ascii_only = console.options.ascii_only
        columns = 2 if console.width >= _TWO_COLUMNS and len(self._panels) > 1 else 1
        height, shown = _PLAIN_HEIGHT, self._panels
        if console.is_terminal:
            room = console.height - 3
            most = max(1, room // (_LEAST_HEIGHT + 2)) * columns
            shown = self._panels[:most]
            height = max(_LEAST_HEIGHT, room // -(-len(shown) // columns) - 2)
        width = console.width // columns - _LABEL - 2
        parts = [self._panel(panel, max(10, width), height, ascii_only) for panel in shown]
        grid = Table.grid(padding=(0, 1))
        for row in range(0, len(parts), columns):
            grid.add_row(*parts[row : row + columns])
        lines: list[RenderableType] = [self._headline(), grid]
        if len(shown) < len(self._panels):
            hidden = len(self._panels) - len(shown)
            hint = f"Panels not shown: {hidden}; enlarge the window, or choose with --signals"
            lines.append(Text(hint, style="dim", no_wrap=True, overflow="ellipsis"))
        return Group(*lines)

    def _begin(self) -> None:
        from cosim import Results

        results = Results.open(self._folder)
        self._panels = _panels(results, self._signals)
        names = dict.fromkeys(signal for panel in self._panels for signal in panel.signals)
        self._follower = Follower(self._folder, list(names))
        self._histories: dict[tuple[str, ...], History | Window] = {}
        self._seen: deque[tuple[float, float]] = deque()
        self._time = 0.0

    def _headline(self) -> Text:
        metadata = self.results.metadata
        text = Text(
            f"{metadata.get('scenario')}, seed {metadata.get('seed')}: ",
            style="bold",
            no_wrap=True,
            overflow="ellipsis",
        )
        duration = float(metadata.get("duration") or 0.0)
        done = f"{clock_text(self._time)} of {clock_text(duration)} simulated"
        if self.ended:
            state = "complete" if self.results.complete else f"ended early ({_first_line(metadata.get('error'))})"
            state += f" ({_first_line(metadata['stopped'])})" if metadata.get("stopped") else ""
            wall = float(metadata.get("wall_time") or 0.0)
            speed = f", {self._time / wall:,.0f} x real time" if wall else ""
            return text.append(f"{state}, {done}{speed}")
        text.append(done)
        silent = clock.time() - self._seen[-1][0] if self._seen else 0.0
        if silent > _SILENT:
            return text.append(f", nothing new for {clock_text(silent)}")
        if rate := self._rate():
            text.append(f", {rate:,.3g} x real time, {clock_text(max(0.0, duration - self._time) / rate)} left")
        return text

    def _rate(self) -> float:
        """Simulated time per time of the clock of late; 0 where it is not known yet."""
        if len(self._seen) < 2 or self._seen[-1][0] - self._seen[0][0] < 1.0:
            return 0.0
        (began, first), (ended, last) = self._seen[0], self._seen[-1]
        return (last - first) / (ended - began)

    def _panel(self, panel: Panel, width: int, height: int, ascii_only: bool) -> RenderableType:
        units = self.results.units
        canvas = Canvas(width, height, ascii_only)
        head = Text(f"{panel.title} [{panel.unit}]" if panel.unit not in ("", "1") else panel.title, style="bold")
        low, high = [], []
        for number, signal in enumerate(panel.signals):
            factor, offset = conversion(units[signal], panel.unit)
            head.append("  ").append_text(mark(number, ascii_only)).append(f" {signal}", style="dim")
            found = self._history_of(signal)
            if found is None:
                continue
            history, column = found
            least, most = history.columns(column, canvas.columns, self._time)
            edges = factor * least + offset, factor * most + offset
            low.append(edges[0] if factor > 0 else edges[1])
            high.append(edges[1] if factor > 0 else edges[0])
            head.append(f" {factor * history.last[column] + offset:.5g}")
        bottom, top = limits(low, high)
        for number, (least, most) in enumerate(zip(low, high, strict=True)):
            canvas.curve(least, most, bottom, top, number)
        labels = [""] * height
        labels[0], labels[-1] = edge_label(top, top - bottom), edge_label(bottom, top - bottom)
        head.truncate(width + _LABEL, overflow="ellipsis")
        rows = [head]
        for label, line in zip(labels, canvas.lines(), strict=True):
            rows.append(Text(f"{label:>{_LABEL - 1}} ", style="dim").append_text(line))
        begin = clock_text(0.0 if self._last is None else max(0.0, self._time - self._last))
        end = clock_text(self._time)
        rows.append(Text(" " * _LABEL + begin + f"{end:>{width - len(begin)}}", style="dim"))
        return Text("\n").join(rows)

    def _new_history(self, signals: int) -> History | Window:
        if self._last is not None:
            return Window(signals, self._last)
        return History(signals, float(self.results.metadata.get("step_size") or 1.0) / 2)

    def _history_of(self, signal: str) -> tuple[History | Window, int] | None:
        for names, history in self._histories.items():
            if signal in names:
                return history, names.index(signal)
        return None


def _panels(results: Results, signals: Sequence[str]) -> list[Panel]:
    """The scenario's panels, or one for each unit of the signals asked for."""
    from galenic.session import scenario_of

    units = results.units
    if signals:
        by_unit: dict[str, list[str]] = {}
        for name in results.select(list(signals)):
            by_unit.setdefault(units[name], []).append(name)
        return [
            Panel(_title(names), tuple(names[first : first + 6]), unit)
            for unit, names in by_unit.items()
            for first in range(0, len(names), 6)
        ]
    try:
        return panels_of(scenario_of(results), units)
    except GalenicError:  # results of another version, or of a system that no scenario file describes
        return [Panel(name.partition(".")[2], (name,), units[name]) for name in list(units)[:4]]


def _title(names: Sequence[str]) -> str:
    """What the names share behind the component, else nothing."""
    variables = {name.rpartition(".")[2] for name in names}
    return variables.pop().replace("_", " ") if len(variables) == 1 else "signals"


def _first_line(text: Any) -> str:
    return (str(text or "interrupted").splitlines() or ["interrupted"])[0]
