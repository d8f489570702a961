"""States of a component: taken, restored, turned into bytes and back."""

from __future__ import annotations

import base64
import ctypes
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from cosim.component import FloatArray
from fmus.errors import GalenicError

_FORMAT = "galenic-fmu-state/1"


@dataclass(eq=False)
class State:
    """A state that one instance took; it is of no use to another.

    Args:
        pointer: the FMU's copy of its own state.
        handle: the instance that it belongs to.
        inputs: the inputs that the FMU had.
        stepper: what the driver of the interface needs to go on.
    """

    pointer: ctypes.c_void_p
    handle: int
    inputs: FloatArray
    stepper: dict[str, Any]


def pack(state: State, token: str, interface: str, content: bytes) -> bytes:
    """All of a state as bytes, with what they belong to."""
    head = {
        "format": _FORMAT,
        "token": token,
        "interface": interface,
        "inputs": base64.b64encode(state.inputs.astype("<f8").tobytes()).decode("ascii"),
        "stepper": state.stepper,
    }
    return json.dumps(head).encode("ascii") + b"\n" + content


def unpack(data: bytes, token: str, interface: str, name: str) -> tuple[State, bytes]:
    """What `pack` packed: the state without the FMU's part, and the FMU's part.

    Raises:
        GalenicError: it is of another FMU, or damaged.
    """
    first, _, content = data.partition(b"\n")
    try:
        head = json.loads(first)
        right = head["format"] == _FORMAT
        inputs = np.frombuffer(base64.b64decode(head["inputs"]), "<f8").astype(np.float64)
        state = State(ctypes.c_void_p(None), 0, inputs, dict(head["stepper"]))
    except (ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise GalenicError(f"the saved state of '{name}' is damaged: {error}", cure="start anew") from error
    if not right or head["token"] != token or head["interface"] != interface:
        raise GalenicError(
            f"the saved state of '{name}' is of another FMU or interface", cure="use the FMU that it was saved with"
        )
    return state, content
