"""The shipped scenarios as a corpus: damaged in a way that a person damages a file, each builds or says why not."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from cosim import build_system, load_scenario, scenario_names
from cosim.library import find_scenario
from fmus.errors import GalenicError

_EACH = 12

Damage = Callable[[list[str], random.Random], list[str]]


def _without_a_line(lines: list[str], chance: random.Random) -> list[str]:
    at = chance.randrange(len(lines))
    return lines[:at] + lines[at + 1 :]


def _with_a_line_twice(lines: list[str], chance: random.Random) -> list[str]:
    at = chance.randrange(len(lines))
    return lines[: at + 1] + lines[at:]


def _with_other_indentation(lines: list[str], chance: random.Random) -> list[str]:
    at = chance.randrange(len(lines))
    return [*lines[:at], " " * chance.randint(1, 3) + lines[at], *lines[at + 1 :]]


def _with_a_letter_more(lines: list[str], chance: random.Random) -> list[str]:
    at = chance.randrange(len(lines))
    words = [m.span() for m in re.finditer(r"[A-Za-z_]{3,}", lines[at])] or [(0, 0)]
    _, end = chance.choice(words)
    return [*lines[:at], lines[at][:end] + "x" + lines[at][end:], *lines[at + 1 :]]


def _with_another_number(lines: list[str], chance: random.Random) -> list[str]:
    at = chance.choice([i for i, line in enumerate(lines) if re.search(r"\d", line)])
    other = chance.choice(["-1", "0", "1e30", ".nan", "many", "1 furlong", "[1, 2]", "{}", "null", "''", "2.5 kg/h"])
    return [*lines[:at], re.sub(r"\d+(\.\d+)?", other, lines[at], count=1), *lines[at + 1 :]]


def _cut_off(lines: list[str], chance: random.Random) -> list[str]:
    text = "\n".join(lines)
    return text[: chance.randrange(len(text))].split("\n")


DAMAGES: tuple[Damage, ...] = (
    _without_a_line,
    _with_a_line_twice,
    _with_other_indentation,
    _with_a_letter_more,
    _with_another_number,
    _cut_off,
)


def _refusal(file: Path) -> GalenicError | None:
    try:
        build_system(load_scenario(file))
    except GalenicError as error:
        return error
    return None


@pytest.mark.parametrize("name", sorted(scenario_names()))
def test_a_damaged_file_builds_or_says_where_and_why_not(name: str, tmp_path: Path) -> None:
    original = find_scenario(name)
    chance = random.Random(name)
    # beside the files that it names
    text = original.read_text(encoding="utf-8")
    for number in range(_EACH):
        damage = DAMAGES[number % len(DAMAGES)]
        file = tmp_path / f"{damage.__name__.strip('_')}_{number}.yaml"
        damaged = "\n".join(damage(text.split("\n"), chance))
        # files that it names are found where the original has them
        damaged = re.sub(
            r"((?:parameter_file|file|surrogate|design_space): )(?=[a-z_]+/)",
            rf"\g<1>{original.parent.as_posix()}/",
            damaged,
        )
        file.write_text(damaged, encoding="utf-8")
        if (error := _refusal(file)) is not None:
            assert str(error), file
            assert error.cure, f"{file}: {error}"
            assert error.file is not None, f"{file}: {error}"
    assert {path.suffix for path in tmp_path.iterdir()} == {".yaml"}
