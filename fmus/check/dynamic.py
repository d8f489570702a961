"""Running an FMU to check it, in processes of its own: one that crashes or hangs costs a verdict, not the command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from fmus.check.catalogue import checks
from fmus.check.interfaces import interfaces, job_of, library_of, major_version, platform_names
from fmus.check.job import SCHEDULED_EXECUTION, Job
from fmus.check.verdict import Outcome, Verdict


def check_dynamics(
    file: Path, description: Any, names: set[str], time_limit: float, only: Collection[str] = ()
) -> Iterator[Verdict]:
    """A verdict on each dynamic check of each interface, as it comes; on those named in ``only``, where it is given."""
    with tempfile.TemporaryDirectory(prefix="galenic-check-", ignore_cleanup_errors=True) as unpacked:
        folder = Path(unpacked)
        with zipfile.ZipFile(file) as archive:
            archive.extractall(folder)
        for interface in interfaces(description):
            if interface == SCHEDULED_EXECUTION:
                yield Verdict.skipped("run", "Scheduled Execution is not run, only described").of(interface)
                continue
            for verdict in _interface(description, interface, folder, names, time_limit, only):
                yield verdict.of(interface)


def skip_dynamics(description: Any, why: str) -> Iterator[Verdict]:
    """What is said of the dynamic checks where none can be made."""
    for interface in interfaces(description):
        for check in checks(major_version(description), interface):
            yield Verdict.skipped(check, why).of(interface)


def _interface(
    description: Any, interface: str, folder: Path, names: set[str], time_limit: float, only: Collection[str]
) -> Iterator[Verdict]:
    version = major_version(description)
    if not version:
        yield Verdict.skipped("run", f"FMI {description.fmiVersion}; dynamic checks are for FMI 2.0 and 3.0")
        return
    wanted = checks(version, interface, first=interface == next(iter(interfaces(description))))
    wanted = {name: check for name, check in wanted.items() if not only or name in only}
    library = library_of(version, interfaces(description)[interface].modelIdentifier, names)
    if library is None:
        why = f"it has no binary for this machine ({' or '.join(platform_names(version))})"
        yield from (Verdict.skipped(check, why) for check in wanted)
        return
    job, why = job_of(description, interface, folder, folder / library, time_limit), ""
    for name, check in wanted.items():
        reason = why or check.obstacle(job)
        if reason:
            yield Verdict.skipped(name, reason)
            continue
        verdict, obstacle = _run(job.for_check(name))
        if name == "instantiation" and verdict.outcome == Outcome.FAILED:
            why = "the FMU cannot be instantiated"
            if "needsExecutionTool" in job.flags:
                why = "the FMU needs the tool that made it"
                verdict = Verdict.skipped(name, f"{why}; without it: {verdict.found}")
        yield verdict
        why = why or obstacle


def _run(job: Job) -> tuple[Verdict, str]:
    """The verdict of the checking process, and what keeps the following checks from being made, if something does."""
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
        # a wait with a time limit polls, up to 50 ms too long; there are dozens of waits
        hung = threading.Event()

        def stop() -> None:
            hung.set()
            process.kill()

        watchdog = threading.Timer(job.time_limit, stop)
        watchdog.start()
        try:
            status = process.wait()
        finally:
            watchdog.cancel()
            process.kill()
            process.wait()
        if hung.is_set():
            doing = f"hangs in {_last_call(folder)}; stopped after {job.time_limit:g} s"
            return Verdict.judged(job.check, [doing], [], ""), f"the FMU hung in '{job.check}'"
        result_file = folder / "result.json"
        if not (folder / "trace").exists():
            raise RuntimeError(f"check '{job.check}': the checking process does not begin; {_cause(status)}")
        if not result_file.exists():
            return Verdict.judged(job.check, [f"crashes in {_last_call(folder)}: {_cause(status)}"], [], ""), ""
        result = json.loads(result_file.read_text(encoding="utf-8"))
    if "defect" in result:
        raise RuntimeError(f"check '{job.check}' of {job.library}: {result['defect']}")
    if "skipped" in result:
        return Verdict.skipped(job.check, result["skipped"]), f"'{job.check}' took too long"
    return Verdict.judged(job.check, result["failures"], result["warnings"], result["fine"]), ""


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
