from __future__ import annotations

import stat
import zipfile
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Literal

import pytest
from odd_fmu import BINARY, DESCRIPTION, binary, write_odd_fmu

from fmus import GalenicError, build_fmu, unit_model
from fmus.check import Outcome, Verdict, check_fmu
from fmus.check.binary import read_binary
from fmus.check.catalogue import NAMES

UNITS = ("loss_in_weight_feeder", "continuous_blender", "feed_frame", "tablet_press")


def verdicts(file: Path, time_limit: float = 20.0, only: Collection[str] = ()) -> dict[str, Verdict]:
    """By check; of an FMU with several interfaces by interface and check."""
    found = list(check_fmu(file, time_limit=time_limit, only=only))
    several = len({v.interface for v in found if v.interface}) > 1
    by_name = {f"{v.interface}: {v.check}" if several and v.interface else v.check: v for v in found}
    assert len(by_name) == len(found)
    return by_name


def not_ok(found: dict[str, Verdict]) -> dict[str, str]:
    return {v.check: str(v.outcome) for v in found.values() if v.outcome != Outcome.OK}


@pytest.mark.parametrize("fmi", [2, 3])
@pytest.mark.parametrize("unit", UNITS)
def test_our_units_pass_every_check(unit: str, fmi: Literal[2, 3]) -> None:
    found = verdicts(build_fmu(unit_model(unit), fmi=fmi))
    skipped = {"structural parameters": "skipped"} if fmi == 3 else {}
    assert not_ok(found) == skipped, found
    assert Counter(v.interface for v in found.values() if v.interface) == {
        "Co-Simulation": 12 + 5 * (fmi == 3),
        "Model Exchange": 13 + 2 * (fmi == 3),
    }


def test_a_sound_fmu_of_another_tool_passes_every_check(tmp_path: Path) -> None:
    found = verdicts(write_odd_fmu(tmp_path / "odd.fmu"))
    assert not_ok(found) == {}, found
    assert "at a communication point" in found["derivatives"].found
    assert found["run"].found.startswith("10 steps of 0.1 s")


@pytest.mark.parametrize(
    ("fault", "check", "says"),
    [
        ("CRASH", "run", "crashes in fmi2DoStep at t = 0.3"),
        ("DIVERGE", "run", "not finite: y"),
        ("NO_RESET", "state machine", "after fmi2Reset from terminated the run differs"),
        ("LYING_STATE", "get and set state", "does not restore"),
        ("FORGETFUL_STATE", "get and set state", "after fmi2SetFMUstate the run differs: 'y'"),
        ("FORGETFUL_STATE", "serialised state", "in a new instance the run differs"),
        ("SHARED", "two instances", "beside another instance the run differs"),
        ("WRONG_DERIVATIVE", "derivatives", "d 'z' / d 'u' is 2.2, finite differences give 2"),
        ("DEAF", "reading and setting", "'u' is 1.0 after it was set to 1.05"),
        ("INCOMPLETE", f"binary {BINARY.split('/')[1]}", "it lacks 1 of 34 functions: fmi2CancelStep"),
    ],
)
def test_a_fault_is_found_and_named(tmp_path: Path, fault: str, check: str, says: str) -> None:
    only = ["instantiation", *({check} & set(NAMES))]
    found = verdicts(write_odd_fmu(tmp_path / "odd.fmu", fault), only=only)
    assert found[check].outcome == Outcome.FAILED
    assert says in found[check].found
    assert found["archive"].outcome == found["instantiation"].outcome == Outcome.OK


@pytest.mark.parametrize(
    ("fault", "check", "says"),
    [
        ("TAKES_NAN", "NaN input", "NaN at 'u' goes on to the outputs without an error"),
        ("LENIENT", "wrong calls", "accepts a step before initialisation, a step of negative size"),
    ],
)
def test_what_the_standard_lets_pass_is_a_warning(tmp_path: Path, fault: str, check: str, says: str) -> None:
    found = verdicts(write_odd_fmu(tmp_path / "odd.fmu", fault))
    assert not_ok(found) == {check: "warning"}
    assert says in found[check].found


def test_a_hanging_fmu_is_stopped_and_not_run_again(tmp_path: Path) -> None:
    found = verdicts(write_odd_fmu(tmp_path / "odd.fmu", "HANG"), time_limit=2.0)
    assert found["run"].outcome == Outcome.FAILED
    assert found["run"].found == "hangs in fmi2DoStep at t = 0.3 s; stopped after 2 s"
    assert found["state machine"].found == "not checked: the FMU hung in 'run'"


def test_a_wrong_guid_ends_the_dynamic_checks(tmp_path: Path) -> None:
    found = verdicts(write_odd_fmu(tmp_path / "odd.fmu", replace=("{odd}", "{other}")))
    assert found["instantiation"].outcome == Outcome.FAILED
    assert found["instantiation"].found == "fmi2Instantiate returns no instance"
    assert found["derivatives"].outcome == Outcome.SKIPPED


