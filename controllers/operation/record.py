"""The record of each step: JSON Lines in the run's folder, appended and flushed as it goes."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from controllers.operation.border import Border
from controllers.operation.law import ControlLaw
from cosim.component import FloatArray

if TYPE_CHECKING:
    from controllers.operation.shell import Shell, Step

SCHEMA = "galenic-control/1"
#: What is no number in a format, not in a name: names stand in quotes.
_NO_NUMBER = re.compile(r"(?<=[:,\[])(?:nan|-?inf)(?=[,\]}])")
_AS_JSON = {"nan": "null", "inf": "1e999", "-inf": "-1e999"}
#: So many instants of the prediction are kept.
_SHOWN = 6


def record_file(folder: Path, controller: str, kind: str = "steps") -> Path:
    """Where a controller's steps, answers or open recommendation are, in the run's folder of records."""
    suffix = {"steps": ".jsonl", "answers": ".answers.jsonl", "advice": ".advice.json"}[kind]
    return folder / f"{controller}{suffix}"


class Recorder:
    """Appends one line for each step; what was written survives the process.

    The first line is the header: names, units, bounds, limits. Numbers of a step are written by a format that is made
    once, with six digits, and are null where there is none. In advisory mode the open recommendation also stands in a
    small file of its own, which `galenic advise` reads.

    Args:
        file: to append to.
        controller: its name.
        law: for the header.
        border: for the header.
        size: go on behind so many bytes, as a checkpoint knew it; None: begin anew.
    """

    def __init__(
        self, file: Path, controller: str, law: ControlLaw, border: Border, *, size: int | None = None
    ) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self.advice_file = record_file(file.parent, controller, "advice")
        self._names = [u.name for u in law.inputs]
        self._formats: dict[tuple[int, ...], str] = {}
        kept = size is not None and file.exists() and file.stat().st_size >= size
        self._stream = file.open("r+b" if kept else "wb", buffering=0)
        if kept and size is not None:
            self._stream.seek(size)
            self._stream.truncate()
            self.size = size
        else:
            self.advice_file.unlink(missing_ok=True)
            self.size = 0
            self._append(json.dumps(_header(controller, law, border), ensure_ascii=False))

    def write(self, step: Step, shell: Shell, margin: float, spent: float) -> None:
        """Append a step that took ``spent`` s."""
        law, plan = shell.law, step.plan
        usable = plan is not None and plan.usable
        nothing = np.empty(0)
        blocks: dict[str, FloatArray] = {
            "y": shell.checks.raw,
            "e": law.innovations,
            "estimate": law.estimate,
            "std": law.estimate_std,
            "d": law.disturbance_estimate,
            "ref": step.references,
            "before": step.previous,
            "after": step.inputs,
            "loops": step.loops,
            "proposed": nothing if step.proposed is None else step.proposed,
            "target_u": nothing if plan is None else plan.target_inputs,
            "target_y": nothing if plan is None else plan.target_outputs,
        }
        if plan is not None and usable:
            shown = _instants(len(plan.ends))
            blocks |= {
                "ahead": plan.ends[shown],
                "plan_u": plan.inputs[shown].ravel(),
                "plan_y": plan.outputs[shown].ravel(),
                "plan_std": law.spread(plan, shown).ravel(),
            }
            blocks |= {f"part {name}": values for name, values in plan.parts.items()}
        text = self._format(step, shell, blocks) % (
                step.time, step.mode, step.asked, step.rung, step.reason, step.active, step.alarm, step.late,
                1e3 * spent, shell.monitor.size, margin, *np.concatenate(list(blocks.values())).tolist(),
        )  # fmt: skip
        if "nan" in text or "inf" in text:
            text = _NO_NUMBER.sub(lambda found: _AS_JSON[found[0]], text)
        rest: dict[str, Any] = {"verdicts": [int(v) for v in shell.verdicts]}
        if plan is not None and usable and plan.active:
            rest["active"] = [
                [a.name, a.kind, a.side, round(float(plan.ends[a.first]), 3), a.rank, _rounded(a.excess)]
                for a in plan.active
            ]
        if plan is not None and plan.decisions:
            rest["decisions"] = dict(plan.decisions)
        for key, value in (("missing", step.missing), ("message", step.message), ("events", list(step.events))):
            if value or value == 0:
                rest[key] = value
        self._append(f"{text},{json.dumps(rest, ensure_ascii=False)[1:]}")
        if step.events:
            self._publish(step, shell)

    def close(self) -> None:
        """No step follows."""
        self._stream.close()

    def _append(self, line: str) -> None:
        data = (line + "\n").encode()
        self._stream.write(data)
        self.size += len(data)

    def _format(self, step: Step, shell: Shell, blocks: Mapping[str, FloatArray]) -> str:  # noqa: ARG002
        """The numbers of a step as a format; there are few different ones in a run."""
        key = tuple(map(len, blocks.values()))
        if key not in self._formats:
            text = (
                '{"t":%.12g,"mode":%d,"asked":%d,"rung":%d,"reason":%d,"active_control":%d,"alarm":%d,"late":%d,'
                '"ms":%.4g,"mismatch":%.4g,"margin":%.4g'
            )
            parts = []
            for name, values in blocks.items():
                numbers = "[" + ",".join(["%.6g"] * len(values)) + "]"
                if name.startswith("part "):
                    parts.append(f"{json.dumps(name[5:], ensure_ascii=False)}:{numbers}".replace("%", "%%"))
                    parts[-1] = parts[-1].replace("%%.6g", "%.6g")
                elif len(values):
                    text += f',"{name}":{numbers}'
            if parts:
                text += ',"parts":{' + ",".join(parts) + "}"
            if len(self._formats) > 64:  # a horizon that shrinks has few shapes; names do not change
                self._formats.clear()
            self._formats[key] = text
        return self._formats[key]

    def _publish(self, step: Step, shell: Shell) -> None:
        """Show the open recommendation to `galenic advise`; on Windows not while somebody reads the one before."""
        r = shell.advisor.open
        content: dict[str, Any] = {"time": step.time, "answers": shell.rules.advisory.answers, "open": None}
        if r is not None:
            content["open"] = {
                "number": r.number,
                "time": r.time,
                "expires": r.expires,
                "inputs": [
                    {"name": u.name, "unit": u.unit, "from": float(a), "to": float(b)}
                    for u, a, b in zip(shell.law.inputs, r.before, r.inputs, strict=True)
                ],
            }
        content["accepted"] = None if shell.advisor.accepted is None else shell.advisor.accepted.tolist()
        temporary = self.advice_file.with_suffix(".tmp")
        try:
            temporary.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
            temporary.replace(self.advice_file)
        except OSError:
            return


@lru_cache(maxsize=256)
def _instants(count: int) -> npt.NDArray[np.intp]:
    """A few stages of a plan: the first, the last, and some between, dense at the start."""
    if count <= _SHOWN:
        return np.arange(count)
    return np.unique(np.round(np.geomspace(1.0, count, _SHOWN)).astype(np.intp)) - 1


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _header(controller: str, law: ControlLaw, border: Border) -> dict[str, Any]:
    sensitivity = getattr(law, "target_sensitivity", None)
    return {
        "record": SCHEMA,
        "controller": controller,
        "law": type(law).__name__,
        "notices": list(getattr(law, "notices", ())),
        "period": border.period,
        "inputs": [
            {"name": u.name, "unit": u.unit, "low": u.low, "high": u.high, "max_move": _finite(u.max_move)}
            for u in law.inputs
        ],
        "outputs": [
            {
                "name": y.name,
                "unit": y.unit,
                "limits": [_finite(side) for side in y.limits],
                "tracked": y.tracked,
                "rank": y.rank,
            }
            for y in law.outputs
        ],
        "controlled": border.controlled,
        "measurements": [
            {"name": c.name, "output": c.output, "noise": c.noise, "needed": c.needed} for c in border.measured
        ],
        "disturbances": [{"name": d.name, "unit": d.unit} for d in law.disturbances],
        "supervises": list(border.supervises),
        "design_space": None if border.space is None or border.space.file is None else border.space.file.name,
        "target_sensitivity": {} if sensitivity is None else {k: v.tolist() for k, v in sensitivity().items()},
    }
