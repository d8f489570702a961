"""Twin-screw wet granulator: wetted nuclei and dry powder, population balance in a chain of cells.

Two populations give the two modes that granules of such machines have: nuclei, which the liquid forms and which
aggregate and break, and powder that stays dry. Solids, liquid and API are followed for each size class of the nuclei.
"""

from __future__ import annotations

from typing import Any

import casadi as ca

from fmus.blocks import block
from fmus.granules import GranuleFlow, temperature
from fmus.model import UnitModel
from fmus.physics import population_balance as pb
from fmus.physics.granulation import CELLS, GRID, NUCLEI, Granulator, declare, declare_outputs, moved

#: contents of a cell by size class, then those of the whole cell: unit, description, nominal
_BY_CLASS = {
    "solids": ("kg", "dry solids of the nuclei by size class", 1e-3),
    "water": ("kg", "water by size class", 2e-4),
    "api": ("kg", "API of the nuclei by size class", 1e-4),
}
_WHOLE = {
    "powder": ("kg", "dry powder", 1e-3),
    "powder_api": ("kg", "API in the dry powder", 1e-4),
    "pores": ("m^3", "pores in the granules", 1e-6),
    "heat": ("J", "enthalpy above 0 degC", 500.0),
}


def twin_screw_granulator() -> UnitModel:
    """Build the granulator.

    Of the powder m_s that meets the liquid m_l, the share phi becomes nuclei of log-normal size and carries all the
    liquid; the rest stays powder, is carried along and does not take part::

        phi = 1 - exp(-(m_l/m_s)/c_w)

    The barrel is a chain of four equal cells. In each, with M_k the dry solids of the nuclei of class k, their number
    N_k = M_k/(rho_t pi d_k^3/6), D the dry solids and W the water of the cell::

        dM/dt   = r_in M_in - r M + A(M) M
        A_kl    = sum_j w_kjl beta_jl N_j/D - [k = l] sum_j beta_kj N_j/D + (b_kl - [k = l]) S_l
        beta_jl = beta_0 exp(g (W/D - 0.2)) (d_j + d_l)/2
        S_l     = S_0 (n/n_ref)^m (d_l/1mm)^1.5

    w_kjl is the share by mass of what a granule of class j and one of class l give that arrives in class k (fixed
    pivot: number and mass are both kept), b_kl the share of a broken granule of class l that arrives in class k, from
    the cumulative mass (x/y)^q of the fragments. Liquid and API of the classes obey the same equation with the same A:
    they go where the solids go. What would outgrow the largest class stays in it.

    A cell hands on r = (4/K)^(1/(1-b)) H^(b/(1-b)) of its wet hold-up H each second, K = t (n_ref/n)^a w_ref^b, so that
    at rest the residence time is t (n_ref/n)^a (w_ref/w)^b. Pores of the granules shrink at a rate k_c n/n_ref towards
    their least volume; heat comes in from barrel and screws. Torque follows fill and moisture::

        T = k_T fill (1 + k_L W/D) (n/n_ref)^-0.3
        PFN = m_s/(rho_b n D^3)
    """
    m = UnitModel(
        "twin_screw_granulator",
        "Twin-screw wet granulator: population balance of nuclei, dry powder",
        integrator="erk",
        relative_tolerance=1e-6,
        absolute_tolerance=1e-8,
        documentation=__doc__ or "",
    )
    g = declare(m)
    entering = arriving(g, GRID)
    seconds = g.steady_cell() / ca.fmax(g["powder"] + g["liquid"], 1e-9)
    columns = []
    for cell in range(1, CELLS + 1):
        for name, (unit, text, nominal) in (_BY_CLASS | _WHOLE).items():
            start = seconds * entering[name]
            columns.append(
                m.state(
                    f"cell_{cell}.{name}",
                    ca.vertsplit(start) if name in _BY_CLASS else start,
                    unit,
                    f"{text}, cell {cell}",
                    minimum=0.0,
                    nominal=nominal,
                )
            )
    contents = ca.vertcat(*columns)

    def barrel(contents: Any, entering: Any, values: Any) -> list[Any]:
        return chain(g.within(values), GRID, contents, entering)

    rates, leaving, held, torque, fill = block("barrel", barrel, contents, ca.vertcat(*entering.values()), g.column)
    m.derivative(contents, rates)
    last, whole = split(leaving, GRID), split(held, GRID)
    envelope = last["pores"] + ca.sum1(last["solids"]) / g["true_density"]
    porosity = last["pores"] / ca.fmax(envelope, 1e-15)
    declare_outputs(m, g, _flow(g, last), _flow(g, whole), porosity, fill, torque)
    return m