def test_a_truncated_file_is_named_as_such(tmp_path: Path) -> None:
    file = write_odd_fmu(tmp_path / "odd.fmu")
    file.write_bytes(file.read_bytes()[:-200])
    found = verdicts(file)
    assert found["archive"].outcome == Outcome.FAILED
    assert "cut short" in found["archive"].found
    assert {v.outcome for v in found.values()} == {Outcome.FAILED, Outcome.SKIPPED}


@pytest.mark.parametrize("name", ["../outside.txt", "/etc/outside.txt", "C:/outside.txt", "resources\\..\\outside.txt"])
def test_a_name_that_leads_out_of_the_archive_is_not_unpacked(tmp_path: Path, name: str) -> None:
    file = write_odd_fmu(tmp_path / "odd.fmu", files={BINARY: binary(), name: b"x"})
    found = verdicts(file)
    assert found["archive"].outcome == Outcome.FAILED
    assert found["run"].found == "not checked: the archive is not safe to unpack"


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    file = write_odd_fmu(tmp_path / "odd.fmu")
    link = zipfile.ZipInfo("resources/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    assert "'resources/link' is a symbolic link" in verdicts(file)["archive"].found


def test_a_missing_binary_is_a_failure_and_nothing_runs(tmp_path: Path) -> None:
    none = verdicts(write_odd_fmu(tmp_path / "none.fmu", files={}))
    assert none["platforms"].found == "there is neither a binary nor source code in it"
    other = verdicts(write_odd_fmu(tmp_path / "other.fmu", files={BINARY.replace("odd.", "even."): binary()}))
    assert other["platforms"].outcome == Outcome.FAILED
    assert "has no odd" in other["platforms"].found
    assert other["run"].found.startswith("not checked: it has no binary for this machine")


def test_a_binary_in_the_wrong_folder_and_one_that_is_none_are_failures(tmp_path: Path) -> None:
    files = {"binaries/aarch64-linux/odd.so": binary(), "binaries/win64/odd.dll": b"no library", BINARY: binary()}
    found = verdicts(write_odd_fmu(tmp_path / "odd.fmu", files=files), only=["instantiation", "run"])
    assert "not for aarch64-linux" in found["binary aarch64-linux"].found
    assert found["binary win64"].found == "it is no shared library"
    assert found["run"].outcome == Outcome.OK


@pytest.mark.parametrize(
    ("replace", "check", "says"),
    [
        (('<Unit name="s"><BaseUnit s="1"/></Unit>', ""), "variables", "'tau': its unit 's' is not defined"),
        (('<Real unit="1" start="1"/>', '<Real unit="1"/>'), "variables", "'u' is an input without start value"),
        (('causality="input"', 'causality="entry"'), "XML schema", "causality"),
        (('<Unknown index="3" dependencies=""/>', ""), "FMPy validation", "ModelStructure/Outputs"),
        (('<Unit name="1"><BaseUnit/></Unit>', '<Unit name="1"/>'), "variables", "no base unit for 1"),
        (('<Real unit="s" start="1"/>', '<Real unit="s" start="7"/>'), "instantiation", "'tau' is 1, not 7"),
    ],
)
def test_faults_of_the_description_are_named(tmp_path: Path, replace: tuple[str, str], check: str, says: str) -> None:
    found = verdicts(write_odd_fmu(tmp_path / "odd.fmu", replace=replace), only=["instantiation"])
    assert found[check].outcome in {Outcome.FAILED, Outcome.WARNING}
    assert says in found[check].found


def test_an_fmu_that_needs_its_tool_is_not_blamed_for_running_nowhere_else(tmp_path: Path) -> None:
    other = ('guid="{odd}">', 'guid="{other}">')
    assert verdicts(write_odd_fmu(tmp_path / "odd.fmu", replace=other))["instantiation"].outcome == Outcome.FAILED
    needing = (
        DESCRIPTION,
        DESCRIPTION.replace(*other).replace("<CoSimulation", '<CoSimulation needsExecutionTool="true"'),
    )
    found = verdicts(write_odd_fmu(tmp_path / "odd.fmu", replace=needing))
    assert found["instantiation"].found.startswith("not checked: the FMU needs the tool that made it")
    assert {v.outcome for v in found.values()} == {Outcome.OK, Outcome.SKIPPED}


def test_a_missing_file_is_an_error_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(GalenicError, match="there is no FMU file"):
        check_fmu(tmp_path / "none.fmu")


def test_an_unknown_check_is_an_error_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(GalenicError, match="there is no dynamic check 'runs'") as caught:
        check_fmu(write_odd_fmu(tmp_path / "odd.fmu"), only=["runs"])
    assert "run" in str(caught.value.cure)


def test_a_damaged_binary_is_a_verdict_whatever_the_damage() -> None:
    whole = binary()
    assert "fmi2DoStep" in read_binary(whole)[0].exports
    random = Random(1)
    for cut in range(60):
        damaged = bytearray(whole)
        for _ in range(20):
            damaged[random.randrange(2000 if cut % 2 else len(damaged))] = random.randrange(256)
        with suppress(ValueError):
            read_binary(bytes(damaged))
        with suppress(ValueError):
            read_binary(whole[: random.randrange(len(whole))])
