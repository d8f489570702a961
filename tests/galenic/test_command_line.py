from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from fmus.toolchain import this_platform

Write = Callable[..., Path]
Command = Callable[..., Result]


def line_of(file: Path, text: str) -> int:
    """The line, from 1, in which ``text`` first stands."""
    return next(n for n, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1) if text in line)


COMMANDS = (
    *("run", "resume", "watch", "results", "compare", "plot", "list", "info", "schema"),
    *("export", "export-ssp", "check", "identify", "design-space", "tune"),
    *("explain", "advise", "export-controller", "golden-batch"),
)
PLOT = "plot: [{title: T, signals: [press.hardness], unit: kg}]"


def test_help_answers_at_once_without_the_heavy_libraries() -> None:
    probe = (
        "import sys; from galenic.cli import main\n"
        "try: main(['--help'])\n"
        "finally: print('HEAVY', [m for m in ('numpy','casadi','pandas','matplotlib','pydantic') if m in sys.modules])"
    )
    best = 9.0
    for _ in range(3):
        began = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False, env=_env())
        best = min(best, time.perf_counter() - began)
        assert "HEAVY []" in done.stdout, done.stdout + done.stderr
    assert best < 2.0  # 0.2 s where nothing else runs


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_with_an_example(command: Command, name: str) -> None:
    result = command(name, "--help")
    assert result.exit_code == 0
    assert f"galenic {name}" in result.output
    assert "Example" in result.output


def test_version(command: Command) -> None:
    assert command("--version").output.startswith("galenic ")


def test_an_ascii_terminal_shows_everything(write: Write) -> None:
    write()
    done = subprocess.run(
        [sys.executable, "-m", "galenic", "run", "tiny.yaml", "--no-plot"],
        capture_output=True, check=False, env=_env() | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"weight RSD" in done.stdout
    done.stdout.decode("ascii")


def test_list_names_scenarios_units_and_controllers(command: Command) -> None:
    output = command("list").output
    for name in ("tablet_line", "tablet_press", "loss_in_weight_feeder", "pi", "ratio"):
        assert name in output


def test_info_shows_units_bounds_and_roles(command: Command) -> None:
    result = command("info", "tablet_press", "--causality", "input")
    assert result.exit_code == 0
    row = next(line for line in result.output.splitlines() if "fill_depth_setpoint" in line)
    assert all(part in row for part in ("mm", "2 to 12", "CPP"))
    assert "get and set state" in result.output


def test_export_writes_an_fmu_that_info_reads(command: Command, write: Write, tmp_path: Path) -> None:
    file = write()
    assert command("export", file, "--out", tmp_path / "fmus").exit_code == 0
    assert command("info", tmp_path / "fmus" / "press.fmu").exit_code == 0


@pytest.mark.parametrize(("version", "name"), [(2, "press.fmu"), (3, "press_fmi3.fmu")])
def test_info_shows_both_interfaces_of_both_versions(
    command: Command, write: Write, tmp_path: Path, version: int, name: str
) -> None:
    options = ("--fmi", version, "--platform", this_platform().fmi_name)
    assert command("export", write(), "--out", tmp_path, *options).exit_code == 0
    output = " ".join(command("info", tmp_path / name).output.split())
    for interface in ("Co-Simulation", "Model Exchange"):
        line = output.split(f"FMI {version}.0 {interface}. Yes: ")[1].split("FMI")[0]
        assert "directional derivatives" in line
        assert "No:" not in line
    assert "CPP" in output


def test_run_writes_results_kpis_figure_and_log(command: Command, write: Write, tmp_path: Path) -> None:
    result = command("run", write(), "--seed", 3, "--duration", "90 s")
    assert result.exit_code == 0, result.output
    assert "weight RSD" in result.output
    (folder,) = (tmp_path / "runs").iterdir()
    content = json.loads((folder / "kpis.json").read_text(encoding="utf-8"))
    assert content["seed"] == 3
    assert content["complete"] is True
    kpis = {name: entry["value"] for name, entry in content["kpis"].items()}
    assert kpis["tablets"] == pytest.approx(120000 / 3600 * 90, rel=1e-3)
    assert kpis["solver_median"] == pytest.approx(2.0)
    assert kpis["design_space_setpoints"] == 0.0
    assert (folder / "figure.png").stat().st_size > 20_000
    assert "weight RSD" in (folder / "run.log").read_text(encoding="utf-8")


def test_quiet_prints_the_folder_alone(command: Command, write: Write) -> None:
    result = command("run", write(), "--quiet", "--no-plot", "--duration", "20 s")
    assert (Path(result.stdout.strip()) / "kpis.json").is_file()
    assert result.stdout.count("\n") == 1


def test_plot_lays_two_runs_over_each_other(command: Command, write: Write, tmp_path: Path) -> None:
    file = write()
    command("run", file, "--out", "a", "--no-plot", "--quiet")
    command("run", file, "--out", "b", "--no-plot", "--quiet", "--without", "fixed_depth")
    result = command("plot", "a", "b", "--out", "both.png")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "both.png").stat().st_size > 20_000
    assert command("plot", "a").exit_code == 0
    assert (tmp_path / "a" / "figure.png").is_file()


