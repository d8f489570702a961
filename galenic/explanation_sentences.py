"""One sentence for each setpoint of an explanation: where it goes, for the sake of what, and what holds it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from galenic.explanation_view import number

#: A move below this share of the range is no move.
_STILL = 1e-4
#: A part below this share of the largest one is not told.
_SMALL = 0.2
_MOST = 3


def sentence(u: Mapping[str, Any], e: Mapping[str, Any]) -> str:
    """About one input of an explanation."""
    move, width = u["after"] - u["before"], u["bounds"][1] - u["bounds"][0]
    unit = u["unit"]
    if abs(move) <= _STILL * width:
        text = f"{u['name']} stays at {number(u['after'], 5)} {unit}"
    else:
        text = f"{u['name']} goes {'up' if move > 0 else 'down'} by {abs(move):.3g} to {number(u['after'], 5)} {unit}"
    if not e["in_force"]:
        planned = u["planned"]
        plan = "" if planned is None else f"; the plan would have {number(planned, 5)} {unit}"
        return f"{text}: {_without(e, u)}{plan}."
    if e["rung"] >= 3:
        return f"{text}: {e['rung_words']}, for {e['reason_words']}."
    why = _parts(u, e, move) if u["parts"] else _deviations(e)
    return f"{text}: {why}. {_held(u, e)}."


def _without(e: Mapping[str, Any], u: Mapping[str, Any]) -> str:
    who = "the loop below sets it" if u["loops"] is not None else "nobody moves it"
    mode = {"closed": "", "off": ", for the controller is off"}.get(e["mode"], f", in {e['mode']} mode")
    reason = f" ({e['reason_words']})" if e["reason"] != "solved" else ""
    return f"{who}{mode}{reason}"


def _parts(u: Mapping[str, Any], e: Mapping[str, Any], move: float) -> str:
    parts = sorted(u["parts"].items(), key=lambda item: -abs(item[1]))
    largest = abs(parts[0][1]) if parts else 0.0
    if largest <= _STILL * (u["bounds"][1] - u["bounds"][0]):
        return "nothing asks for more"
    told = [(name, value) for name, value in parts if abs(value) >= _SMALL * largest][:_MOST]
    forward = [f"{_cause(n, u, e)} {v:+.3g}" for n, v in told if v * move > 0.0 or abs(move) == 0.0]
    back = [f"{_cause(n, u, e)} {v:+.3g}" for n, v in told if v * move < 0.0]
    text = f"for {' and '.join(forward)}" if forward else "what is small in each adds up"
    return f"{text}; against that {' and '.join(back)}" if back else text


def _cause(name: str, u: Mapping[str, Any], e: Mapping[str, Any]) -> str:
    if name == "resting inputs":
        return (
            "the inputs' resting values"
            if u["target"] is None
            else f"resting values (its own is {number(u['target'], 5)})"
        )
    if name == "constraints":
        return "constraints"
    for y in e["outputs"]:
        if y["label"] == name:
            return f"{name} ({_deviation(y)})"
    return name


def _deviation(y: Mapping[str, Any]) -> str:
    off = y["estimate"] - y["reference"] if y["reference"] is not None and y["estimate"] is not None else None
    if off is None:
        return "within its limits"
    side = "below" if off < 0.0 else "above"
    return f"believed {abs(off):.2g} {y['unit']} {side} its reference of {y['reference']:g}"


def _deviations(e: Mapping[str, Any]) -> str:
    """For a law that does not tell the parts of a move: what is furthest from its reference, in its uncertainty."""
    off = [y for y in e["outputs"] if y["reference"] is not None and y["estimate"] is not None]
    if not off:
        return "for the economic terms of its plan"
    off.sort(key=lambda y: -abs(y["estimate"] - y["reference"]) / max(y["std"] or 0.0, 1e-12))
    return " and ".join(f"{y['label']} is {_deviation(y)}" for y in off[:2])


def _held(u: Mapping[str, Any], e: Mapping[str, Any]) -> str:
    own = [c for c in e["constraints"] if c["name"] == u["name"] and c["ahead"] == 0.0]
    for c in own:
        way = "down" if c["side"] == "low" else "up"
        if c["kind"] == "move":
            return f"Its move limit of {u['max_move']:.3g} {u['unit']} a period holds it from going further {way}"
        return f"It is at its {'lower' if c['side'] == 'low' else 'upper'} bound of {number(u['after'], 5)} {u['unit']}"
    shared = [c for c in e["constraints"] if c["kind"] in ("limit", "design space")]
    if shared:
        c = shared[0]
        if c["kind"] == "design space":
            return "Further on the plan runs along the edge of the design space"
        return f"The plan runs into the {'lower' if c['side'] == 'low' else 'upper'} limit of {c['name']}"
    return "No constraint holds it"
