from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from controllers.surrogates.linear_surrogate import LinearSurrogate, SurrogateInput, SurrogateOutput
from fmus.errors import GalenicError


def make() -> LinearSurrogate:
    random = np.random.default_rng(0)
    return LinearSurrogate(
        a=np.diag([0.9, 0.5, 1.0]),
        b=random.normal(size=(3, 2)) * 1e-7,
        c=np.vstack([random.normal(size=3), [0.0, 0.0, 1.0]]),
        d=np.zeros((2, 2)),
        period=10.0,
        inputs=(SurrogateInput("p.u", "mm", 6.5, 6.0, 7.0), SurrogateInput("q.v", "kg/h", 27.0, 20.0, 30.0)),
        outputs=(SurrogateOutput("p.y", "kN", 6.0, False, 0.1, 95.0), SurrogateOutput("q.level", "%", 50.0, True)),
        description="test",
        provenance={"scenario": "line", "sha256": "abc", "validation": {"runs": 2}},
    )


def test_a_file_gives_back_the_same_numbers(tmp_path: Path) -> None:
    before = make()
    before.save(tmp_path / "s.yaml")
    after = LinearSurrogate.load(tmp_path / "s.yaml")
    for name in "abcd":
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name))
    assert after.inputs == before.inputs
    assert after.outputs[0] == before.outputs[0]
    assert math.isnan(after.outputs[1].rmse)
    assert after.provenance == before.provenance
    assert (after.period, after.description) == (10.0, "test")


def test_prediction_is_the_sum_of_step_responses() -> None:
    s = make()
    inputs = np.tile(s.u0, (20, 1))
    inputs[5:, 0] += 0.3
    inputs[9:, 1] -= 2.0
    response = s.step_response(20)
    expected = np.tile(s.y0, (21, 1))
    expected[5:] += 0.3 * response[:16, :, 0]
    expected[9:] -= 2.0 * response[:12, :, 1]
    np.testing.assert_allclose(s.predict(inputs), expected, atol=1e-12)


def test_names_may_be_shortened_where_they_are_unique() -> None:
    s = make()
    assert s.output_index("level") == 1
    assert s.input_index("p.u") == 0
    with pytest.raises(GalenicError, match="no output 'levle'") as error:
        s.output_index("levle")
    assert "q.level" in error.value.cure


def test_the_training_domain_is_known() -> None:
    s = make()
    assert s.contains(np.array([6.5, 25.0]))
    assert not s.contains(np.array([7.5, 25.0]))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("surrogate: galenic/1", "surrogate: galenic/9", "schema 'galenic/9'"),
        ("surrogate: galenic/1", "model: galenic/1", "not a surrogate file"),
        ("period: 10.0 s", "period: 10.0 mm", "dimensions differ"),
        ("A:\n- [0.9, 0.0, 0.0]", "A:\n- [0.9, 0.0]", "matrix A"),
        ("A:\n- [0.9, 0.0, 0.0]", "A:\n- [0.9, x, 0.0]", "matrix A"),
        ("A:\n- [0.9,", "A:\n- [1.9,", "unstable"),
        ("unit: mm, ", "", "no 'unit'"),
        ("operating_point: 6.5", "operating_point: 9.5", "outside min to max"),
        ("operating_point: 6.5", "operating_point: text", "is not a float"),
        ("period: 10.0 s", "perod: 10.0 s", "unknown key 'perod'"),
    ],
)
def test_a_damaged_file_is_refused_with_its_place(tmp_path: Path, old: str, new: str, message: str) -> None:
    file = tmp_path / "s.yaml"
    make().save(file)
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(GalenicError, match=message) as error:
        LinearSurrogate.load(file)
    assert error.value.file == file
    assert error.value.line is not None
    assert error.value.cure


def test_a_missing_file_is_an_error() -> None:
    with pytest.raises(GalenicError, match="cannot be read"):
        LinearSurrogate.load("nowhere.yaml")
