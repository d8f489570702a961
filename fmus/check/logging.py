"""What an FMU logs, in the checking process."""

from __future__ import annotations

import ctypes as c

from fmus.check.job import Variable
from fmus.check.library import WARNING, Library
from fmus.check.probing import STEPS, Found, instance, some


def logging(library: Library) -> Found:
    """Each category of the description can be asked for, an error comes with a message, under one of them."""
    job = library.job
    one = instance(library)
    refused = [name for name in (*job.categories, None) if not _ask(one.calls.call, name)]
    one.start()
    one.run(STEPS, [])
    library.messages.clear()
    kind = "Real" if job.version == 2 else "Float64"
    stranger = Variable("unknown", 0xFFFFFF0, kind, "local", "continuous", None, 0.0, 0.0, 1.0)
    silent = one.calls.write(stranger, (0.0,)) > WARNING and not library.messages
    one.free()
    called = f"{library.prefix}SetDebugLogging"
    failures = [f"{called} refuses {f'the category {name!r}' if name else 'all categories'}" for name in refused]
    warnings = ["an error (setting an unknown value reference) comes without a message"] if silent else []
    other = sorted(library.categories - set(job.categories)) if job.categories else []
    warnings += [f"it logs under {some(other)}, not among the categories of the description"] if other else []
    return failures, warnings, f"{len(job.categories)} categories; an error comes with a message"


def _ask(call: object, category: str | None) -> bool:
    """Switch a category on, or all of them."""
    assert callable(call)
    names = (c.c_char_p * 1)(category.encode() if category else None)
    status: int = call("SetDebugLogging", 1, int(category is not None), names if category else None)
    return status <= WARNING
