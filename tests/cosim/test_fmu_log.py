from __future__ import annotations

import gc

import pytest

import fmus
from cosim.fmu_archive import open_archive
from cosim.fmu_component import FmuComponent
from fmus.errors import GalenicError


def test_each_instance_gets_its_own_messages_even_when_a_later_one_is_gone() -> None:
    archive = open_archive(fmus.build_fmu(fmus.unit_model("feed_frame")))
    first, second = FmuComponent("first", archive), FmuComponent("second", archive)
    first.initialize(0.0)
    second.initialize(0.0)
    first.input_values[0] = -5.0
    with pytest.raises(GalenicError, match=r"first: 'inlet.mass_flow' was set to -5"):
        first.do_step(0.0, 1.0)
    third = FmuComponent("third", archive)
    third.initialize(0.0)
    second.input_values[0] = -7.0
    third.terminate()
    del third
    gc.collect()
    with pytest.raises(GalenicError, match=r"second: 'inlet.mass_flow' was set to -7"):
        second.do_step(0.0, 1.0)
    first.terminate()
    second.terminate()
