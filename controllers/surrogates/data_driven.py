"""Kinds ``narx`` and ``neural`` in a file: window, scale, and the terms or layers; large arrays in a file beside it."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from controllers.surrogates.domain import Domain
from controllers.surrogates.lagged import Scale, Window, process_of
from controllers.surrogates.linear_surrogate import (
    SCHEMA,
    Line,
    Row,
    SurrogateInput,
    SurrogateOutput,
    input_entry,
    output_entry,
    seconds_of,
    signals_of,
)
from controllers.surrogates.model import SurrogateModel
from controllers.surrogates.narx import Polynomial
from controllers.surrogates.neural import Network
from controllers.surrogates.section import Section
from cosim.component import FloatArray

KEYS = ("period", "inputs", "outputs", "window", "scale", "terms", "layers", "arrays", "arrays_sha256", "initial")
#: More numbers than this go into a file of their own.
_MOST = 4000
_SCALE = ("center", "size", "change", "offset")
_DAMAGED = "the file is damaged: identify the surrogate again"


@dataclass(frozen=True)
class Lagged:
    """A trained data-driven model and all that its file keeps."""

    period: float
    inputs: tuple[SurrogateInput, ...]
    outputs: tuple[SurrogateOutput, ...]
    window: Window
    scale: Scale
    mapping: Polynomial | Network
    initial: FloatArray
    description: str = ""

    @property
    def kind(self) -> str:
        """Of the file."""
        return "narx" if isinstance(self.mapping, Polynomial) else "neural"

    def model(self, domain: Domain | None = None) -> SurrogateModel:
        """As controllers use it."""
        low, high = (np.array([getattr(u, side) for u in self.inputs]) for side in ("min", "max"))
        return SurrogateModel(
            self.kind,
            process_of(self.period, self.inputs, self.outputs, self.window, self.scale, self.mapping),
            self.inputs,
            self.outputs,
            self.initial,
            domain or Domain([u.name for u in self.inputs], low, high),
            description=self.description,
            digest=self.digest(),
        )

    def digest(self) -> str:
        """Changes with any number of the model."""
        found = hashlib.sha256(repr((self.period, self.window, self.inputs)).encode())
        arrays = [getattr(self.scale, n) for n in _SCALE]
        if isinstance(self.mapping, Network):
            arrays += [part for layer in self.mapping.layers for part in layer]
        else:
            found.update(repr(self.mapping.terms).encode())
        for array in arrays:
            found.update(np.ascontiguousarray(array, dtype="<f8").tobytes())
        return found.hexdigest()

    def sections(self, file: Path, more: Mapping[str, Any]) -> dict[str, Any]:
        """What the file contains; large arrays are written beside it."""
        data: dict[str, Any] = {"surrogate": SCHEMA, "kind": self.kind}
        if self.description:
            data["description"] = self.description
        data |= {
            "period": f"{self.period!r} s",
            "inputs": {u.name: Row(input_entry(u)) for u in self.inputs},
            "outputs": {y.name: Row(output_entry(y)) for y in self.outputs},
            **more,
            "window": Row(
                outputs=self.window.outputs,
                inputs=Line(self.window.inputs),
                filters=Line(self.window.filters),
                stages=self.window.stages,
            ),
            "scale": {n: _line(getattr(self.scale, n)) for n in _SCALE},
            "initial": _line(self.initial),
        }
        if isinstance(self.mapping, Polynomial):
            pairs = zip(self.outputs, self.mapping.terms, strict=True)
            data["terms"] = {y.name: [Line([c, Line(t)]) for c, t in terms] for y, terms in pairs}
            return data
        layers = self.mapping.layers
        if sum(w.size + b.size for w, b in layers) <= _MOST:
            data["layers"] = [{"weights": [_line(row) for row in w], "offsets": _line(b)} for w, b in layers]
            return data
        stream = io.BytesIO()
        named = {f"{what}{k}": part for k, layer in enumerate(layers) for what, part in zip("wb", layer, strict=True)}
        np.savez(stream, **named)  # type: ignore[arg-type]
        beside = file.with_suffix(".npz")
        beside.write_bytes(stream.getvalue())
        return data | {"arrays": beside.name, "arrays_sha256": hashlib.sha256(stream.getvalue()).hexdigest()}


def build(section: Section) -> SurrogateModel:
    """Read a model. Raises GalenicError with file and line."""
    return read(section).model()


def read(section: Section) -> Lagged:
    """Read what a file keeps. Raises GalenicError with file and line."""
    source, data = section.source, section.data
    for key in ("period", "inputs", "outputs", "window", "scale", "initial"):
        if key not in data:
            raise section.error((), f"'{key}' is missing", _DAMAGED)
    inputs, outputs = signals_of(source)
    kind = data["kind"]
    try:
        seen = data["window"]
        lags, filters = tuple(int(v) for v in seen["inputs"]), tuple(float(v) for v in seen["filters"])
        window = Window(int(seen["outputs"]), lags, filters, int(seen["stages"]))
        scale = Scale(*(np.array(data["scale"][n], dtype=np.float64) for n in _SCALE))
        mapping = _polynomial(data, outputs) if kind == "narx" else _network(section)
        lagged = Lagged(
            seconds_of(source),
            inputs,
            outputs,
            window,
            scale,
            mapping,
            np.array(data["initial"], dtype=np.float64),
            str(data.get("description") or ""),
        )
        process = lagged.model().process
    except (KeyError, TypeError, ValueError, IndexError, RuntimeError) as error:
        raise section.error((), f"the {kind} model does not fit together", _DAMAGED) from error
    if len(lagged.initial) != len(process.states) or not np.isfinite(lagged.initial).all():
        raise section.error(("initial",), f"'initial' needs {len(process.states)} numbers", _DAMAGED)
    return lagged


def _polynomial(data: Mapping[str, Any], outputs: tuple[SurrogateOutput, ...]) -> Polynomial:
    rows = [data["terms"][y.name] for y in outputs]
    return Polynomial(tuple(tuple((float(c), tuple(int(k) for k in term)) for c, term in row) for row in rows))


def _network(section: Section) -> Network:
    data = section.data
    if "arrays" not in data:
        layers = [(np.array(e["weights"], dtype=float), np.array(e["offsets"], dtype=float)) for e in data["layers"]]
        return Network(tuple(layers))
    content = section.file_of("arrays").read_bytes()
    if hashlib.sha256(content).hexdigest() != data.get("arrays_sha256"):
        raise section.error(("arrays",), f"'{data['arrays']}' is not the file that belongs to this one", _DAMAGED)
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return Network(tuple((arrays[f"w{k}"], arrays[f"b{k}"]) for k in range(len(arrays.files) // 2)))


def _line(values: FloatArray) -> Line:
    return Line(float(v) for v in values)
