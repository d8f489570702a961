"""CHO kinetics with the parameters of Kornecki and Strube 2018, in the Monod form of Xing et al. 2010.

Glucose, glutamine, lactate and ammonia; lactate is never consumed. A plant that differs in structure from `badr2021`.
"""

from __future__ import annotations

from typing import Any

from fmus.bioreactor.kinetics import GIGA, Broth, Effects, Kinetics, Rates, Start, left
from fmus.model import UnitModel

_PAPER = "Kornecki and Strube 2018 (Bioengineering 5, 25), table 2"
# mmol/L: where rates fade out that the published equations leave constant
_TRACE = 0.1
_TRACE_AMMONIA = 0.02

_DECLARED = {
    "mu_max": (0.039, "1/h", "maximal growth rate"),
    "k_d": (0.004, "1/h", "maximal death rate"),
    "K_glc": (1.00, "mmol/L", "glucose at half the growth rate"),
    "K_gln": (0.047, "mmol/L", "glutamine at half the growth rate"),
    "KI_lac": (43.0, "mmol/L", "lactate at half the growth rate"),
    "KI_amm": (6.51, "mmol/L", "ammonia at half the growth rate"),
    "KD_lac": (45.8, "mmol/L", "lactate at half the death rate"),
    "KD_amm": (6.51, "mmol/L", "ammonia at half the death rate"),
    "Y_X_glc": (0.357e9, "1/mmol", "cells per glucose"),
    "Y_X_gln": (0.974e9, "1/mmol", "cells per glutamine"),
    "Y_lac_glc": (0.70, "1", "lactate per glucose, by moles"),
    "Y_amm_gln": (0.67, "1", "ammonia per glutamine, by moles"),
    "r_amm": (6.3e-12, "mmol/h", "uptake of ammonia, per cell"),
    "m_glc": (69.2e-12, "mmol/h", "glucose for maintenance, per cell"),
    "a1": (3.2e-12, "mmol/h", "maximal glutamine for maintenance, per cell"),
    "a2": (2.1, "mmol/L", "glutamine at half its maintenance"),
    "Q_mab": (1.51e-12, "g/h", "release of antibody, per cell"),
}


def _rates(m: UnitModel, broth: Broth, effects: Effects) -> Rates:
    """Declare the parameters and return the specific rates.

    They are::

        mu    = mu_max GLC/(K_glc + GLC) GLN/(K_gln + GLN) KI_lac/(KI_lac + LAC) KI_amm/(KI_amm + AMM)
        mu_d  = k_d LAC/(KD_lac + LAC) AMM/(KD_amm + AMM)
        q_glc = (mu - mu_d)/Y_X_glc + m_glc,   q_gln = (mu - mu_d)/Y_X_gln + a1 GLN/(a2 + GLN)
        q_lac = Y_lac_glc q_glc,   q_amm = Y_amm_gln (mu - mu_d)/Y_X_gln - r_amm,   q_mab = Q_mab

    The uptake of glucose fades out where little is left, about 0.1 mmol/L, that of ammonia at 0.02 mmol/L.
    """
    v: dict[str, Any] = {
        key: m.parameter(f"kinetics.{key}", value, unit, text, source=_PAPER, minimum=0.0)
        for key, (value, unit, text) in _DECLARED.items()
    }
    glucose, glutamine, lactate, ammonia = broth.glucose, broth.glutamine, broth.lactate, broth.ammonia
    substrates = glucose / (v["K_glc"] + glucose) * glutamine / (v["K_gln"] + glutamine)
    inhibition = v["KI_lac"] / (v["KI_lac"] + lactate) * v["KI_amm"] / (v["KI_amm"] + ammonia)
    growth = effects.growth * v["mu_max"] * substrates * inhibition
    death = effects.death * v["k_d"] * lactate / (v["KD_lac"] + lactate) * ammonia / (v["KD_amm"] + ammonia)
    net = growth - death
    uptake = GIGA * (net / v["Y_X_glc"] + v["m_glc"]) * left(glucose, _TRACE)
    released = v["Y_amm_gln"] * net / v["Y_X_gln"]
    return Rates(
        growth=growth,
        death=death,
        glucose=uptake,
        glutamine=GIGA * (net / v["Y_X_gln"] + v["a1"] * glutamine / (v["a2"] + glutamine)),
        lactate=v["Y_lac_glc"] * uptake,
        ammonia=GIGA * (released - v["r_amm"] * left(ammonia, _TRACE_AMMONIA)),
        mab=GIGA * v["Q_mab"] * effects.productivity,
    )


KORNECKI2018 = Kinetics(
    name="kornecki2018",
    paper=_PAPER + "; structure recalled from Xing et al. 2010",
    start=Start(2.0, 0.3e6, 0.0, 35.0, 6.0, 0.0, 0.0),
    source="illustrative, uncalibrated",
    rates=_rates,
)
