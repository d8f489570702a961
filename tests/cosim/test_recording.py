from __future__ import annotations

import pytest

from cosim import Results, build_system, simulate
from cosim.recording import selections
from fmus.errors import GalenicError

CHAIN = """
components: {first: {fmu: lag.fmu, start: {u: 1}}, second: {fmu: lag.fmu}}
connections: [first.y -> second.u]
"""
GROUPS = """
record:
  - {signals: [second.y], every: 20 ms}
  - {signals: ["second.*", first.y], every: 250 ms}
  - {signals: ["*"]}
"""


@pytest.mark.parametrize("kernel", ["native", "python"])
def test_groups_are_recorded_at_their_own_rates(scenario, tmp_path, kernel):
    whole = simulate(scenario(CHAIN), out=tmp_path / "whole").frame()
    loaded = scenario(CHAIN + GROUPS + f"master: {{kernel: {kernel}}}\n")
    results = simulate(loaded, out=tmp_path / "groups")
    assert [group.signals for group in results.groups] == [("second.y",), ("first.y", "second.u"), ("first.u",)]
    for signal, every in (("second.y", 2), ("first.y", 25), ("second.u", 25), ("first.u", 1)):
        frame = results.frame(signal)
        assert len(frame) == 100 // every + 1
        assert frame[signal].to_list() == whole[signal].iloc[::every].to_list(), signal
        assert frame.index.to_list() == whole.index[::every].to_list()
    joined = results.frame(whole.columns)
    assert joined.index.equals(whole.index)
    assert not joined.isna().to_numpy().any()


def test_all_groups_end_with_the_run(scenario, tmp_path):
    record = "record: [{signals: [first.*], every: 30 ms}, {signals: ['*'], every: 70 ms}]\n"
    results = simulate(scenario(CHAIN + record), out=tmp_path)
    first, second = results.frame("first.y"), results.frame("second.y")
    assert first.index[-2:].to_list() == pytest.approx([0.99, 1.0])
    assert second.index[-2:].to_list() == pytest.approx([0.98, 1.0])
    assert results.common_end(results.signals) == pytest.approx(1.0)
    assert not results.frame().isna().to_numpy().any()


def test_a_run_that_fails_records_nothing_of_the_step_that_failed(scenario, tmp_path):
    record = "record: [{signals: [a.u], every: 70 ms}, {signals: ['*']}]\n"
    with pytest.raises(GalenicError, match="became nan"):
        simulate(scenario("components: {a: {fmu: lag.fmu, parameters: {nan_at: 0.5}}}\n" + record), out=tmp_path)
    results = Results.open(tmp_path)
    assert results.frame("a.y").index[-1] == 0.5
    assert results.frame("a.u").index[-1] == pytest.approx(0.49)
    assert results.common_end(["a.u", "a.y"]) == pytest.approx(0.49)
    assert not results.frame().loc[:0.49].isna().to_numpy().any()


def test_stepping_one_by_one_records_the_same(scenario, tmp_path):
    from cosim import Simulation

    results = simulate(scenario(CHAIN + GROUPS), out=tmp_path / "run")
    with Simulation(scenario(CHAIN + GROUPS), out=tmp_path / "steps") as simulation:
        for _ in range(100):
            simulation.step()
        assert simulation.results.frame().equals(results.frame())


def test_without_record_there_is_one_group_of_everything(scenario):
    (everything,) = selections(build_system(scenario(CHAIN)))
    assert list(everything.units) == ["first.u", "first.y", "second.u", "second.y"]
    assert everything.every == 1
    assert everything.columns.tolist() == [0, 1, 2, 3]


def test_nothing_but_time_may_be_recorded(scenario, tmp_path):
    results = simulate(scenario(CHAIN + "record: []\n"), out=tmp_path)
    assert results.signals == []
    assert results.frame().shape == (101, 0)
    assert results.to_csv(tmp_path / "a.csv").read_text().splitlines()[:2] == ["time [s]", "0.0"]


@pytest.mark.parametrize(
    ("record", "message", "line"),
    [
        ("[{signals: [a.*]}, {signals: [b.x]}]", "no signal matches 'b.x'", 5),
        ("[{signals: [a.*], every: 15 ms}]", "the interval of this group of 0.015 s is not a multiple", 5),
        ('[{signals: ["*"]}, {signals: [a.y]}]', "all signals of this group are in groups above it", 5),
        ("[{signal: [a.y]}]", "unknown key 'signal'[\\s\\S]*did you mean 'signals'", 5),
        ("[{signals: []}]", "record.0.signals", 5),
        ("[a.y, {signals: [a.u]}]", "record.0 is 'a.y', not a section", 5),
        ("sometimes", "record is 'sometimes'", 5),
    ],
)
def test_what_is_wrong_is_said_with_its_line(scenario, record, message, line):
    def read() -> None:
        selections(build_system(scenario(f"components: {{a: {{fmu: lag.fmu}}}}\nrecord: {record}\n")))

    with pytest.raises(GalenicError, match=message) as caught:
        read()
    assert caught.value.line == line
