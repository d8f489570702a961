"""The checking process: one check of one job; its result is a file. Started by `fmus.check.dynamic`."""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path

from fmus.check.catalogue import checks
from fmus.check.job import Job
from fmus.check.library import FmuError, Library, TooSlowError


def main(folder: Path) -> None:
    """Run the check in ``folder/job.json``, write ``folder/result.json``, and leave without cleaning up."""
    job = Job.read(folder / "job.json")
    result: dict[str, object]
    try:
        library = Library(job, folder / "trace")
        failures, warnings, fine = checks(job.version, job.interface)[job.check].probe(library)
        if library.nulls:
            failures.append(f"it logs with {' and '.join(sorted(library.nulls))} NULL")
        result = {"failures": failures, "warnings": warnings, "fine": fine}
    except TooSlowError as slow:
        result = {"skipped": f"{slow}; --time-limit gives it more"}
    except FmuError as failure:
        result = {"failures": [str(failure)], "warnings": [], "fine": ""}
    except Exception:
        result = {"defect": traceback.format_exc()}
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    os._exit(0)  # what a library does when it is unloaded is not this check's matter


if __name__ == "__main__":
    main(Path(sys.argv[1]))
