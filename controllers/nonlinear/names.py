"""Names in a section, by the whole signal or its last part."""

from __future__ import annotations

from collections.abc import Sequence

from controllers.base import Key
from cosim.component import ControllerContext
from fmus.errors import GalenicError, nearest


def index_of(name: str, names: Sequence[str], what: str) -> int:
    """Where a full or unique last name stands. Raises GalenicError."""
    if name in names:
        return names.index(name)
    fitting = [i for i, n in enumerate(names) if n.rsplit(".", 1)[-1] == name or n.endswith(f".{name}")]
    if len(fitting) != 1:
        raise GalenicError(f"the model has no {what} '{name}'", cure=nearest(name, names))
    return fitting[0]


def place_of(name: str, names: Sequence[str], what: str, key: Key, context: ControllerContext) -> int:
    """The same; an error is at ``key``."""
    try:
        return index_of(name, names, what)
    except GalenicError as error:
        raise context.error(key, error.message, error.cure) from error
