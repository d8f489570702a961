"""PID control: filtered derivative, setpoint weight, anti-windup, manual and tracking modes, cascades."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

from controllers.base import SampledController, clamp
from controllers.regulatory.pid_section import PIDSetup, read_section
from cosim.component import ControllerContext, FloatArray, Port


class PIDController(SampledController):
    r"""A PID controller in positional form.

    With setpoint r, measurement y, error e = r - y, the base f (feed-forward) and the time h since it last acted,

        P_k = K (b r_k - y_k)
        I_k = I_{k-1} + K h / T_i e_k
        D_k = (T_f D_{k-1} - K T_d (y_k - y_{k-1})) / (T_f + h),      T_f = T_d / N
        v_k = f_k + P_k + I_k + D_k                                   (what the law asks for)
        u_k = clamp(v_k; limits; u_{k-1} +- max_move)                 (what can be had)

    The derivative acts on the measurement alone, so that a step of the setpoint does not kick; b < 1 softens the
    proportional part's kick too and leaves the response to disturbances as it is. The sign of K = du/de makes it
    reverse or direct acting. Without ``integral_time`` the law has no memory of errors: no windup, a steady offset.

    Anti-windup is back-calculation, I_k <- I_k + min(1, h / T_t) (u_k - v_k), where T_t = h stops the integral at a
    limit exactly and a longer T_t lets it leave the limit later; or clamping, where the integral stands while it would
    push further beyond a limit. Where ``actual`` says what the actuator really does, the integral also follows it,
    I_k <- I_k + min(1, h / T_t) (actual - u_{k-1}), so that a stuck valve does not wind it up.

    A value of a sensor counts once: where the sensor's ``sample`` counter stands still, the output holds, and h is the
    time since the last fresh value. A measurement or setpoint that is not finite holds the output too.

    Modes, first that applies:

    - tracking: while ``track.active`` is 1, a supervisor drives the target with w = ``track.value``; the output is w;
    - manual: while ``manual.active`` is 1, the output holds, and goes to ``manual.value`` when that is changed then;
    - following: while the inner loop of a cascade is itself tracking or manual, the output is its measurement;
    - automatic.

    In the first three the integral is set so that the first automatic step is u = w + K h / T_i e: no bump either way.

    A cascade: this controller's ``value`` is the inner loop's setpoint. ``inner`` names that loop; while it is at a
    limit (its ``blocked`` is 1 or -1), this one's output does not move further to that side.

    Ports: in ``measurement``, ``sample``, ``setpoint``, ``feed_forward``, ``actual`` (the last four where they are
    signals), ``track.value``, ``track.active``, ``manual.value``, ``manual.active``, ``inner.*``; out ``value``,
    ``setpoint_in_force``, ``following`` (1: not automatic), ``blocked`` (1: a higher setpoint has no effect, -1: a
    lower one has none) and ``reachable`` (what a loop above should follow: the measurement while following, else the
    setpoint).

    Args:
        name: the controller's name.
        setup: from its section.
    """

    remembered = (
        "_integral", "_derivative", "_measured", "_measured_at", "_seen", "_acted", "_last", "_manual_seen",
        "_manual_target",
    )  # fmt: skip

    def __init__(self, name: str, setup: PIDSetup) -> None:
        wiring, output, law = setup.wiring, setup.output, setup.law
        track, inner = setup.sources.track, setup.sources.inner
        self._track = (
            wiring.read(
                Port("track.value", output.unit, 0.0, description="what drives the target instead"),
                track.value if track else None,
            ),
            wiring.read(Port("track.active", "1", 0.0, description="1: follow"), track.active if track else None),
        )
        self._manual = (
            wiring.read(Port("manual.value", output.unit, output.start, description="the output by hand"), None),
            wiring.read(Port("manual.active", "1", 0.0, description="1: by hand"), None),
        )
        self._inner: tuple[int, int, int] | None = None
        if inner is not None:
            self._inner = (
                wiring.read(Port("inner.reachable", output.unit, output.start), f"{inner}.reachable"),
                wiring.read(Port("inner.following", "1", 0.0), f"{inner}.following"),
                wiring.read(Port("inner.blocked", "1", 0.0), f"{inner}.blocked"),
            )
        wiring.write(output, setup.target)
        wiring.write(Port("setpoint_in_force", setup.setpoint_unit, 0.0, description="setpoint as used"))
        wiring.write(Port("following", "1", 0.0, description="1: it tracks, or is by hand"))
        wiring.write(Port("blocked", "1", 0.0, description="1: a higher setpoint has no effect, -1: a lower one"))
        wiring.write(Port("reachable", setup.setpoint_unit, 0.0, description="what a loop above follows"))
        super().__init__(name, setup.period, wiring)
        self._law, self._sources = law, setup.sources
        self._tracking_time = law.integral_time if law.tracking_time is None else law.tracking_time
        self._filter_time = law.derivative_time / law.derivative_filter
        self._integral: float | None = None
        self._derivative = 0.0
        self._measured: float | None = None
        self._measured_at = 0.0
        self._seen = 0.0
        self._acted: float | None = None
        self._last = float(self.output_values[0])
        self._manual_seen = self._last
        self._manual_target: float | None = None

    @classmethod
    def from_config(cls, name: str, config: Mapping[str, Any], context: ControllerContext) -> Self:
        """Build it from its section, see `pid_section.PIDConfig`. Raises GalenicError at the key at fault."""
        return cls(name, read_section(config, context))

    def do_step(self, communication_point: float, step_size: float) -> None:  # noqa: ARG002 (the contract's signature)
        """One execution at ``communication_point`` (s)."""
        inputs, outputs = self.input_values, self.output_values
        setpoint = self._sources.setpoint(inputs)
        measured = float(inputs[self._sources.measurement])
        base = self._sources.base(inputs)
        usable = math.isfinite(setpoint) and math.isfinite(measured) and math.isfinite(base)
        followed = self._followed(inputs)
        outputs[1], outputs[2] = setpoint, followed is not None
        if followed is not None:
            self._follow(followed, setpoint, measured, base, communication_point, usable)
            outputs[0], outputs[3] = self._last, 0.0
            if math.isfinite(measured):
                outputs[4] = measured
            return
        outputs[0] = self._last
        if math.isfinite(setpoint):
            outputs[4] = setpoint
        if not usable:
            self._acted, self._measured = communication_point, None  # an outage is not integrated over
            return
        if not self._fresh(inputs):
            return
        elapsed = self.period if self._acted is None else communication_point - self._acted
        outputs[0] = self._last = self._act(setpoint, measured, base, elapsed, communication_point)
        self._acted = communication_point

    def _followed(self, inputs: FloatArray) -> float | None:
        """What the output has to be where it is not the law's."""
        by_hand = float(inputs[self._manual[0]])
        given = math.isfinite(by_hand) and by_hand != self._manual_seen
        if given:
            self._manual_seen = by_hand
        manual = inputs[self._manual[1]] > 0.5
        if not manual:
            self._manual_target = None
        elif given or self._manual_target is None:
            self._manual_target = by_hand if given else self._last
        track = float(inputs[self._track[0]])
        if inputs[self._track[1]] > 0.5 and math.isfinite(track):
            return clamp(track, *self._law.limits)
        if manual:
            assert self._manual_target is not None
            move = self._law.max_move
            return clamp(clamp(self._manual_target, self._last - move, self._last + move), *self._law.limits)
        if self._inner is not None and inputs[self._inner[1]] > 0.5:
            reachable = float(inputs[self._inner[0]])
            return clamp(reachable, *self._law.limits) if math.isfinite(reachable) else self._last
        return None

    def _follow(self, value: float, setpoint: float, measured: float, base: float, now: float, usable: bool) -> None:
        law = self._law
        self._last = value
        if usable:
            derivative = self._differentiate(measured, now)
            proportional = law.gain * (law.setpoint_weight * setpoint - measured)
            self._integral = value - base - proportional - derivative if law.integral_time else 0.0
        else:
            self._measured = None
        self._acted = now

    def _fresh(self, inputs: FloatArray) -> bool:
        if self._sources.sample is None:
            return True
        count = float(inputs[self._sources.sample])
        fresh, self._seen = count != self._seen, count
        return fresh

    def _differentiate(self, measured: float, now: float) -> float:
        """D_k; zero at the first value and after an outage."""
        law = self._law
        if not law.derivative_time:
            return 0.0
        if self._measured is None:
            self._derivative = 0.0
        elif now > self._measured_at:
            change, elapsed = measured - self._measured, now - self._measured_at
            self._derivative = (self._filter_time * self._derivative - law.gain * law.derivative_time * change) / (
                self._filter_time + elapsed
            )
        self._measured, self._measured_at = measured, now
        return self._derivative

    def _act(self, setpoint: float, measured: float, base: float, elapsed: float, now: float) -> float:
        law, inputs = self._law, self.input_values
        error = setpoint - measured
        direct = base + law.gain * (law.setpoint_weight * setpoint - measured) + self._differentiate(measured, now)
        share = min(1.0, elapsed / self._tracking_time) if self._tracking_time else 0.0
        if self._integral is None:  # first action: no proportional kick from the value that stands
            self._integral = self._last - direct if law.integral_time else 0.0
        elif self._sources.actual is not None and math.isfinite(actual := float(inputs[self._sources.actual])):
            self._integral += share * (actual - self._last)
        increment = law.gain * elapsed / law.integral_time * error if law.integral_time else 0.0
        low, high = self._limits(inputs)
        asked = direct + self._integral + increment
        output = self._reachable(asked, low, high)
        beyond = (asked > high) - (asked < low)
        if law.clamping and (asked - output) * increment > 0.0:
            output = self._reachable(asked - increment, low, high)
        else:
            self._integral += increment
            if law.integral_time and not law.clamping:
                self._integral += share * (output - asked)
        self.output_values[3] = beyond * math.copysign(1.0, law.gain)
        return output

    def _reachable(self, asked: float, low: float, high: float) -> float:
        return clamp(clamp(asked, self._last - self._law.max_move, self._last + self._law.max_move), low, high)

    def _limits(self, inputs: FloatArray) -> tuple[float, float]:
        """Of the output; the side to which the inner loop of a cascade cannot go is where it stands."""
        low, high = self._law.limits
        blocked = float(inputs[self._inner[2]]) if self._inner is not None else 0.0
        if blocked > 0.5:
            high = self._last
        elif blocked < -0.5:
            low = self._last
        return low, high
