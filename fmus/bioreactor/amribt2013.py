"""Overflow kinetics of Amribt, Niu and Bogaerts 2013: glucose, glutamine, lactate, ammonia (hybridoma HB-58).

What is taken up beyond the cells' capacity to respire overflows to lactate, and from glutamine to ammonia. Antibody
is a Luedeking-Piret term that the paper does not have.
"""

from __future__ import annotations

from typing import Any

import casadi as ca

from fmus.bioreactor.kinetics import Broth, Effects, Kinetics, Rates, Start
from fmus.model import UnitModel

_PAPER = "Amribt, Niu and Bogaerts 2013 (Biochem. Eng. J. 70, 196), as in the BPL CHO fed-batch example"
_ADDED = "10 pg/cell/d; form Luedeking-Piret, not in the paper; illustrative, uncalibrated"
# 1 mmol per 1e9 cells is 1 pmol per cell
_DECLARED = {
    "qG_max1": (0.2971, "pmol/h", "maximal uptake of glucose, per cell"),
    "qG_max2": (0.0384, "pmol/h", "glucose that respiration can take, per cell"),
    "mG": (0.0383, "pmol/h", "glucose for maintenance, per cell"),
    "KG": (1.0016, "mmol/L", "glucose at half its uptake"),
    "KGn1": (0.1029, "mmol/L", "glutamine at half the uptake of glucose"),
    "qGn_max1": (0.1238, "pmol/h", "maximal uptake of glutamine, per cell"),
    "qGn_max2": (0.0218, "pmol/h", "glutamine that respiration can take, per cell"),
    "mGn": (0.0025, "pmol/h", "glutamine for maintenance, per cell"),
    "KGn": (0.0314, "mmol/L", "glutamine at half its uptake"),
    "KN": (1.9268, "mmol/L", "ammonia that halves the uptake of glutamine"),
    "a": (0.6722, "1/pmol", "cells per respired glucose"),
    "b": (1.818, "1", "lactate per respired glucose, by moles"),
    "c": (0.3466, "1/pmol", "cells per respired glutamine"),
    "d": (0.4929, "1", "ammonia per respired glutamine, by moles"),
    "mu_d_max": (0.1302, "1/h", "maximal death rate"),
    "KGd": (0.4347, "mmol/L", "glucose at half the death rate"),
    "KGnd": (0.002, "mmol/L", "glutamine at half the death rate"),
}
# mmol/L of maintenance per mmol/L: the paper's min(m, G) compares numbers in these units
_PER_HOUR = 1.0


def _rates(m: UnitModel, broth: Broth, effects: Effects) -> Rates:
    """Declare the parameters and return the specific rates.

    They are, per 1e9 cells::

    qG1  = qG_max1 G/(KG + G) Gn/(KGn1 + Gn),     qG  = min(qG1, qG_max2)
    qGn1 = qGn_max1 Gn/(KGn + Gn) KN/(KN + N),    qGn = min(qGn1, qGn_max2)
    mu   = a qG + c qGn,   mu_d = mu_d_max KGd/(KGd + G) KGnd/(KGnd + Gn)
    q_glc = qG1 + min(mG, G),   q_gln = qGn1 + min(mGn, Gn)
    q_lac = b qG + 2 (qG1 - qG) + 0.5 (qGn1 - qGn),   q_amm = d qGn + (qGn1 - qGn)
    q_mab = alpha mu + beta
    """
    v: dict[str, Any] = {
        key: m.parameter(f"kinetics.{key}", value, unit, text, source=_PAPER, minimum=0.0)
        for key, (value, unit, text) in _DECLARED.items()
    }
    alpha = m.parameter("kinetics.alpha", 0.0, "pg", "antibody with growth, per new cell", source=_ADDED)
    beta = m.parameter("kinetics.beta", 0.4167, "pg/h", "antibody without growth, per cell", source=_ADDED, minimum=0.0)
    glucose, glutamine, ammonia = broth.glucose, broth.glutamine, broth.ammonia
    taken_glc = v["qG_max1"] * glucose / (v["KG"] + glucose) * glutamine / (v["KGn1"] + glutamine)
    taken_gln = v["qGn_max1"] * glutamine / (v["KGn"] + glutamine) * v["KN"] / (v["KN"] + ammonia)
    respired_glc, respired_gln = ca.fmin(taken_glc, v["qG_max2"]), ca.fmin(taken_gln, v["qGn_max2"])
    spilt_glc, spilt_gln = taken_glc - respired_glc, taken_gln - respired_gln
    growth = effects.growth * (v["a"] * respired_glc + v["c"] * respired_gln)
    starving = v["KGd"] / (v["KGd"] + glucose) * v["KGnd"] / (v["KGnd"] + glutamine)
    return Rates(
        growth=growth,
        death=effects.death * v["mu_d_max"] * starving,
        glucose=taken_glc + ca.fmin(v["mG"], _PER_HOUR * glucose),
        glutamine=taken_gln + ca.fmin(v["mGn"], _PER_HOUR * glutamine),
        lactate=v["b"] * respired_glc + 2.0 * spilt_glc + 0.5 * spilt_gln,
        ammonia=v["d"] * respired_gln + spilt_gln,
        mab=1e-3 * ca.fmax(alpha * growth + beta, 0.0) * effects.productivity,
    )


AMRIBT2013 = Kinetics(
    name="amribt2013",
    paper=_PAPER,
    start=Start(0.30, 0.172e6, 0.020e6, 17.83, 3.74, 0.12, 0.24),
    source="Amribt, Niu and Bogaerts 2013, figure 5 (culture 4)",
    rates=_rates,
)
