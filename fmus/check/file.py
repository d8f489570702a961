"""All verdicts on one FMU file."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from fmus.check.archive import check_archive
from fmus.check.catalogue import NAMES
from fmus.check.description import RULES, SCHEMA, STRUCTURE, VARIABLES, check_description, read_description
from fmus.check.dynamic import check_dynamics, skip_dynamics
from fmus.check.extras import check_extras
from fmus.check.platforms import PLATFORMS, check_platforms
from fmus.check.verdict import Outcome, Verdict
from fmus.errors import GalenicError, nearest

#: what is skipped where nothing is known of the interfaces
RUN = "run"
#: seconds that one dynamic check may take
TIME_LIMIT = 30.0


def check_fmu(file: str | Path, *, time_limit: float = TIME_LIMIT, only: Collection[str] = ()) -> Iterator[Verdict]:
    """Check an FMU, and give each verdict as it comes.

    Args:
        file: the .fmu file, from any tool.
        time_limit: seconds that each dynamic check may take in its own process.
        only: dynamic checks to make, by name; none: all. What is read of the file is checked in any case.

    Raises:
        GalenicError: there is no such file, or no such check.
    """
    file = Path(file)
    if not file.is_file():
        raise GalenicError(f"there is no FMU file {file}", cure="check the path")
    for name in only:
        if name not in NAMES:
            raise GalenicError(f"there is no dynamic check '{name}'", cure=nearest(name, NAMES))
    return _verdicts(file, time_limit, only)


def _verdicts(file: Path, time_limit: float, only: Collection[str]) -> Iterator[Verdict]:
    archive, names = check_archive(file)
    yield archive
    if "modelDescription.xml" not in names:
        why = "the archive has no model description" if names else "the archive cannot be read"
        yield from (Verdict.skipped(check, why) for check in (SCHEMA, RULES, VARIABLES, STRUCTURE, PLATFORMS, RUN))
        return
    yield from check_description(file)
    try:
        description = read_description(file)
    except Exception:
        why = "modelDescription.xml cannot be read"
        yield from (Verdict.skipped(check, why) for check in (PLATFORMS, RUN))
        return
    yield from check_extras(file, description, names)
    if archive.outcome == Outcome.FAILED:
        why = "the archive is not safe to unpack"
        yield Verdict.skipped(PLATFORMS, why)
        yield from skip_dynamics(description, why)
        return
    yield from check_platforms(file, description, names)
    yield from check_dynamics(file, description, names, time_limit, only)
