from __future__ import annotations

import numpy as np
import pytest

from galenic.terminal_plot import Canvas, History, Window, edge_label, limits


def drawn(values: list[float], width: int, height: int, ascii_only: bool = True) -> list[str]:
    canvas = Canvas(width, height, ascii_only)
    curve = np.array(values, dtype=float)
    canvas.curve(curve, curve, np.nanmin(curve), np.nanmax(curve), 0)
    return [line.plain for line in canvas.lines()]


def test_a_curve_is_joined_from_column_to_column() -> None:
    assert drawn([0.0, 1.0, 2.0, 1.0, 0.0], 5, 3) == ["  *  ", " * * ", "*   *"]


def test_a_jump_is_a_vertical_line() -> None:
    assert drawn([0.0, 0.0, 4.0, 4.0], 4, 5) == ["  **", "  * ", "  * ", "  * ", "**  "]


def test_nothing_is_drawn_where_nothing_is_known() -> None:
    assert drawn([1.0, np.nan, np.nan, 0.0], 4, 2) == ["*   ", "   *"]


def test_braille_has_eight_dots_a_character() -> None:
    canvas = Canvas(1, 1)
    assert (canvas.columns, canvas.rows) == (2, 4)
    canvas.curve(np.array([0.0, 0.0]), np.array([3.0, 0.0]), 0.0, 3.0, 0)
    assert canvas.lines()[0].plain == chr(0x2800 + 0x47 + 0x80)


def test_a_history_keeps_extremes_in_a_memory_that_does_not_grow() -> None:
    history = History(2, 0.5)
    size = history.low.nbytes
    times = np.arange(100_000.0)
    values = np.column_stack([np.sin(times / 7000.0), np.where(times == 77_777.0, 50.0, 0.0)])
    for begin in range(0, 100_000, 997):
        history.add(times[begin : begin + 997], values[begin : begin + 997])
    assert history.low.nbytes == size
    low, high = history.columns(0, 60, 99_999.0)
    assert low.min() == pytest.approx(-1.0, abs=1e-6)
    assert high.max() == pytest.approx(1.0, abs=1e-6)
    assert (high >= low).all()
    spike = history.columns(1, 60, 99_999.0)[1]
    assert np.flatnonzero(spike == 50.0).tolist() == [46]  # of 60, at 0.778 of the time
    assert history.last.tolist() == values[-1].tolist()


def test_a_window_has_the_last_rows_alone() -> None:
    window = Window(1, 10.0)
    for t in range(100):
        window.add(np.array([float(t)]), np.array([[float(t)]]))
    low, high = window.columns(0, 11, 99.0)
    assert low.tolist() == high.tolist()
    assert low[0] == 89.0
    assert low[-1] == 99.0
    assert window.last.tolist() == [99.0]


def test_few_rows_fill_all_columns_between_them() -> None:
    history = History(1, 0.5)
    history.add(np.array([0.0, 1.0, 2.0]), np.array([[0.0], [1.0], [0.0]]))
    low, high = history.columns(0, 100, 2.0)
    assert np.isfinite(low).all()
    assert high.max() == 1.0


def test_a_flat_curve_has_edges_apart() -> None:
    flat = [np.full(3, 5.0)]
    bottom, top = limits(flat, flat)
    assert bottom < 5.0 < top
    assert limits([np.full(3, np.nan)], [np.full(3, np.nan)]) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("value", "span", "text"),
    [(226.014, 0.05, "226.0140"), (0.5, 1.0, "0.50"), (1.2e9, 1e8, "1.2e+09"), (2.5e-7, 1e-7, "2.5e-07")],
)
def test_edges_have_the_digits_that_tell_them_apart(value: float, span: float, text: str) -> None:
    assert edge_label(value, span) == text
