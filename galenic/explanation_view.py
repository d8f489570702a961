"""What `galenic explain` prints."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich.box import SIMPLE
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from controllers.operation.checks import VERDICT_WORDS, Verdict
from controllers.operation.reasons import REASON_WORDS, RUNG_WORDS, Rung, StepReason
from galenic.progress import clock_text

#: A part below this share of the largest one is not worth a line.
_SMALL = 0.02


def explanation(e: Mapping[str, Any]) -> Iterator[RenderableType]:
    """One step."""
    yield Text(f"{e['controller']} at {clock_text(e['time'])} (t = {e['time']:g} s)", "bold")
    yield Text(_state(e))
    yield from (Text(f"Note: {notice}.", "yellow") for notice in e["notices"])
    if e["alarm"]:
        yield Text("ALARM: a person has to look.", "bold red")
    if space := e["design_space"]:
        near = space["nearest"]
        edge = "upper" if near["side"] == "high" else "lower"
        yield Text(
            f"Design space: margin {space['margin']:.2f} (1: the middle, 0: the edge). Nearest: {near['input']}, "
            f"{number(near['room'])} {near['unit']} from its {edge} bound."
        )
    if e["mismatch"] is not None:
        yield Text(f"Prediction errors lately: {e['mismatch']:.2g} of what the model expects of itself (1 is right).")
    yield _outputs_table(e)
    yield from _measurement_lines(e)
    if e["disturbances"]:
        yield _disturbance_table(e)
    yield _inputs_table(e)
    for u in e["inputs"]:
        yield Text(u["sentence"])
    yield Text()
    yield from _part_lines(e)
    yield from _constraint_lines(e)
    for event in e["events"]:
        yield Text(f"Advice {event['number']} {event['what']} at {clock_text(event['t'])}.")


def _state(e: Mapping[str, Any]) -> str:
    asked = f" ({e['asked_mode']} is asked for)" if e["asked_mode"] != e["mode"] else ""
    missing = f": {e['missing']}" if e["missing"] else ""
    text = (
        f"Mode: {e['mode_words']}{asked}.\n"
        f"Answer: rung {e['rung']}, {e['rung_words']}; {e['reason_words']}{missing}. "
        f"It has been so since {clock_text(e['rung_since'])}; the step took {e['milliseconds']:.3g} ms"
        f"{', which is past the deadline' if e['late'] else ''}."
    )
    return f"{text}\nThe law says: {e['message']}" if e["message"] else text


def _table(title: str, columns: Iterable[str]) -> Table:
    table = Table(title=Text(title), title_justify="left", title_style="bold", box=SIMPLE, padding=(0, 1, 0, 0))
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", overflow="fold")
    return table


def _outputs_table(e: Mapping[str, Any]) -> Table:
    shown = e["outputs"]
    ahead = [c["ahead"] for c in shown[0]["prediction"]] if shown else []
    picked = [k for k in (len(ahead) // 2, len(ahead) - 1) if ahead]
    picked = sorted(set(picked))
    heads = [f"in {_span(ahead[k])}" for k in picked]
    table = _table("Believed, and where it is heading", ["output", "unit", "now", "reference", "limits", *heads])
    for y in shown:
        cells = [_with_std(y["prediction"][k]["value"], y["prediction"][k]["std"]) for k in picked]
        if y["leaves_limits_after"] is not None:
            cells[-1] += " outside"
        table.add_row(
            Text(y["name"]), Text(y["unit"]), _with_std(y["estimate"], y["std"]), number(y["reference"]),
            _limits(y["limits"]), *cells,
        )  # fmt: skip
    return table


def _measurement_lines(e: Mapping[str, Any]) -> Iterator[Text]:
    new = [m for m in e["measurements"] if m["verdict"] != "not_fresh"]
    used = [m for m in new if m["verdict"] in ("used", "reopened")]
    if used:
        told = [
            f"{m['name']} {number(m['value'])} {m['unit']} ({m['surprise']:+.1f} sigma)"
            if m["surprise"] is not None
            else f"{m['name']} {number(m['value'])} {m['unit']}"
            for m in used
        ]
        yield Text("New values: " + ", ".join(told) + ".")
    for m in new:
        if m not in used:
            yield Text(f"Not used: {m['name']} {number(m['value'])} {m['unit']}: {m['verdict_words']}.", "yellow")
    silent = [m["name"] for m in e["measurements"] if m["verdict"] == "not_fresh"]
    if silent:
        yield Text(f"No new value was due of {', '.join(silent)}.")


def _disturbance_table(e: Mapping[str, Any]) -> Table:
    then = clock_text(e["compared_with"])
    table = _table("Disturbances as estimated (what the model does not explain)", ["on", "unit", "now", f"at {then}"])
    for d in e["disturbances"]:
        table.add_row(Text(d["name"]), Text(d["unit"]), number(d["value"], 3), number(d["before"], 3))
    return table


def _inputs_table(e: Mapping[str, Any]) -> Table:
    table = _table("Setpoints", ["input", "unit", "before", "after", "plan", "rests at", "loops below", "bounds"])
    for u in e["inputs"]:
        style = "" if u["before"] == u["after"] else "bold"
        table.add_row(
            Text(u["name"]), Text(u["unit"]), number(u["before"], 5), Text(number(u["after"], 5), style),
            number(u["planned"], 5), number(u["target"], 5), number(u["loops"], 5), _limits(u["bounds"]),
        )  # fmt: skip
    return table


def _part_lines(e: Mapping[str, Any]) -> Iterator[RenderableType]:
    lines: list[Text] = []
    for u in e["inputs"]:
        change = u["target_change"]
        if change and abs(change["after"] - change["before"]) > 1e-3 * (u["bounds"][1] - u["bounds"][0]):
            total = change["after"] - change["before"]
            lines.append(Text(f"  {u['label']} {total:+.3g} {u['unit']}: {_parts(change['parts'])}"))
    if lines:
        yield Text(f"What has moved the resting values since {clock_text(e['compared_with'])}", "bold")
        yield from lines
        yield Text()


def _parts(parts: Mapping[str, float]) -> str:
    largest = max(map(abs, parts.values()), default=0.0)
    told = sorted(parts.items(), key=lambda item: -abs(item[1]))
    return ", ".join(f"{name} {value:+.3g}" for name, value in told if abs(value) > _SMALL * largest) or "nothing"


def _constraint_lines(e: Mapping[str, Any]) -> Iterator[Text]:
    if not e["constraints"]:
        yield Text("No constraint binds.")
        return
    yield Text("Constraints that bind", "bold")
    for c in e["constraints"]:
        side = {"low": "lower", "high": "upper"}[c["side"]]
        what = {
            "bound": f"{side} bound",
            "move": f"move limit {'down' if c['side'] == 'low' else 'up'}",
            "limit": f"{side} limit",
            "design space": "edge of the design space",
        }[c["kind"]]
        when = "now" if c["ahead"] == 0.0 else f"in {_span(c['ahead'])}"
        since = f", since {clock_text(c['since'])}" if c["since"] is not None else ""
        left = f"; left by {number(c['left_by'])} {c['unit']}" if c["left_by"] > 0.0 else ""
        yield Text(f"  {c['name']}: {what}, {when}{since} (protects {c['protects']}){left}")


def summary(s: Mapping[str, Any]) -> Iterator[RenderableType]:
    """A run at a glance."""
    yield Text(f"{s['controller']}: {s['steps']} steps from {clock_text(s['first'] or 0.0)} to {clock_text(s['last'])}",
               "bold")  # fmt: skip
    yield Text("Modes: " + ", ".join(f"{name} {count}" for name, count in s["modes"].items()))
    yield Text(f"Slowest step: {s['slowest_milliseconds']:.3g} ms. Past the deadline: {s['late']}.")
    yield from (Text(f"Note: {notice}.", "yellow") for notice in s["notices"])
    table = _table("Where the answers came from", ["rung", "steps", "reason"])
    table.columns[2].justify = "left"
    for row in s["rungs"]:
        rung = Rung(row["rung"])
        words = REASON_WORDS[StepReason[row["reason"].upper()]]
        table.add_row(Text(f"{int(rung)}  {RUNG_WORDS[rung]}"), str(row["steps"]), Text(words))
    yield table
    if s["left_the_plan"]:
        table = _table("When it was not closed on a plan of its own", ["from", "to", "steps", "mode", "rung", "reason"])
        for column in table.columns[3:]:
            column.justify = "left"
        for row in s["left_the_plan"][:_MOST]:
            words = REASON_WORDS[StepReason[row["reason"].upper()]]
            table.add_row(
                clock_text(row["first"]), clock_text(row["last"]), str(row["steps"]), row["mode"], str(row["rung"]),
                Text(words),
            )  # fmt: skip
        yield table
        if len(s["left_the_plan"]) > _MOST:
            yield Text(f"... and {len(s['left_the_plan']) - _MOST} more; --json has them all.")
    yield from _verdict_lines(s)
    if s["binding"]:
        yield Text("What bound the first move most often", "bold")
        for c in s["binding"][:8]:
            steps = f"{c['steps']} step" + ("s" if c["steps"] > 1 else "")
            yield Text(f"  {c['name']}: {c['kind']}, {c['side']} side, {steps}")
    for event in s["events"][:_MOST]:
        yield Text(f"{clock_text(event['t'])}  advice {event['number']} {event['what']}")


def _verdict_lines(s: Mapping[str, Any]) -> Iterator[Text]:
    for name, found in s["measurements"].items():
        bad = {v: n for v, n in found.items() if v not in ("used", "not_fresh")}
        if bad:
            told = ", ".join(f"{n} times {VERDICT_WORDS[Verdict[v.upper()]].partition(':')[0]}" for v, n in bad.items())
            yield Text(f"{name}: {told}; {found.get('used', 0)} values used.")


_MOST = 20


def number(value: float | None, digits: int = 4) -> str:
    """A number as people read it; ``-`` where there is none."""
    if value is None or not math.isfinite(value):
        return "-"
    if value != 0.0 and digits <= math.log10(abs(value)) < 7:
        return f"{value:.0f}"
    return f"{value:.{digits}g}"


def _with_std(value: float | None, std: float | None) -> str:
    if std is None or value is None:
        return number(value)
    if std <= 0.0:
        return number(value)
    places = min(6, max(0, 1 - math.floor(math.log10(std))))
    return f"{value:.{places}f} +- {std:.{places}f}"


def _limits(limits: list[float | None]) -> str:
    low, high = limits
    if low is None and high is None:
        return "-"
    return f"{number(low)} .. {number(high)}"


def _span(seconds: float) -> str:
    if seconds < 60.0:
        return f"{seconds:g} s"
    return f"{seconds / 60.0:.3g} min" if seconds < 2 * 3600.0 else f"{seconds / 3600.0:.3g} h"
