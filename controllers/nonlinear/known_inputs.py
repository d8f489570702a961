"""The part ``known:`` of a section: inputs that others decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from controllers.base import Wiring, is_signal, port_of, quantity, unit_factor_at
from controllers.nonlinear.config import KnownConfig
from controllers.nonlinear.names import place_of
from controllers.nonlinear.specification import KnownInput
from controllers.operation.schedule import ReferenceSchedule
from controllers.surrogates.linear_surrogate import SurrogateInput
from cosim.component import ControllerContext, Port

#: Of a measured known input: its name, the index of the port that is read, and model = factor * port + offset.
KnownPort = tuple[str, int, float, float]


def read_known(
    section: Mapping[str, KnownConfig], inputs: Sequence[SurrogateInput], wiring: Wiring, context: ControllerContext
) -> tuple[list[KnownInput], list[KnownPort]]:
    """Known inputs in the order of the file, and the ports that were made for those that are measured.

    Raises:
        GalenicError: at the key at fault.
    """
    found: list[KnownInput] = []
    ports: list[KnownPort] = []
    for name, entry in section.items():
        key = ("known", name)
        u = inputs[place_of(name, [u.name for u in inputs], "input", key, context)]
        given = [option for option in ("profile", "profile_of", "signal") if getattr(entry, option) is not None]
        if len(given) != 1:
            raise context.error(
                key,
                f"'{name}' is known from {' and '.join(given) or 'nowhere'}",
                "give one of 'profile_of: RECIPE', 'profile: [[0 h, VALUE], ...]' and 'signal: component.port'",
            )
        if entry.signal is not None:
            ports.append(_measured(u, entry.signal, wiring, context, (*key, "signal")))
            found.append(KnownInput(u.name, values=(u.operating_point,), measured=True))
        elif entry.profile_of is not None:
            found.append(_of_recipe(u, entry.profile_of, context, (*key, "profile_of")))
        else:
            found.append(_profile(u, entry, context, (*key, "profile")))
    return found, ports


def _profile(u: SurrogateInput, entry: KnownConfig, context: ControllerContext, key: tuple[str, ...]) -> KnownInput:
    points = entry.profile or []
    times = tuple(quantity(t, "s", context, (*key, i, 0)) for i, (t, _) in enumerate(points))
    values = tuple(quantity(v, u.unit, context, (*key, i, 1)) for i, (_, v) in enumerate(points))
    if not times or list(times) != sorted(set(times)):
        raise context.error(key, "the times of a profile have to rise", "sort it")
    return KnownInput(u.name, times, values)


def _of_recipe(u: SurrogateInput, recipe: str, context: ControllerContext, key: tuple[str, ...]) -> KnownInput:
    """What a recipe will drive the input with."""
    schedule = ReferenceSchedule.of(f"{recipe}.{u.name}", u.unit, context, key)
    if schedule is None:
        raise context.error(
            key,
            f"no controller '{recipe}' above this one has a profile of '{u.name}'",
            f"name the recipe that drives {u.name}, which stands before this controller; or write 'profile:'",
        )
    return KnownInput(u.name, tuple(schedule.times.tolist()), tuple(schedule.values.tolist()))


def _measured(
    u: SurrogateInput, signal: str, wiring: Wiring, context: ControllerContext, key: tuple[str, ...]
) -> KnownPort:
    if not is_signal(signal):
        raise context.error(key, f"'{signal}' is no signal", "write 'component.port'")
    port = port_of(signal, context, key)
    factor, offset = unit_factor_at(port.unit, u.unit, context, key)
    return u.name, wiring.read(Port(f"known.{u.name}", port.unit, port.start), signal), factor, offset
