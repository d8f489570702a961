from __future__ import annotations

import numpy as np
import pytest
from recorded import feed, record, recorder, value

from cosim import Results
from fmus.errors import GalenicError

FAST, SLOW = {"press.force": "kN", "press.weight": "mg"}, {"blender.mass": "kg", "blender.temperature": "degC"}
GROUPS = [(FAST, 2), (SLOW, 20)]


@pytest.fixture
def results(tmp_path) -> Results:
    return record(tmp_path, GROUPS)


def test_signals_of_several_groups_keep_their_last_value_until_the_next(results):
    frame = results.frame()
    assert frame.index.to_list() == [float(t) for t in range(0, 61, 2)]
    assert list(frame.columns) == [*FAST, *SLOW]
    assert frame["blender.mass"].to_list() == [value(2, t // 20 * 20) for t in range(0, 61, 2)]
    assert frame["press.force"].to_list() == [value(0, t) for t in range(0, 61, 2)]


def test_rates_that_are_no_multiples_of_each_other_have_the_times_of_both(tmp_path):
    frame = record(tmp_path, [({"a.x": "1"}, 4), ({"a.y": "1"}, 6)], rows=13).frame()
    assert frame.index.to_list() == [0.0, 4.0, 6.0, 8.0, 12.0]
    assert frame["a.x"].to_list() == [0.0, 4.0, 4.0, 8.0, 12.0]
    assert frame["a.y"].to_list() == [1000.0, 1000.0, 1006.0, 1006.0, 1012.0]


def test_a_group_of_which_nothing_is_sealed_yet_has_no_values(tmp_path):
    feed(recorder(tmp_path, GROUPS), range(30))
    frame = Results.open(tmp_path).frame()
    assert len(frame) == 10
    assert frame["blender.mass"].isna().all()
    assert Results.open(tmp_path).frame(SLOW).empty


def test_a_group_that_ends_early_is_not_held_beyond_what_is_known(tmp_path):
    """Of 45 rows at 1 s in a run that was killed, 40 are sealed; of those at 3 s, 10, the last at 27 s."""
    feed(recorder(tmp_path, [({"a.x": "1"}, 1), ({"a.y": "1"}, 3)]), range(45))
    frame = Results.open(tmp_path).frame()
    assert frame.index[-1] == 39.0
    assert frame["a.y"].loc[29.0] == value(1, 27.0)
    assert frame["a.y"].loc[30.0:].isna().all()


def test_patterns_choose_signals_in_the_order_asked_for(results):
    assert results.select("blender.*") == list(SLOW)
    assert list(results.frame(["*.temperature", "press.*"]).columns) == ["blender.temperature", *FAST]
    with pytest.raises(GalenicError, match=r"'pres\.\*' was not recorded"):
        results.frame("pres.*")


def test_a_name_with_brackets_is_a_name_before_it_is_a_pattern(tmp_path):
    results = record(tmp_path, [({"a.x[1]": "1", "a.x1": "1"}, 1)], rows=1)
    assert results.select("a.x[1]") == ["a.x[1]"]


def test_names_that_differ_by_case_alone_are_different_signals(tmp_path):
    """DuckDB takes them for one: it would give the first for both."""
    results = record(tmp_path, [({"tank.T": "K", "tank.t": "s", "Tank.T": "K"}, 1), ({"TANK.T": "1"}, 1)], rows=12)
    frame = results.frame()
    assert frame.loc[11.0].to_list() == [value(n, 11.0) for n in range(4)]
    assert results.frame("tank.t")["tank.t"].iloc[-1] == value(1, 11.0)


def test_values_are_converted_on_reading(results):
    frame = results.frame({"press.weight": "g", "*.temperature": "K"})
    assert frame["press.weight"].iloc[0] == pytest.approx(value(1, 0.0) / 1000.0)
    assert frame["blender.temperature"].iloc[0] == pytest.approx(value(3, 0.0) + 273.15)
    assert frame.attrs["units"] == {"press.weight": "g", "blender.temperature": "K"}
    assert results.frame("press.force").attrs["units"] == {"press.force": "kN"}
    with pytest.raises(GalenicError, match=r"'press\.force': 'kN' cannot be converted to 'kg'"):
        results.frame({"press.force": "kg"})


@pytest.mark.parametrize(
    ("options", "times"),
    [
        ({"start": 50}, [50.0, 52.0, 54.0, 56.0, 58.0, 60.0]),
        ({"stop": "0.1 min"}, [0.0, 2.0, 4.0, 6.0]),
        ({"start": "10 s", "stop": 20, "every": 4}, [12.0, 16.0, 20.0]),
        ({"every": "20 s"}, [0.0, 20.0, 40.0, 60.0]),
        ({"start": 100}, []),
    ],
)
def test_a_span_and_a_coarser_interval(results, options, times):
    assert results.frame("press.force", **options).index.to_list() == times
    held = results.frame(["press.force", "blender.mass"], **options)
    assert held.index.to_list() == times
    assert held["blender.mass"].to_list() == [value(2, t // 20 * 20) for t in times]


def test_thinning_is_exact_where_times_are_not(tmp_path):
    """0.1 s has no exact binary number; the 10 s mark is met all the same."""
    results = record(tmp_path, [({"a.x": "1"}, 1)], rows=2001, step=0.1, rows_per_part=500)
    frame = results.frame(every=10)
    assert frame.index.to_numpy() == pytest.approx(np.arange(0, 201, 10.0))


def test_an_interval_that_does_not_fit_is_refused(results):
    with pytest.raises(GalenicError, match=r"every: 3 s is not a multiple of the 2 s"):
        results.frame("press.force", every=3)
    with pytest.raises(GalenicError, match=r"every: 2 s is not a multiple of the 20 s"):
        results.frame("blender.mass", every=2)
    with pytest.raises(GalenicError, match="start:"):
        results.frame(start="soon")


def test_results_of_before_the_groups_are_read(results, tmp_path):
    del results.metadata["groups"]
    results.metadata["units"] = FAST
    assert Results(results.folder, results.metadata).frame().shape == (31, 2)
