from __future__ import annotations

import signal
import threading
from pathlib import Path

import numpy as np
import pytest

import cosim.parts
from cosim import Results
from cosim.interrupts import deferred_interrupt
from cosim.recorder import Recorder, Selection


def test_an_interrupt_waits_for_the_end_of_the_block() -> None:
    done = []

    def work() -> None:
        with deferred_interrupt():
            signal.raise_signal(signal.SIGINT)
            done.append("finished")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["finished"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_without_an_interrupt_and_in_other_threads_nothing_happens() -> None:
    with deferred_interrupt():
        pass
    seen = []

    def work() -> None:
        with deferred_interrupt():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]


def test_ctrl_c_while_a_part_is_written_loses_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish = cosim.parts.publish

    def interrupted(temporary: Path, file: Path) -> None:
        signal.raise_signal(signal.SIGINT)
        publish(temporary, file)

    recorder = Recorder(tmp_path / "run", [Selection({"a.y": "kg"}, np.arange(1))], {}, rows_per_part=4)
    for k in range(3):
        recorder.record(k, float(k), np.array([k]))
    monkeypatch.setattr(cosim.parts, "publish", interrupted)
    with pytest.raises(KeyboardInterrupt):
        recorder.record(3, 3.0, np.array([3.0]))
    with pytest.raises(KeyboardInterrupt):
        recorder.close(False)
    assert list(Results.open(tmp_path / "run").frame()["a.y"]) == [0.0, 1.0, 2.0, 3.0]
