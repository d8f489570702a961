"""The codes of operation: modes, rungs of the ladder, why a step is as it is; each with its words for people."""

from __future__ import annotations

import enum


class Mode(enum.IntEnum):
    """Who decides; the number is that of the port ``mode``."""

    OFF = 0
    SHADOW = 1
    ADVISORY = 2
    CLOSED = 3


class Rung(enum.IntEnum):
    """Where on the fallback ladder an answer comes from."""

    SOLVED = 0
    OUT_OF_TIME = 1
    RELAXED = 2
    SHIFTED = 3
    BACKUP = 4
    HOLD = 5
    SAFE = 6


class StepReason(enum.IntEnum):
    """Why a step is on its rung."""

    SOLVED = 0
    WAITING = 1
    MEASUREMENT_MISSING = 2
    TARGET_FAILED = 3
    SOLVER_FAILED = 4
    NOT_FINITE = 5
    OUT_OF_TIME = 6
    LATE = 7
    RELAXED_ECONOMICS = 8
    RELAXED_QUALITY = 9
    MISMATCH = 10
    CORRECTED = 11
    REFERENCE_HELD = 12
    SWITCHED_OFF = 13
    LAW_RAISED = 14
    ESTIMATE_LOST = 15
    SAFE_STATE = 16


MODE_WORDS = {
    Mode.OFF: "off: the loops below are in force, nothing is computed",
    Mode.SHADOW: "shadow: it computes and records; the loops below are in force",
    Mode.ADVISORY: "advisory: a person accepts what it recommends",
    Mode.CLOSED: "closed: its setpoints are in force",
}
RUNG_WORDS = {
    Rung.SOLVED: "the plan of this step",
    Rung.OUT_OF_TIME: "the plan as it was when its time was up, checked by roll-out",
    Rung.RELAXED: "a plan without some of the soft limits",
    Rung.SHIFTED: "what the last plan had for this time, checked by roll-out",
    Rung.BACKUP: "the loops below, or the linear backup",
    Rung.HOLD: "the setpoints stay as they are",
    Rung.SAFE: "towards the safe setpoints, with an alarm",
}
REASON_WORDS = {
    StepReason.SOLVED: "solved",
    StepReason.WAITING: "the estimate settles, until start_after and enable",
    StepReason.MEASUREMENT_MISSING: "a measurement that is needed is missing, or useless, for too long",
    StepReason.TARGET_FAILED: "no steady state was found for the references",
    StepReason.SOLVER_FAILED: "the solver found no plan",
    StepReason.NOT_FINITE: "a reference or the estimate is no number",
    StepReason.OUT_OF_TIME: "the solver's time was up before it converged",
    StepReason.LATE: "the plan converged, but after the deadline",
    StepReason.RELAXED_ECONOMICS: "solved after the soft limits that stand for economics were left out",
    StepReason.RELAXED_QUALITY: "solved after the soft limits of quality were left out too",
    StepReason.MISMATCH: "plant and model differ by more than the model's own uncertainty",
    StepReason.CORRECTED: "solved; the first move was brought back inside bounds and move limits",
    StepReason.REFERENCE_HELD: "solved with the last reference that made sense",
    StepReason.SWITCHED_OFF: "switched off",
    StepReason.LAW_RAISED: "the control law failed with an error of its own",
    StepReason.ESTIMATE_LOST: "the estimate was no number any more and begins anew",
    StepReason.SAFE_STATE: "the rungs above are used up, or the safe state has not been left by a person",
}
