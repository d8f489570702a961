"""Why a predictive controller's setpoints are what they are: one step of its record, put together for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from controllers.operation.checks import VERDICT_WORDS, Verdict
from controllers.operation.labels import labels_of
from controllers.operation.law import RANKS
from controllers.operation.reasons import MODE_WORDS, REASON_WORDS, RUNG_WORDS, Mode, Rung, StepReason
from galenic.control_record import ControlRecord
from galenic.explanation_sentences import sentence

#: The change of targets is told over this time in s.
SPAN = 600.0


def explain(record: ControlRecord, at: float) -> dict[str, Any] | None:
    """What the last step up to ``at`` (s) measured, believed, expected and did; None where there is none.

    Numbers are in the units of the controller's model.
    """
    step: dict[str, Any] | None = None
    earlier: dict[str, Any] | None = None
    since: dict[tuple[str, ...], float] = {}
    rung_since, events = 0.0, []
    window: list[dict[str, Any]] = []
    for following in record.steps():
        if following["t"] > at + 1e-9:
            break
        binding = {tuple(a[:3]) for a in following.get("active", ()) if _now(a, following)}
        since = {key: since.get(key, following["t"]) for key in binding}
        if step is None or step["rung"] != following["rung"] or step["mode"] != following["mode"]:
            rung_since = following["t"]
        events += [{"t": following["t"], **e} for e in following.get("events", ())]
        del events[:-3]
        step = following
        window.append(following)
        while window[0]["t"] < following["t"] - SPAN and len(window) > 1:
            earlier = window.pop(0)
    if step is None:
        return None
    return _explanation(record.header, step, window[0] if earlier is None else earlier, since, rung_since, events)


def _now(active: list[Any], step: Mapping[str, Any]) -> bool:
    """Whether a constraint binds the first move, or the prediction already in the first instant."""
    return float(active[3]) <= float(step["ahead"][0]) + 1e-9


def _explanation(
    header: Mapping[str, Any],
    step: Mapping[str, Any],
    earlier: Mapping[str, Any],
    since: Mapping[tuple[str, ...], float],
    rung_since: float,
    events: list[dict[str, Any]],
) -> dict[str, Any]:
    inputs, outputs = header["inputs"], header["outputs"]
    labels = dict(zip([s["name"] for s in (*inputs, *outputs)], labels_of([s["name"] for s in (*inputs, *outputs)]),
                      strict=True))  # fmt: skip
    reason, rung, mode = StepReason(step["reason"]), Rung(step["rung"]), Mode(step["mode"])
    missing = step.get("missing")
    explained: dict[str, Any] = {
        "controller": header["controller"],
        "notices": header.get("notices", []),
        "time": step["t"],
        "mode": mode.name.lower(),
        "mode_words": MODE_WORDS[mode],
        "asked_mode": Mode(step["asked"]).name.lower(),
        "rung": int(rung),
        "rung_words": RUNG_WORDS[rung],
        "rung_since": rung_since,
        "reason": reason.name.lower(),
        "reason_words": REASON_WORDS[reason],
        "missing": None if missing is None else header["measurements"][missing]["name"],
        "message": step.get("message", ""),
        "in_force": bool(step["active_control"]),
        "alarm": bool(step["alarm"]),
        "milliseconds": step["ms"],
        "late": bool(step["late"]),
        "mismatch": step["mismatch"],
        "design_space": _design_space(header, step),
        "measurements": _measurements(header, step),
        "outputs": _outputs(header, step, labels),
        "disturbances": [
            {**d, "value": value, "before": before}
            for d, value, before in zip(header["disturbances"], step.get("d", ()), earlier.get("d", ()), strict=False)
        ],
        "inputs": _inputs(header, step, earlier, labels),
        "compared_with": earlier["t"],
        "constraints": _constraints(header, step, since),
        "decisions": step.get("decisions", {}),
        "events": events,
    }
    for u in explained["inputs"]:
        u["sentence"] = sentence(u, explained)
    return explained


def _design_space(header: Mapping[str, Any], step: Mapping[str, Any]) -> dict[str, Any] | None:
    """How far the setpoints are from the edge, and which one is nearest to its own."""
    if header["design_space"] is None or step["margin"] is None:
        return None
    nearest = None
    for u, value in zip(header["inputs"], step["after"], strict=True):
        half = (u["high"] - u["low"]) / 2.0
        side = "high" if value > u["low"] + half else "low"
        room = abs(u[side] - value)
        if nearest is None or room / half < nearest["share"]:
            nearest = {"input": u["name"], "side": side, "room": room, "unit": u["unit"], "share": room / half}
    return {"file": header["design_space"], "margin": step["margin"], "nearest": nearest}


def _measurements(header: Mapping[str, Any], step: Mapping[str, Any]) -> list[dict[str, Any]]:
    result = []
    for i, m in enumerate(header["measurements"]):
        verdict = Verdict(step["verdicts"][i])
        result.append(
            {
                "name": m["name"],
                "output": header["outputs"][m["output"]]["name"],
                "unit": header["outputs"][m["output"]]["unit"],
                "value": step["y"][i],
                "verdict": verdict.name.lower(),
                "verdict_words": VERDICT_WORDS[verdict],
                "surprise": step["e"][i],  # in standard deviations
            }
        )
    return result


def _outputs(header: Mapping[str, Any], step: Mapping[str, Any], labels: Mapping[str, str]) -> list[dict[str, Any]]:
    outputs, references = header["outputs"], iter(step.get("ref", ()))
    count, ahead = len(outputs), step.get("ahead", [])
    values, spread = step.get("plan_y", []), step.get("plan_std", [])
    result = []
    for i, y in enumerate(outputs):
        course = [
            {"ahead": t, "value": values[k * count + i], "std": spread[k * count + i] if spread else None}
            for k, t in enumerate(ahead)
        ]
        low, high = (_number(side) for side in y["limits"])
        leaves = next(
            (
                c["ahead"]
                for c in course
                if (low is not None and c["value"] < low) or (high is not None and c["value"] > high)
            ),
            None,
        )
        result.append(
            {
                "name": y["name"],
                "label": labels[y["name"]],
                "unit": y["unit"],
                "controlled": i in header["controlled"],
                "estimate": step["estimate"][i],
                "std": step["std"][i],
                "reference": next(references, None) if y["tracked"] else None,
                "limits": [low, high],
                "target": _at(step, "target_y", i),
                "prediction": course,
                "leaves_limits_after": leaves,
            }
        )
    return result


def _inputs(
    header: Mapping[str, Any], step: Mapping[str, Any], earlier: Mapping[str, Any], labels: Mapping[str, str]
) -> list[dict[str, Any]]:
    result = []
    for j, u in enumerate(header["inputs"]):
        parts = {labels.get(name, name): values[j] for name, values in step.get("parts", {}).items()}
        result.append(
            {
                "name": u["name"],
                "label": labels[u["name"]],
                "unit": u["unit"],
                "bounds": [u["low"], u["high"]],
                "max_move": u["max_move"],
                "before": step["before"][j],
                "after": step["after"][j],
                "planned": _at(step, "proposed", j),
                "loops": _at(step, "loops", j),
                "target": _at(step, "target_u", j),
                "parts": parts,
                "target_change": _target_change(header, step, earlier, j),
            }
        )
    return result


def _target_change(
    header: Mapping[str, Any], step: Mapping[str, Any], earlier: Mapping[str, Any], j: int
) -> dict[str, Any] | None:
    """What moved an input's resting value since an earlier step; what no linear part explains is the constraints'."""
    now, before = _at(step, "target_u", j), _at(earlier, "target_u", j)
    if now is None or before is None or not header["target_sensitivity"]:
        return None
    tracked = [y["name"] for y in header["outputs"] if y["tracked"]]
    changes = [
        *((f"reference {n}", "ref", i) for i, n in enumerate(tracked)),
        *((f"disturbance {d['name']}", "d", i) for i, d in enumerate(header["disturbances"])),
    ]
    parts: dict[str, float] = {}
    for name, key, i in changes:
        a, b = _at(earlier, key, i), _at(step, key, i)
        if name in header["target_sensitivity"] and a is not None and b is not None:
            parts[name] = header["target_sensitivity"][name][j] * (b - a)
    parts["constraints"] = now - before - sum(parts.values())
    return {"before": before, "after": now, "parts": parts}


def _constraints(
    header: Mapping[str, Any], step: Mapping[str, Any], since: Mapping[tuple[str, ...], float]
) -> list[dict[str, Any]]:
    units = {s["name"]: s["unit"] for s in (*header["inputs"], *header["outputs"])}
    found = []
    for name, kind, side, first, rank, excess in step.get("active", ()):
        found.append(
            {
                "name": name,
                "unit": units.get(name, ""),
                "kind": kind,
                "side": side,
                "ahead": 0.0 if _now([name, kind, side, first], step) else first,
                "since": since.get((name, kind, side)),
                "rank": rank,
                "protects": RANKS[rank],
                "left_by": excess,
            }
        )
    return sorted(found, key=lambda c: (c["ahead"], c["rank"]))


def _at(step: Mapping[str, Any], key: str, index: int) -> float | None:
    values = step.get(key) or ()
    return _number(values[index]) if index < len(values) else None


def _number(value: float | None) -> float | None:
    return None if value is None or abs(value) == float("inf") else float(value)


def summarize(record: ControlRecord) -> dict[str, Any]:
    """A run at a glance: who was in force, where the ladder was left, what was wrong with values, what binds."""
    modes: Counter[str] = Counter()
    rungs: Counter[tuple[int, str]] = Counter()
    binding: Counter[tuple[str, str, str]] = Counter()
    verdicts: dict[str, Counter[str]] = {m["name"]: Counter() for m in record.header["measurements"]}
    spans: list[dict[str, Any]] = []
    events: list[dict[str, Any]] = []
    steps, late, slowest, first, last = 0, 0, 0.0, None, 0.0
    for step in record.steps():
        steps += 1
        first, last = step["t"] if first is None else first, step["t"]
        reason = StepReason(step["reason"]).name.lower()
        modes[Mode(step["mode"]).name.lower()] += 1
        rungs[(step["rung"], reason)] += 1
        late, slowest = late + step["late"], max(slowest, step["ms"])
        binding.update((a[0], a[1], a[2]) for a in step.get("active", ()) if _now(a, step))
        for m, verdict in zip(record.header["measurements"], step["verdicts"], strict=True):
            verdicts[m["name"]][Verdict(verdict).name.lower()] += 1
        if step["rung"] or step["mode"] != Mode.CLOSED:
            mode = Mode(step["mode"]).name.lower()
            same = spans[-1] if spans and spans[-1]["last"] == step["t"] - record.header["period"] else None
            if same is not None and (same["rung"], same["reason"], same["mode"]) == (step["rung"], reason, mode):
                same["last"] = step["t"]
                same["steps"] += 1
            else:
                spans.append({"first": step["t"], "last": step["t"], "steps": 1, "rung": step["rung"],
                              "reason": reason, "mode": mode})  # fmt: skip
        events += [{"t": step["t"], **e} for e in step.get("events", ())]
    return {
        "controller": record.header["controller"],
        "notices": record.header.get("notices", []),
        "steps": steps,
        "first": first,
        "last": last,
        "modes": dict(modes),
        "rungs": [{"rung": r, "reason": reason, "steps": n} for (r, reason), n in sorted(rungs.items())],
        "left_the_plan": spans,
        "late": late,
        "slowest_milliseconds": slowest,
        "measurements": {name: dict(found) for name, found in verdicts.items()},
        "binding": [{"name": n, "kind": k, "side": s, "steps": c} for (n, k, s), c in binding.most_common()],
        "events": events,
    }


def words(reasons: Iterable[str]) -> dict[str, str]:
    """What reasons say."""
    return {reason: REASON_WORDS[StepReason[reason.upper()]] for reason in reasons}