def test_a_folder_with_other_files_is_left_alone(command: Command, write: Write, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    result = command("run", write(), "--out", "mine")
    assert result.exit_code == 2
    assert "other files" in result.output
    assert [f.name for f in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("old", "new", "found", "message"),
    [
        pytest.param("unit: tablet_press", "unit: tablet_pres", "tablet_pres", "tablet_press", id="typo in a unit"),
        pytest.param("seed: 1", "sead: 1", "sead: 1", "seed", id="typo in a key"),
        pytest.param("6.2 kN", "6.2 mm", "6.2 mm", "dimension", id="wrong unit"),
        pytest.param("unit: tablet_press", "fmu: gone.fmu", "gone.fmu", "gone.fmu", id="missing FMU"),
        pytest.param("unit: tablet_press", "fmu: corrupt.fmu", "corrupt.fmu", "zip", id="corrupt FMU"),
        pytest.param("target: 226 mg", "target: 226 kN", "226 kN", "dimension", id="wrong unit in a KPI"),
        pytest.param("reject:", "rejekt:", "rejekt", "reject", id="typo in a KPI"),
        pytest.param("press.tablet_weight", "press.tablet_wait", "tablet_wait", "tablet_weight", id="KPI signal"),
        pytest.param("limits: 5 %,", "limits: 5,", "limits: 5,", "5 %", id="a fraction above one"),
        pytest.param("file: space.yaml", "file: spac.yaml", "spac.yaml", "spac.yaml", id="missing design space"),
        pytest.param("kpis:", PLOT + "\nkpis:", "plot:", "kg", id="wrong unit in a plot"),
    ],
)  # fmt: skip
def test_an_error_names_file_line_and_cure(
    command: Command, write: Write, tmp_path: Path, old: str, new: str, found: str, message: str
) -> None:
    (tmp_path / "corrupt.fmu").write_bytes(b"PK\x03\x04 cut short")
    file = write((old, new))
    result = command("run", file)
    assert result.exit_code == 2, result.output
    assert f"tiny.yaml:{line_of(file, found)}" in result.output
    assert message in result.output
    assert "Cure:" in result.output
    assert found in result.output.replace("\n", " ")
    assert "Traceback" not in result.output
    assert len(result.output.splitlines()) < 24
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "no_such_scenario"),
        ("run", "tiny.yaml", "--without", "mpcc"),
        ("run", "tiny.yaml", "--duration", "2 kg"),
        ("run", "tiny.yaml", "--duration", "0.5 s"),
        ("info", "no_such_unit"),
        ("info", "gone.fmu"),
        ("export", "no_such_thing"),
        ("plot", "."),
        ("identify", "tiny.yaml"),
        ("run",),
    ],
)
def test_what_the_user_got_wrong_ends_with_status_2(command: Command, write: Write, arguments: tuple[str, ...]) -> None:
    write()
    result = command(*arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output


def test_debug_shows_the_traceback_wherever_it_stands(write: Write) -> None:
    write()
    for arguments in (("--debug", "run", "gone"), ("run", "gone", "--debug")):
        done = subprocess.run(
            [sys.executable, "-m", "galenic", *arguments], capture_output=True, text=True, check=False, env=_env()
        )
        assert "Traceback" in done.stderr


def test_a_defect_is_told_apart_from_bad_input(command: Command, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("wires crossed")

    monkeypatch.setattr("galenic.session.build", fails)
    result = command("run", write())
    assert result.exit_code == 1
    assert "wires crossed" in result.output
    assert "--debug" in result.output


def test_ctrl_c_keeps_what_was_computed(
    command: Command, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import cosim.master

    monkeypatch.setattr(cosim.master, "_PROGRESS_INTERVAL", 0.0)

    def interrupts(_: object, t: float) -> None:
        if t >= 60.0:
            raise KeyboardInterrupt

    monkeypatch.setattr("galenic.progress._LinesOfText.__call__", interrupts)
    result = command("run", write(), "--out", "kept")
    assert result.exit_code == 130, result.output
    assert "kept" in result.output
    content = json.loads((tmp_path / "kept" / "kpis.json").read_text(encoding="utf-8"))
    assert content["complete"] is False
    assert content["simulated_time"] == pytest.approx(60.0)
    assert content["kpis"]["tablets"]["value"] == pytest.approx(2000, rel=1e-3)
    assert (tmp_path / "kept" / "figure.png").is_file()


def test_schema_knows_units_and_kpis(command: Command, write: Write) -> None:
    content = json.loads(command("schema").output)["else"]
    assert content["properties"]["duration"]["type"] == ["number", "string"]
    assert "quality" in content["properties"]["kpis"]["properties"]


def _env() -> dict[str, str]:
    return dict(os.environ) | {"PYTHONPATH": os.pathsep.join(p or os.getcwd() for p in sys.path)}
