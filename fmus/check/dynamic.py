"""Running an FMU to check it, in processes of its own: one that crashes or hangs costs a verdict, not the command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fmus.check.job import Job, job_of
from fmus.check.probes import PROBES
from fmus.check.verdict import Outcome, Verdict

CHECKS = tuple(PROBES)
_FLAGGED = {
    "get and set state": "canGetAndSetFMUstate",
    "serialised state": "canSerializeFMUstate",
    "variable step": "canHandleVariableCommunicationStepSize",
    "derivatives": "providesDirectionalDerivative",
}
_SEVERAL = {"two instances"}


def check_dynamics(file: Path, description: Any, names: set[str], time_limit: float) -> Iterator[Verdict]:
    """A verdict on each dynamic check, as it comes."""
    why = _obstacle(description, names)
    if why:
        yield from (Verdict.skipped(check, why) for check in CHECKS)
        return
    with tempfile.TemporaryDirectory(prefix="galenic-check-", ignore_cleanup_errors=True) as unpacked:
        folder = Path(unpacked)
        with zipfile.ZipFile(file) as archive:
            archive.extractall(folder)
        job = job_of(description, folder, folder / _library(description), time_limit)
        for check in CHECKS:
            reason = why or _not_applicable(check, job)
            if reason:
                yield Verdict.skipped(check, reason)
                continue
            verdict, hung = _run(job.for_check(check))
            if check == "instantiation" and verdict.outcome == Outcome.FAILED:
                why = "the FMU cannot be instantiated"
                if "needsExecutionTool" in job.flags:
                    why = "the FMU needs the tool that made it"
                    verdict = Verdict.skipped(check, f"{why}; without it: {verdict.found}")
            yield verdict
            if hung:
                why = f"the FMU hung in '{check}'"


def _library(description: Any) -> str:
    from fmpy import platform, sharedLibraryExtension

    return f"binaries/{platform}/{description.coSimulation.modelIdentifier}{sharedLibraryExtension}"


def _obstacle(description: Any, names: set[str]) -> str:
    from fmpy import platform

    if description.fmiVersion != "2.0":
        return f"FMI {description.fmiVersion}; dynamic checks are for FMI 2.0"
    if description.coSimulation is None:
        return "it has no Co-Simulation interface"
    return "" if _library(description) in names else f"it has no binary for this machine ({platform})"


def _not_applicable(check: str, job: Job) -> str:
    if check in _FLAGGED and _FLAGGED[check] not in job.flags:
        return f"the FMU does not claim {_FLAGGED[check]}"
    if check in _SEVERAL and "canBeInstantiatedOnlyOncePerProcess" in job.flags:
        return "the FMU says that one process holds one instance"
    if check == "NaN input" and not job.of("input", reals=True):
        return "the FMU has no Real input"
    return ""


def _run(job: Job) -> tuple[Verdict, bool]:
    """The verdict of the checking process, and whether it had to be stopped."""
    with tempfile.TemporaryDirectory(prefix="galenic-check-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        job.write(folder / "job.json")
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(p or os.getcwd() for p in sys.path)}
        process = subprocess.Popen(
            [sys.executable, "-m", "fmus.check.process", name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        try:
            status = process.wait(job.time_limit)
        except subprocess.TimeoutExpired:
            doing = f"hangs in {_last_call(folder)}; stopped after {job.time_limit:g} s"
            return Verdict.judged(job.check, [doing], [], ""), True
        finally:
            process.kill()
            process.wait()
        result_file = folder / "result.json"
        if not result_file.exists():
            return Verdict.judged(job.check, [f"crashes in {_last_call(folder)}: {_cause(status)}"], [], ""), False
        result = json.loads(result_file.read_text(encoding="utf-8"))
    if "defect" in result:
        raise RuntimeError(f"check '{job.check}' of {job.library}: {result['defect']}")
    return Verdict.judged(job.check, result["failures"], result["warnings"], result["fine"]), False


def _last_call(folder: Path) -> str:
    trace = folder / "trace"
    return trace.read_text(encoding="ascii", errors="replace").strip() if trace.exists() else "starting the process"


def _cause(status: int) -> str:
    if status < 0:
        try:
            return f"the process ends with {signal.Signals(-status).name}"
        except ValueError:
            return f"the process ends with signal {-status}"
    return f"the process ends with status {status:#x}" if status > 255 else f"the process ends with status {status}"
