from __future__ import annotations

import math

import numpy as np
import pytest

from cosim import build_system, simulate
from cosim.disturbances import LotDeviates, Lots, StandardNormal
from cosim.lots import lot_spread, lot_spreads
from cosim.typical_disturbances import TYPICAL
from fmus import unit_model, unit_names
from fmus.errors import GalenicError
from fmus.quantity import conversion

HEADER = "scenario: galenic/1\nduration: 100 s\ncommunication_step: 100 ms\n"
BODY = """\
    components:
      a: {fmu: grams.fmu, start: {u: 2}}
      b: {fmu: grams.fmu, start: {u: 5}}
    disturbances:
      - {signal: a.u, name: density, lots: {every: 100 ms, material: smcc, property: bulk_density}}
      - {signal: b.u, lots: {every: 100 ms, material: starch, property: moisture}}
    """


def test_lots_of_a_material_have_the_plants_spread(scenario, tmp_path):
    frame = simulate(scenario(BODY, HEADER), out=tmp_path).frame()
    density, moisture = frame["a.u"].to_numpy(), frame["b.u"].to_numpy()
    assert density.mean() == pytest.approx(2.0, rel=0.005)
    assert density.std() / density.mean() == pytest.approx(0.034, rel=0.08)
    # the plant's lots lay between 1.8 and 3.9 % about 2.65 %: none here lies further from its mean
    assert moisture.min() >= 5.0 * 1.8 / 2.65 - 1e-12
    assert moisture.max() <= 5.0 * 3.9 / 2.65 + 1e-12
    assert moisture.std() / moisture.mean() == pytest.approx(0.24, rel=0.25)


def test_lots_may_take_the_plants_mean_in_any_unit(scenario, tmp_path):
    body = BODY.replace("property: bulk_density", "property: bulk_density, mean: plant")
    values = simulate(scenario(body, HEADER), out=tmp_path).frame()["a.u"]
    assert values.mean() == pytest.approx(326.0, rel=0.005)  # 0.326 g/mL in g/L


def test_lognormal_lots_have_mean_and_spread_and_stay_positive():
    lots = Lots(1.0, 20.0, 0.31, 20.0, LotDeviates(StandardNormal(1, "d50")), skewed=True)
    values = 20.0 + np.array([lots(float(k)) for k in range(20_000)])
    assert values.min() > 0.0
    assert values.mean() == pytest.approx(20.0, rel=0.01)
    assert values.std() == pytest.approx(6.2, rel=0.05)


def test_correlated_lots_go_together_and_leave_the_others_lots_as_they_are(scenario, tmp_path):
    alone = simulate(scenario(BODY, HEADER), out=tmp_path / "alone").frame()
    body = BODY.replace("property: moisture", "property: moisture, correlation: {with: density, coefficient: -0.7}")
    both = simulate(scenario(body, HEADER), out=tmp_path / "both").frame()
    assert (alone["a.u"] == both["a.u"]).all()
    together = np.corrcoef(np.log(both["a.u"]), np.log(both["b.u"]))[0, 1]
    assert together == pytest.approx(-0.7, abs=0.06)
    assert abs(np.corrcoef(alone["a.u"], alone["b.u"])[0, 1]) < 0.1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("material: smc, property: bulk_density", "no lot statistics of 'smc'"),
        ("material: smcc, property: colour", "no lot statistics of the colour of smcc"),
        ("material: smcc", "both 'material' and 'property'"),
        ("material: smcc, property: d50, rsd: 3 %", "give 'rsd: 3 %'"),
        ("every: 2 s", "'every' stands twice"),
        ("material: api, property: d50, mean: plant", "tell no mean"),
        ("material: smcc, property: d50, mean: plant", "dimensions differ"),
        ("rsd: 3 %, mean: plant", "mean is that of a material"),
        ("rsd: 50 %", "give 0 to 0.33"),
        ("rsd: 3 %, correlation: {with: other, coefficient: 0.5}", "no other lots named 'other'"),
        ("rsd: 3 %, correlation: {with: density, coefficient: 0.5}", "no other lots named 'density'"),
        ("rsd: 3 %, correlation: {with: b.u lots 1, coefficient: 0.5}", "these lots cannot go with"),
        ("rsd: 3 %, correlation: {with: b.u lots 1, coefficient: 2}", "less than or equal to 1"),
    ],
)
def test_wrong_lots_are_an_error_with_the_line(scenario, wrong, message):
    body = BODY.replace("every: 100 ms, material: smcc, property: bulk_density", "every: 200 ms, " + wrong)
    with pytest.raises(GalenicError, match=message) as caught:
        build_system(scenario(body, HEADER))
    assert caught.value.line == 8
    assert caught.value.cure


def test_every_statistic_of_the_plant_can_be_drawn_from():
    spreads = lot_spreads()
    assert {"smcc", "lactose", "starch", "api"} == set(spreads)
    assert {"bulk_density", "tapped_density", "d50", "moisture"} == set(spreads["smcc"])
    for material, properties in spreads.items():
        for name, spread in properties.items():
            assert 0.0 < spread.rsd < 0.33
            assert lot_spread(material, name) is spread
    assert lot_spread("starch", "moisture").limits(5.3) == pytest.approx((3.6, 7.8))
    assert lot_spread("smcc", "d50").limits(120.0) == (-math.inf, math.inf)


TYPICAL_PORTS = sorted({(name, port) for name, ports in TYPICAL.items() for port in ports})


@pytest.mark.parametrize(("name", "port"), TYPICAL_PORTS)
def test_each_typical_disturbance_belongs_to_an_input_of_a_unit_and_can_be_used(name, port, scenario):
    units = [unit for unit in unit_names() if port in {v.name for v in unit_model(unit).variables}]
    assert units
    for unit in units[:1]:
        header = "scenario: galenic/1\nduration: 10 h\ncommunication_step: 10 s\n"
        body = f"""\
            components:
              plant: {{unit: {unit}}}
            disturbances:
              - {{signal: plant.{port}, typical: {name}}}
            """
        system = build_system(scenario(body, header))
        slot = system.index[f"plant.{port}"]
        base = system.signals[slot]
        seen = []
        for step in range(3600):
            for task in system.drawn:
                task.execute(10.0 * step)
            seen.append(system.signals[slot])
        assert np.ptp([base, *seen]) > 0.0
        low, high = system.ports[f"plant.{port}"].min, system.ports[f"plant.{port}"].max
        assert low is None or min(seen) >= low
        assert high is None or max(seen) <= high


def test_every_typical_disturbance_tells_its_source():
    assert all(typical.source and typical.parts for ports in TYPICAL.values() for typical in ports.values())


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{signal: a.u, typical: pump_pulsatoin}", "did you mean 'pump_pulsation'"),
        ("{signal: a.u, typical: pump_pulsation}", "is no disturbance of 'a.u'"),
    ],
)
def test_a_typical_disturbance_that_does_not_fit_is_an_error(scenario, entry, message):
    body = f"components: {{a: {{fmu: lag.fmu}}}}\ndisturbances:\n  - {entry}\n"
    with pytest.raises(GalenicError, match=message) as caught:
        build_system(scenario(body))
    assert caught.value.line == 6


def test_conversion_of_the_plants_densities():
    assert conversion("g/mL", "kg/m^3") == (pytest.approx(1000.0), 0.0)
