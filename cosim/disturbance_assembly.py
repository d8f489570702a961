"""From a scenario's disturbances to what adds up on an input."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cosim import disturbances as shapes
from cosim.component import KeyPath, Port
from cosim.disturbance_specs import DisturbanceSpec, LotsSpec, names_of
from cosim.disturbances import Contribution, Disturbance, LotDeviates, StandardNormal
from cosim.lots import lot_spread
from cosim.quantities import difference
from cosim.scenario import Scenario
from cosim.typical_disturbances import TYPICAL
from fmus.errors import GalenicError, nearest
from fmus.quantity import convert


def build_disturbance(
    scenario: Scenario, signal: str, specs: Sequence[tuple[int, DisturbanceSpec]], port: Port, base: float, seed: int
) -> Disturbance:
    """All disturbances of one signal; ``specs`` with their index in the scenario's list."""
    names = names_of(scenario.disturbances)
    contributions = []
    for index, spec in specs:
        path: KeyPath = ("disturbances", index)
        if spec.typical is None:
            made = _Maker(scenario, path, port, base, seed, names[index])
            contributions.append(made.contribution(spec))
            continue
        for part in _typical_parts(scenario, path, spec):
            made = _Maker(scenario, (*path, "typical"), port, base, seed, f"{names[index]} {part.kind}", inside=False)
            contributions.append(made.contribution(part))
    return Disturbance(signal, port, base, contributions, scenario.communication_step)


def _typical_parts(scenario: Scenario, path: KeyPath, spec: DisturbanceSpec) -> list[DisturbanceSpec]:
    assert spec.typical is not None
    where: KeyPath = (*path, "typical")
    if spec.typical not in TYPICAL:
        raise scenario.error(where, f"there is no typical disturbance '{spec.typical}'", nearest(spec.typical, TYPICAL))
    by_port = TYPICAL[spec.typical]
    for port, typical in by_port.items():
        if spec.signal.endswith("." + port):
            return [DisturbanceSpec.model_validate({"signal": spec.signal, **part}) for part in typical.parts]
    raise scenario.error(
        where,
        f"'{spec.typical}' is no disturbance of '{spec.signal}'",
        f"it belongs to inputs named {', '.join(by_port)}; say here what happens, with noise or ramp for example",
    )


class _Maker:
    """Makes the contributions of one entry.

    Args:
        scenario: the scenario.
        path: of the entry.
        port, base: of the input.
        seed: the run's.
        name: that the random numbers hang on.
        inside: whether keys of the kind stand below ``path``, for errors.
    """

    def __init__(
        self, scenario: Scenario, path: KeyPath, port: Port, base: float, seed: int, name: str, inside: bool = True
    ) -> None:
        self._scenario, self._path, self._port, self._base, self._inside = scenario, path, port, base, inside
        self._seed, self._name = seed, name

    def contribution(self, spec: DisturbanceSpec) -> Contribution:
        """What ``spec`` adds. Raises GalenicError with the line of the key at fault."""
        kind, step_size = spec.kind, self._scenario.communication_step
        if change := spec.step or spec.ramp:
            if change.to is not None:
                amount = self._scenario.quantity(self._key(kind, "to"), change.to, self._port.unit) - self._base
            else:
                amount = self._change(kind, "by", change.by)
            if spec.ramp:
                return shapes.Ramp(spec.ramp.at, spec.ramp.over, amount, spec.ramp.every or math.inf)
            assert spec.step is not None
            return shapes.Step(spec.step.at, amount, math.inf if spec.step.until is None else spec.step.until)
        if spec.sine:
            return shapes.Sine(self._change(kind, "amplitude", spec.sine.amplitude), spec.sine.period, spec.sine.phase)
        if spec.noise:
            std = self._std(kind, spec.noise.std)
            return shapes.Noise(std, spec.noise.time_constant, step_size, self._normal(self._name))
        if spec.walk:
            return shapes.Walk(self._std(kind, spec.walk.std), spec.walk.per, step_size, self._normal(self._name))
        assert spec.lots is not None
        return self._lots(spec.lots)

    def _lots(self, spec: LotsSpec) -> Contribution:
        unit = self._port.unit
        limits = (-math.inf, math.inf)
        mean = self._base
        if spec.mean is not None and spec.mean != "plant":
            mean = self._scenario.quantity(self._key("lots", "mean"), spec.mean, unit)
        if spec.material is not None:
            assert spec.property is not None
            try:
                spread = lot_spread(spec.material, spec.property)
            except GalenicError as error:
                wrong = "material" if "of '" in error.message else "property"
                raise self._scenario.located(self._key("lots", wrong), error) from error
            rsd = spread.rsd
            if spec.mean == "plant":
                if spread.mean is None:
                    raise self._scenario.error(
                        self._key("lots", "mean"), "the plant's statistics tell no mean of it", "give a mean"
                    )
                try:
                    mean = convert(spread.mean, spread.unit, unit)
                except GalenicError as error:
                    raise self._scenario.located(self._key("lots", "mean"), error) from error
            limits = spread.limits(mean)
        else:
            if spec.mean == "plant":
                raise self._scenario.error(
                    self._key("lots", "mean"), "the plant's mean is that of a material", "name it, or give a mean"
                )
            rsd = self._scenario.quantity(self._key("lots", "rsd"), spec.rsd or 0.0, "1")
        skewed = (spec.shape or ("normal" if spec.material is None else "lognormal")) == "lognormal"
        if not 0.0 <= rsd < (2.0 if skewed else 0.33):
            raise self._scenario.error(
                self._key("lots", "rsd"), f"a relative standard deviation of {rsd:g}", "give 0 to 0.33"
            )
        if skewed and mean <= 0.0:
            raise self._scenario.error(
                self._key("lots"), f"lots about a mean of {mean:g} cannot be lognormal", "add 'shape: normal'"
            )
        deviates = LotDeviates(self._normal(self._name), *self._correlated(spec))
        return shapes.Lots(spec.every, mean, rsd, self._base, deviates, skewed=skewed, limits=limits)

    def _correlated(self, spec: LotsSpec) -> tuple[LotDeviates | None, float]:
        if spec.correlation is None:
            return None, 0.0
        others = dict(zip(names_of(self._scenario.disturbances), self._scenario.disturbances, strict=True))
        where = self._key("lots", "correlation", "with")
        name = spec.correlation.with_
        lots = {key: other.lots for key, other in others.items() if other.lots is not None and key != self._name}
        if name not in lots:
            raise self._scenario.error(where, f"there are no other lots named '{name}'", nearest(name, lots))
        other = lots[name]
        assert other is not None
        if other.every != spec.every or other.correlation is not None:
            raise self._scenario.error(
                where,
                f"these lots cannot go with '{name}'",
                "both have to change equally often, and the other has to have no correlation itself",
            )
        return LotDeviates(self._normal(name)), spec.correlation.coefficient

    def _normal(self, name: str) -> StandardNormal:
        return StandardNormal(self._seed, f"disturbance {name}")

    def _change(self, kind: str, key: str, raw: object) -> float:
        return difference(self._scenario, self._key(kind, key), raw, self._port.unit, self._base)

    def _std(self, kind: str, raw: object) -> float:
        std = self._change(kind, "std", raw)
        if std < 0.0:
            raise self._scenario.error(
                self._key(kind, "std"), "the standard deviation must not be negative", "give 0 or more"
            )
        return std

    def _key(self, *keys: str) -> KeyPath:
        return (*self._path, *keys) if self._inside else self._path
