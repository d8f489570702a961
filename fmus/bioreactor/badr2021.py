"""CHO kinetics of Badr et al. 2021: growth on glucose inhibited by lactate, death where glucose is short.

The paper fitted each phase of its cultures by itself; `PARAMETER_SETS` has them all. The fed-batch set is the default.
"""

from __future__ import annotations

from typing import Any

from fmus.bioreactor.kinetics import GIGA, Broth, Effects, Kinetics, Rates, Start, left
from fmus.errors import GalenicError, nearest
from fmus.model import UnitModel

_PAPER = "Badr et al. 2021 (Comput. Chem. Eng. 153, 107422), table 4"
# an inhibition constant far above any concentration: the paper's "negligible"
_NEVER = 1e9
# mmol/L: where uptake fades out; the published rates do not vanish with glucose
_TRACE = 0.1

#: table 4 of the paper. What it calls negligible is 0, an inhibition constant `_NEVER`.
PARAMETER_SETS: dict[str, dict[str, float]] = {
    "fed_batch": {
        "mu_max": 5.17e-2,
        "k_d": 2.32e-2,
        "K_glc": 0.0,
        "KI_lac": 7.10,
        "KD_glc": 1.54,
        "KD_lac": 0.0,
        "Y_X_glc": 1.33e9,
        "m_glc": 82.3e-12,
        "Y_lac": 2.76e-11,
        "Q_p": 8.18e-13,
    },
    "perfusion_1": {"mu_max": 2.48e-2, "Y_X_glc": 2.48e8, "Y_lac": 4.55e-11, "Q_p": 1.66e-12},
    "perfusion_2": {"mu_max": 4.08e-2, "K_glc": 0.972, "Y_X_glc": 4.82e8, "Y_lac": 1.64e-12, "Q_p": 2.10e-12},
    "perfusion_3": {
        "mu_max": 4.86,
        "K_glc": 80.5,
        "KI_lac": 3.83e-2,
        "Y_X_glc": 4.06e8,
        "Y_lac": 1.21e-12,
        "Q_p": 1.40e-12,
    },
    "xu_chen": {"mu_max": 1.54, "K_glc": 483.0, "Y_X_glc": 2.25e9, "Y_lac": 1.33e-12, "Q_p": 1.10e-12},
}
_NEGLIGIBLE = {
    "k_d": 0.0,
    "K_glc": 0.0,
    "KI_lac": _NEVER,
    "KD_glc": 1.54,
    "KD_lac": 0.0,
    "m_glc": 0.0,
}
_DECLARED = {
    "mu_max": ("1/h", "maximal growth rate"),
    "k_d": ("1/h", "maximal death rate"),
    "K_glc": ("mmol/L", "glucose at half the growth rate"),
    "KI_lac": ("mmol/L", "lactate at half the growth rate"),
    "KD_glc": ("mmol/L", "glucose at half the death rate"),
    "KD_lac": ("mmol/L", "lactate at half the death rate"),
    "Y_X_glc": ("1/mmol", "cells per glucose"),
    "m_glc": ("mmol/h", "glucose for maintenance, per cell"),
    "Y_lac": ("mmol/h", "release of lactate, per cell"),
    "Q_p": ("g/h", "release of antibody, per cell"),
}


def parameter_set(name: str) -> dict[str, float]:
    """The start values ``kinetics.*`` of one of the paper's `PARAMETER_SETS`, for `UnitModel.with_starts`.

    Raises:
        GalenicError: there is no set of that name.
    """
    if name not in PARAMETER_SETS:
        raise GalenicError(f"badr2021 has no parameter set '{name}'", cure=nearest(name, sorted(PARAMETER_SETS)))
    return {f"kinetics.{key}": value for key, value in (_NEGLIGIBLE | PARAMETER_SETS[name]).items()}


def _rates(m: UnitModel, broth: Broth, effects: Effects) -> Rates:
    """Declare the parameters and return the specific rates.

    They are::

        mu   = mu_max GLC/(K_glc + GLC) KI_lac/(KI_lac + LAC)
        mu_d = k_d LAC/(KD_lac + LAC) KD_glc/(KD_glc + GLC)
        q_glc = (mu - mu_d)/Y_X_glc + m_glc,   q_lac = Y_lac,   q_mab = Q_p

    Growth, uptake and release of lactate fade out where glucose falls to about 0.1 mmol/L.
    """
    value: dict[str, Any] = {
        key: m.parameter(f"kinetics.{key}", PARAMETER_SETS["fed_batch"][key], unit, text, source=_PAPER, minimum=0.0)
        for key, (unit, text) in _DECLARED.items()
    }
    glucose, lactate = broth.glucose, broth.lactate
    fed = left(glucose, _TRACE)
    saturation = (glucose + 1e-12) / (value["K_glc"] + glucose + 1e-12)
    growth = effects.growth * value["mu_max"] * saturation * value["KI_lac"] / (value["KI_lac"] + lactate) * fed
    stressed = (lactate + 1e-12) / (value["KD_lac"] + lactate + 1e-12)
    death = effects.death * value["k_d"] * stressed * value["KD_glc"] / (value["KD_glc"] + glucose)
    return Rates(
        growth=growth,
        death=death,
        glucose=GIGA * ((growth - death) / value["Y_X_glc"] + value["m_glc"]) * fed,
        glutamine=0.0,
        lactate=GIGA * value["Y_lac"] * fed,
        ammonia=0.0,
        mab=GIGA * value["Q_p"] * effects.productivity,
    )


BADR2021 = Kinetics(
    name="badr2021",
    paper=_PAPER,
    start=Start(50.0, 0.32e6, 0.0, 40.0, 0.0, 0.0, 0.0),
    source="Badr et al. 2021: fed-batch, 50 L, 0.32e6 cells/mL, basal glucose 7.4 g/L (starts at 39-41 mmol/L)",
    rates=_rates,
)
