"""Surrogate files of every kind: reading and writing, and telling whether the plant's model has changed since."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from controllers.surrogates import data_driven, mechanistic
from controllers.surrogates.domain import Domain
from controllers.surrogates.equations import digest_of
from controllers.surrogates.linear import linear_model
from controllers.surrogates.linear_surrogate import Dumper, Line, LinearSurrogate, Row, read_surrogate
from controllers.surrogates.model import SHARES, HorizonError, SurrogateModel
from controllers.surrogates.section import Section
from cosim.library import load_scenario
from cosim.yaml_lines import Source
from fmus.errors import GalenicError, nearest

KINDS = ("linear", "mechanistic", "narx", "neural")
_COMMON = ("surrogate", "kind", "description", "provenance", "validation", "domain")


def load_model(file: Path | str, *, check: bool = True) -> SurrogateModel:
    """Read a surrogate of any kind.

    Args:
        file: the surrogate file.
        check: whether to compare the plant's model with that of the training; what differs is told in ``notices``.

    Raises:
        GalenicError: missing, malformed, of another schema, or inconsistent; with file, line and cure.
    """
    source = read_surrogate(file)
    data = source.data
    kind = data.get("kind", "linear")
    if kind not in KINDS:
        raise source.error(("kind",), f"there is no kind '{kind}' of surrogate", nearest(str(kind), KINDS))
    if kind == "linear":
        model = linear_model(LinearSurrogate.load(file))
    elif kind == "mechanistic":
        model = mechanistic.build(Section(source, (*_COMMON, *mechanistic.KEYS))).model
    else:
        model = data_driven.build(Section(source, (*_COMMON, *data_driven.KEYS)))
    model = _with_validation(_with_domain(model, source), source)
    return replace(model, notices=_notices(model, source)) if check else model


def _notices(model: SurrogateModel, source: Source) -> tuple[str, ...]:
    """What has changed since the training."""
    if model.kind != "mechanistic":
        return changes_since(model.provenance, source.file)
    if model.provenance.get("model_digest") in (None, model.digest):
        return ()
    return (
        "the scenario's model has changed since this surrogate was validated: its equations follow, the errors"
        " that its file tells do not; 'galenic identify' again",
    )


def changes_since(provenance: Mapping[str, Any], surrogate: Path | None) -> tuple[str, ...]:
    """What has changed at the plant since a surrogate was trained; nothing where its file does not tell what it was.

    Args:
        provenance: of the surrogate.
        surrogate: its file, which the scenario's path is relative to.
    """
    known = provenance.get("model_digest")
    if known is None:
        return ()
    file = (surrogate.parent if surrogate is not None else Path()) / str(provenance.get("scenario_file", ""))
    if not file.is_file():
        return (f"the scenario '{provenance.get('scenario_file')}' that this surrogate is of is not there any more",)
    try:
        now = digest_of(load_scenario(file))
    except GalenicError as error:
        return (f"the scenario that this surrogate is of cannot be read: {error.message}",)
    if now == known:
        return ()
    return ("the scenario's model has changed since this surrogate was trained: 'galenic identify' again",)


def _with_domain(model: SurrogateModel, source: Source) -> SurrogateModel:
    entry = source.data.get("domain")
    if not entry:
        return model
    try:
        domain = replace(
            model.domain,
            center=np.array(entry["center"], dtype=np.float64),
            precision=np.array(entry["precision"], dtype=np.float64),
            radius=float(entry["radius"]),
        )
        domain.distance(model.operating_point)
    except (KeyError, TypeError, ValueError) as error:
        raise source.error(("domain",), "the training domain is damaged", "identify the surrogate again") from error
    return replace(model, domain=domain)


def _with_validation(model: SurrogateModel, source: Source) -> SurrogateModel:
    validation = source.data.get("validation") or {}
    try:
        errors = {
            str(name): HorizonError(tuple(map(float, entry["rmse"])), tuple(map(float, entry["fit"])))
            for name, entry in (validation.get("errors") or {}).items()
        }
    except (KeyError, TypeError, ValueError) as error:
        raise source.error(("validation",), "the validation is damaged", "identify the surrogate again") from error
    return with_errors(
        replace(model, provenance=source.data.get("provenance") or {}), errors, float(validation.get("horizon", "nan"))
    )


def with_errors(model: SurrogateModel, errors: Mapping[str, HorizonError], horizon: float) -> SurrogateModel:
    """The same model with the errors of a validation over a horizon in s."""
    outputs = tuple(
        replace(y, rmse=errors[y.name].rmse[-1], fit=errors[y.name].fit[-1]) if y.name in errors else y
        for y in model.outputs
    )
    return replace(model, outputs=outputs, errors=errors, horizon=horizon)


def validation_entry(
    errors: Mapping[str, HorizonError], horizon: float, more: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The section ``validation`` of a file."""
    table = {name: Row(rmse=Line(map(_short, e.rmse)), fit=Line(map(_short, e.fit))) for name, e in errors.items()}
    return {"horizon": horizon, "shares": Line(SHARES), **(more or {}), "errors": table}


def domain_entry(domain: Domain) -> dict[str, Any]:
    """The section ``domain`` of a file; empty without training data."""
    if domain.center is None or domain.precision is None:
        return {}
    return {
        "center": Line(map(float, domain.center)),
        "precision": [Line(map(float, row)) for row in domain.precision],
        "radius": domain.radius,
    }


def write(file: Path, data: Mapping[str, Any]) -> None:
    """Write a surrogate file."""
    text = yaml.dump(dict(data), Dumper=Dumper, sort_keys=False, width=100_000, allow_unicode=True)
    file.write_text(text, encoding="utf-8")


def relative(path: Path, file: Path) -> str:
    """A path as it stands in ``file``: relative to its folder."""
    try:
        return Path(os.path.relpath(path.resolve(), file.resolve().parent)).as_posix()
    except ValueError:  # another drive
        return str(path.resolve())


def _short(value: float) -> float | str:
    return float(f"{value:.5g}") if math.isfinite(value) else "nan"