def arriving(g: Granulator, grid: pb.Grid) -> dict[str, Any]:
    """What comes into the first cell each second, by the names of a cell's contents."""
    fresh = ca.DM(pb.lognormal(grid.edges, *NUCLEI))
    phi, powder = g.nucleated, g["powder"]
    return {
        "solids": phi * powder * fresh,
        "water": g["liquid"] * fresh,
        "api": phi * powder * g["api_fraction"] * fresh,
        "powder": (1.0 - phi) * powder,
        "powder_api": (1.0 - phi) * powder * g["api_fraction"],
        "pores": g.fresh_pores,
        "heat": g.arriving_heat,
    }


def split(column: Any, grid: pb.Grid) -> dict[str, Any]:
    """The contents of a cell by name, from one column."""
    sizes = [len(grid)] * len(_BY_CLASS) + [1] * len(_WHOLE)
    ends = [sum(sizes[:i]) for i in range(len(sizes) + 1)]
    return dict(zip([*_BY_CLASS, *_WHOLE], ca.vertsplit(column, ends), strict=True))


def chain(g: Granulator, grid: pb.Grid, contents: Any, entering: Any) -> list[Any]:
    """Rates of change of the contents of all cells, what leaves, what is held, torque and fill."""
    size = entering.numel()
    cell, upstream, value = ca.MX.sym("cell", size), ca.MX.sym("upstream", size), ca.MX.sym("g", g.column.numel())
    one_cell = ca.Function("cell", [cell, upstream, value], _cell(g.within(value), grid, cell, upstream))
    rates, held, torque, fill = [], 0, 0, 0
    for content in ca.vertsplit(contents, size):
        rate, entering, its_torque, its_fill = one_cell(content, entering, g.column)
        rates.append(rate)
        held, torque, fill = held + content, torque + its_torque, fill + its_fill
    return [ca.vertcat(*rates), entering, held, torque, fill]


def _cell(g: Granulator, grid: pb.Grid, content: Any, upstream: Any) -> list[Any]:
    q = split(content, grid)
    solids, water = ca.sum1(q["solids"]), ca.sum1(q["water"])
    dry = solids + q["powder"]
    fill = g.bulk_volume(solids, q["powder"], q["pores"]) / g["free_volume"]
    torque = g.torque(fill, dry, water)
    by_class = ca.horzcat(q["solids"], q["water"], q["api"])
    grown = ca.vec(moved(grid, q["solids"], by_class, g.sticking(dry, water), g.breaking))
    warmed = g.warming(dry + water, temperature(dry, water, q["heat"]), torque)
    sources = ca.vertcat(grown, 0.0, 0.0, -g.consolidation(q["pores"], solids), warmed)
    leaving = g.emptying(dry + water) * content
    return [upstream - leaving + sources, leaving, torque, fill]


def _flow(g: Granulator, part: dict[str, Any]) -> GranuleFlow:
    solids, powder = ca.sum1(part["solids"]), part["powder"]
    return GranuleFlow(
        dry=solids + powder,
        api=ca.sum1(part["api"]) + part["powder_api"],
        water=ca.sum1(part["water"]),
        volume=g.bulk_volume(solids, powder, part["pores"]),
        heat=part["heat"],
        size=part["solids"] + powder * g.powder_size,
    )
