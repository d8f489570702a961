from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosim import Port
from cosim.sensors import Sensor

PORT = Port("y", "kN", 0.0)


def run(sensor: Sensor, signal, duration: float, h: float) -> tuple[np.ndarray, np.ndarray]:
    """Value and sample at each communication point, the sensor executed as the master does it."""
    every = round(sensor.period / h)
    shown = []
    for k in range(round(duration / h)):
        if k % every == 0:
            sensor.input_values[0] = signal(k * h)
            sensor.do_step(k * h, sensor.period)
        shown.append(sensor.output_values.copy())
    value, sample = np.array(shown).T
    return value, sample


def test_a_perfect_sensor_shows_the_signal():
    value, sample = run(Sensor("s", PORT, "a.y", step_size=1.0, sampling=1.0), lambda t: 2 * t, 5.0, 1.0)
    assert value.tolist() == [0, 2, 4, 6, 8]
    assert sample.tolist() == [1, 2, 3, 4, 5]


def test_the_value_is_sampled_held_and_late():
    sensor = Sensor("s", PORT, "a.y", step_size=1.0, sampling=4.0, delay=6.0)
    value, sample = run(sensor, lambda t: 10 + t, 16.0, 1.0)
    # sampled at 0, 4, 8, ...; shown at 6, 10, 14, ...; before that the first measurement without its delay
    assert value.tolist() == [10] * 6 + [10] * 4 + [14] * 4 + [18] * 2
    assert sample.tolist() == [0] * 6 + [1] * 4 + [2] * 4 + [3] * 2


def test_the_start_value_is_shown_until_the_first_value_is_through():
    sensor = Sensor("s", PORT, "a.y", step_size=1.0, sampling=1.0, delay=2.0, start=7.0)
    assert run(sensor, lambda t: t, 4.0, 1.0)[0].tolist() == [7, 7, 0, 1]


@settings(deadline=None, max_examples=100)
@given(every=st.integers(1, 20), late=st.integers(0, 50))
def test_a_late_value_is_the_signal_at_its_sampling_instant(every, late):
    h = 0.1
    sensor = Sensor("s", PORT, "a.y", step_size=h, sampling=every * h, delay=late * h)
    value, sample = run(sensor, lambda t: 5.0 + t, 20.0, h)
    for k in range(late, 200):
        sampled = (k - late) // every
        assert sample[k] == sampled + 1
        assert value[k] == pytest.approx(5.0 + sampled * every * h)


def test_drift_grows_by_the_hour_and_bias_adds():
    sensor = Sensor("s", PORT, "a.y", step_size=60.0, sampling=60.0, drift=0.6, bias=1.0)
    value, _ = run(sensor, lambda t: 10.0, 7260.0, 60.0)
    assert value[0] == 11.0
    assert value[120] == pytest.approx(11.0 + 2 * 0.6)


def test_noise_has_its_standard_deviation():
    sensor = Sensor("s", PORT, "a.y", step_size=1.0, sampling=1.0, noise=0.2, seed=1)
    value, _ = run(sensor, lambda t: 3.0, 20_000.0, 1.0)
    assert value.mean() == pytest.approx(3.0, abs=0.01)
    assert value.std() == pytest.approx(0.2, rel=0.03)
