"""The whole state of a run in one file, so that another process can go on from it as if nothing had happened.

A checkpoint holds the FMUs' serialised states, what sensors, disturbances, actions and controllers remember, the
signals, and the rows that are not sealed yet. It is written under a temporary name, flushed and renamed: the one before
stays valid until then. It holds plain numbers, text and arrays, no Python objects: reading one executes nothing.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from cosim.parts import publish
from fmus.errors import GalenicError

if TYPE_CHECKING:
    from cosim.master import Simulation
    from cosim.system import System

FILE = "checkpoint.npz"
FORMAT = "galenic-checkpoint/1"
_TREE = "tree"


@runtime_checkable
class Remembers(Protocol):
    """What goes on from what it remembers."""

    def state(self) -> Mapping[str, Any]:
        """Numbers, text, bytes, arrays, and lists and dictionaries of them."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave, in another process."""


def check(system: System) -> None:
    """Find what cannot be kept before a run begins.

    Raises:
        GalenicError: it names all components that cannot be kept.
    """
    fmus = [c.name for c in system.components if not c.can_serialize_state]
    if fmus:
        raise system.scenario.error(
            ("components", fmus[0]),
            f"no checkpoint can be made: the state of {', '.join(repr(name) for name in fmus)} cannot be kept "
            "(canGetAndSetFMUstate and canSerializeFMUstate are not both set)",
            "run without checkpoints, or export these FMUs with both capabilities",
        )
    forgetful = [task.name for task in system.tasks if not isinstance(task.component, Remembers)]
    if forgetful:
        section = "controllers" if forgetful[0] in system.controllers else "sensors"
        raise system.scenario.error(
            (section, forgetful[0]),
            f"no checkpoint can be made: {', '.join(repr(name) for name in forgetful)} cannot be kept",
            "give its class the methods state() and restore(state); see cosim.checkpoint.Remembers",
        )


def collect(simulation: Simulation) -> dict[str, Any]:
    """The state of a simulation between two communication steps."""
    system, components = simulation.system, {}
    for component in system.components:
        state = component.save_state()
        try:
            components[component.name] = component.serialize_state(state)
        finally:
            component.free_state(state)
    return {
        "completed_steps": simulation.completed_steps,
        "signals": system.signals.copy(),
        "names": system.names,
        "components": components,
        "tasks": {task.name: task.component.state() for task in system.tasks},
        "notes": json.loads(json.dumps(system.notes, default=str)),
    }


def reinstate(simulation: Simulation, content: Mapping[str, Any], folder: Path) -> None:
    """Bring an initialised simulation to the state that `collect` gave.

    Raises:
        GalenicError: the checkpoint is of another system.
    """
    system = simulation.system
    expected, found = set(system.names), set(content["names"])
    if expected != found or list(content["tasks"]) != [task.name for task in system.tasks]:
        other = sorted(expected ^ found)
        raise GalenicError(
            "the checkpoint is of another system" + (f": '{other[0]}' is in one of them only" if other else ""),
            cure="the scenario's FMUs or files have changed since: run it again",
            file=folder / FILE,
        )
    for task in system.tasks:
        task.component.restore(content["tasks"][task.name])
    for component in system.components:
        state = component.deserialize_state(content["components"][component.name])
        try:
            component.restore_state(state)
        finally:
            component.free_state(state)
    system.signals[:] = content["signals"]
    system.notes.clear()
    system.notes.update(content["notes"])


def write(folder: Path, content: Mapping[str, Any]) -> Path:
    """Replace the checkpoint of a run in one step.

    Args:
        folder: the run's folder.
        content: as of `Remembers.state`.
    """
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    tree = _packed({"format": FORMAT, **content}, arrays)
    arrays[_TREE] = np.frombuffer(json.dumps(tree).encode(), dtype=np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]  # the stubs take names for options
    file = folder / FILE
    temporary = file.with_name(FILE + ".tmp")
    temporary.write_bytes(buffer.getvalue())
    publish(temporary, file)
    return file


def read(folder: Path) -> dict[str, Any]:
    """The checkpoint of a run.

    Raises:
        GalenicError: there is none, or it is damaged.
    """
    file = folder / FILE
    if not file.is_file():
        raise GalenicError(
            f"{folder} has no checkpoint to go on from",
            cure="run with --checkpoint-every to have one; 'galenic run' begins anew",
        )
    try:
        with np.load(file, allow_pickle=False) as arrays:
            tree = json.loads(bytes(arrays[_TREE]).decode())
            content = _unpacked(tree, arrays)
    except (OSError, ValueError, KeyError, EOFError, TypeError) as error:
        raise GalenicError(
            f"the checkpoint cannot be read: {error}", cure="run the scenario again", file=file
        ) from error
    except Exception as error:  # zipfile and zlib have errors of their own
        raise GalenicError(f"the checkpoint is damaged: {error}", cure="run the scenario again", file=file) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise GalenicError(f"this is no checkpoint of the format {FORMAT}", cure="run the scenario again", file=file)
    return content


def _packed(value: Any, arrays: dict[str, np.ndarray[Any, Any]]) -> Any:
    if isinstance(value, Mapping):
        return {"d": [[key, _packed(item, arrays)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return [_packed(item, arrays) for item in value]
    if isinstance(value, bytes):
        value, kind = np.frombuffer(value, dtype=np.uint8), "b"
    elif isinstance(value, np.ndarray):
        kind = "a"
    elif isinstance(value, np.generic):
        return value.item()
    else:
        return value
    name = f"x{len(arrays)}"
    arrays[name] = value
    return {kind: name}


def _unpacked(value: Any, arrays: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_unpacked(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "d":
        return {key: _unpacked(item, arrays) for key, item in content}
    array = arrays[content]
    return bytes(array) if kind == "b" else array
