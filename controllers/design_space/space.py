"""The design space: where setpoints may be, and soft limits on critical quality attributes, from a file."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from controllers.design_space.back_off import BackOff, read_back_off
from controllers.design_space.box import inscribed_box
from controllers.design_space.ranges import Range, read_ranges
from controllers.design_space.region import Region, check_box, read_region
from cosim.component import FloatArray
from cosim.yaml_lines import read_yaml
from fmus.errors import GalenicError, nearest

__all__ = ["BackOff", "DesignSpace", "Range", "Region"]

SCHEMA = "galenic/1"


@dataclass(frozen=True)
class DesignSpace:
    """The region of setpoints in which the critical quality attributes hold.

    ``setpoints`` is a box: setpoint i is inside when min_i <= u_i <= max_i (a hard bound for every controller), a
    critical quality attribute when it is inside its limits (soft: a controller may leave them rather than have no
    answer). The margin is the distance to the edge in the worst coordinate, normalised so that the box becomes
    [-1, 1]^n. Where the file has a ``region`` (a polytope, or where P(all CQAs in specification) is high enough), the
    box lies inside it, so that who keeps to the ranges is safe, and the region is what setpoints may use together.

    Args:
        setpoints: by signal.
        critical_quality_attributes: by signal or name.
        description: one line for people.
        file: where it was read.
        final_attributes: what has to be in its limits at the end of a batch; no soft limit on the way.
        region: what is more than the box, or None.
        back_off: by how much a controller keeps off the edge, or None.
    """

    setpoints: Mapping[str, Range]
    critical_quality_attributes: Mapping[str, Range] = field(default_factory=dict)
    description: str = ""
    file: Path | None = None
    region: Region | None = None
    back_off: BackOff | None = None
    final_attributes: Mapping[str, Range] = field(default_factory=dict)

    @classmethod
    def load(cls, file: Path | str) -> DesignSpace:
        """Read a design-space file.

        Raises:
            GalenicError: missing or malformed, with file, line and cure.
        """
        source = read_yaml(Path(file))
        data = source.data
        if not isinstance(data, dict):
            raise source.error((), "a design space is a mapping", "start with 'setpoints:'")
        known = {"design_space", "description", "setpoints", "critical_quality_attributes", "final_attributes",
                 "region", "proven_acceptable_ranges", "back_off", "provenance", "samples"}  # fmt: skip
        for key in data:
            if key not in known:
                raise source.error((key,), f"unknown key '{key}'", nearest(str(key), known))
        if data.get("design_space", SCHEMA) != SCHEMA:
            raise source.error(
                ("design_space",), f"'{data['design_space']}' is not a schema that this version reads", f"use {SCHEMA}"
            )
        region = read_region(source)
        setpoints = read_ranges(source, ("setpoints",), data.get("setpoints"), both=True)
        try:
            if region is not None and not setpoints:
                setpoints = inscribed_box(region)
            elif region is not None:
                check_box(region, setpoints)
        except GalenicError as error:
            raise source.error(("setpoints",) if setpoints else ("region",), error.message, error.cure) from error
        if not setpoints:
            raise source.error((), "there are no setpoints", "add 'setpoints: {signal: {min: .., max: .., unit: ..}}'")
        attributes = ("critical_quality_attributes",)
        limits = read_ranges(source, attributes, data.get("critical_quality_attributes"), both=False)
        return cls(
            setpoints,
            limits,
            str(data.get("description") or ""),
            Path(file),
            region,
            read_back_off(source, limits),
            read_ranges(source, ("final_attributes",), data.get("final_attributes"), both=False),
        )

    @property
    def soft_limits(self) -> Mapping[str, Range]:
        """Limits of the critical quality attributes with the back-off taken off: what a controller keeps to."""
        limits = self.critical_quality_attributes
        return limits if self.back_off is None else self.back_off.tightened(limits)

    def hard_ranges(self, moved: Collection[str]) -> Mapping[str, Range]:
        """Ranges of setpoints for a controller that moves ``moved``.

        Where all setpoints of the region are among them, it may go anywhere in the region's domain, and has to keep to
        the region (`controllers.design_space.constraint`); else the box inside the region is what it may use.
        """
        if self.region is None or any(name not in moved for name in self.region.domain):
            return self.setpoints
        return {**self.setpoints, **self.region.domain}

    def contains(self, values: Mapping[str, float]) -> bool:
        """Whether every given setpoint is inside.

        Values are in the file's units. A name that the design space does not know is ignored; a NaN is outside.
        """
        return self.margin(values) >= 0.0

    def margin(self, values: Mapping[str, float]) -> float:
        """Distance to the edge in the worst coordinate; infinite where no value is known.

        Normalised as in `Range.margin`. Where all setpoints of a region are given, its margin stands for theirs: of a
        polytope in shares of the domain, of a probability in logits, and negative outside the domain.
        """
        ranges = dict(self.setpoints)
        margins = []
        if self.region is not None and all(name in values for name in self.region.domain):
            domain = self.region.domain
            point = np.array([values[name] for name in domain], dtype=np.float64)
            edges = [r.margin(v) for r, v in zip(domain.values(), point, strict=True)]
            margins.append(min(edges) if min(edges) < 0.0 else float(self.region.margin(point[None, :])[0]))
            ranges = {name: r for name, r in ranges.items() if name not in domain}
        margins += [ranges[name].margin(value) for name, value in values.items() if name in ranges]
        return min(margins, default=math.inf)

    def margins(self, setpoints: Mapping[str, FloatArray]) -> FloatArray:
        """`margin` at each of many times, shape (n,), of setpoints by name, each of shape (n,).

        Setpoints change seldom, so each combination is asked for once.
        """
        points, index = np.unique(np.column_stack(list(setpoints.values())), axis=0, return_inverse=True)
        margins = np.array([self.margin(dict(zip(setpoints, point, strict=True))) for point in points])
        return margins[index.ravel()]
