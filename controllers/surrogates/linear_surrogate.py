"""A reduced-order model of the plant: discrete, linear, with its training domain and its error; kept in a file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from cosim.component import FloatArray
from cosim.yaml_lines import Source, read_yaml
from fmus.errors import GalenicError, nearest
from fmus.quantity import parse_quantity

SCHEMA = "galenic/1"


@dataclass(frozen=True)
class SurrogateInput:
    """An input: its operating point, and the range that the training excited (its training domain)."""

    name: str
    unit: str
    operating_point: float
    min: float
    max: float


@dataclass(frozen=True)
class SurrogateOutput:
    """An output: its operating point, whether it integrates, and the error on data that the training did not see.

    ``rmse`` is in ``unit`` and ``fit`` in %, 100 (1 - |y - y_model| / |y - mean(y)|), both over the whole horizon of a
    simulation from the operating point; NaN where there was no validation.
    """

    name: str
    unit: str
    operating_point: float
    integrating: bool = False
    rmse: float = math.nan
    fit: float = math.nan


@dataclass(frozen=True)
class LinearSurrogate:
    r"""A discrete linear state space around an operating point (u0, y0).

        x_{k+1} = A x_k + B (u_k - u0),      y_k = y0 + C x_k + D (u_k - u0),      u_k held over [t_k, t_k + period)

    The state has no meaning of its own; x = 0 is the operating point at rest. An output that integrates (a hopper's
    level) belongs to a mode at exactly 1.

    Args:
        a: shape (n, n).
        b: shape (n, m), per unit of each input.
        c: shape (p, n), in the unit of each output.
        d: shape (p, m).
        period: sampling period in s.
        inputs: m inputs in the order of the columns of ``b``.
        outputs: p outputs in the order of the rows of ``c``.
        description: one line for people.
        provenance: where it comes from: scenario, hash, date, versions, method and its settings.

    Raises:
        GalenicError: shapes that do not fit, numbers that are not finite, or a mode outside the unit circle.
    """

    a: FloatArray
    b: FloatArray
    c: FloatArray
    d: FloatArray
    period: float
    inputs: tuple[SurrogateInput, ...]
    outputs: tuple[SurrogateOutput, ...]
    description: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n, m, p = self.a.shape[0], len(self.inputs), len(self.outputs)
        for name, matrix, shape in (
            ("A", self.a, (n, n)),
            ("B", self.b, (n, m)),
            ("C", self.c, (p, n)),
            ("D", self.d, (p, m)),
        ):
            if matrix.shape != shape:
                raise GalenicError(f"matrix {name} has shape {matrix.shape}, expected {shape}")
            if not np.isfinite(matrix).all():
                raise GalenicError(f"matrix {name} has entries that are not finite")
        if n and self.spectral_radius > 1.0 + 1e-9:
            raise GalenicError(
                f"the surrogate is unstable: a mode at {self.spectral_radius:.6g}",
                cure="identify it again with a longer horizon",
            )

    @property
    def spectral_radius(self) -> float:
        """Largest magnitude of the modes; 1 where an output integrates."""
        return float(np.abs(np.linalg.eigvals(self.a)).max()) if self.a.size else 0.0

    @property
    def u0(self) -> FloatArray:
        """Operating point of the inputs, shape (m,)."""
        return np.array([u.operating_point for u in self.inputs])

    @property
    def y0(self) -> FloatArray:
        """Operating point of the outputs, shape (p,)."""
        return np.array([y.operating_point for y in self.outputs])

    def input_index(self, name: str) -> int:
        """Index of an input by its full or its unique last name. Raises GalenicError with the nearest name."""
        return _index(name, [u.name for u in self.inputs], "input")

    def output_index(self, name: str) -> int:
        """Index of an output by its full or its unique last name. Raises GalenicError with the nearest name."""
        return _index(name, [y.name for y in self.outputs], "output")

    def predict(self, inputs: FloatArray, state: FloatArray | None = None) -> FloatArray:
        """Outputs under a sequence of inputs.

        Args:
            inputs: absolute values, shape (N, m); row k is held over period k.
            state: x at the start, shape (n,); the operating point at rest by default.

        Returns:
            absolute outputs, shape (N + 1, p); row 0 is at the start, row k after k periods. Where D is not zero the
            direct part of the last row uses the last input.
        """
        x = np.zeros(self.a.shape[0]) if state is None else np.asarray(state, dtype=np.float64)
        u0, y0 = self.u0, self.y0
        result = np.empty((len(inputs) + 1, len(self.outputs)))
        for k, u in enumerate(inputs):
            result[k] = y0 + self.c @ x + self.d @ (u - u0)
            x = self.a @ x + self.b @ (u - u0)
        last = inputs[-1] - u0 if len(inputs) else np.zeros_like(u0)
        result[-1] = y0 + self.c @ x + self.d @ last
        return result

    def step_response(self, steps: int) -> FloatArray:
        """Response of each output to a unit step of each input, shape (steps + 1, p, m), as deviations."""
        x = np.zeros_like(self.b)
        result = np.empty((steps + 1, len(self.outputs), len(self.inputs)))
        for k in range(steps + 1):
            result[k] = self.c @ x + self.d
            x = self.a @ x + self.b
        return result

    def contains(self, inputs: FloatArray) -> bool:
        """Whether inputs (shape (m,)) lie in the training domain."""
        return all(u.min <= value <= u.max for u, value in zip(self.inputs, inputs, strict=True))

    def save(self, file: Path | str, more: Mapping[str, Any] | None = None) -> None:
        """Write the surrogate as YAML: names, units and errors for people, matrices as rows.

        Args:
            file: to write.
            more: sections beside the model: its ``validation`` and its ``domain``, see `controllers.surrogates.files`.
        """
        data: dict[str, Any] = {"surrogate": SCHEMA, "kind": "linear"}
        if self.description:
            data["description"] = self.description
        data["period"] = f"{self.period!r} s"
        data["inputs"] = {u.name: Row(input_entry(u)) for u in self.inputs}
        data["outputs"] = {y.name: Row(output_entry(y)) for y in self.outputs}
        data |= more or {}
        if self.provenance:
            data["provenance"] = dict(self.provenance)
        for name, matrix in (("A", self.a), ("B", self.b), ("C", self.c), ("D", self.d)):
            data[name] = [Line(float(v) for v in row) for row in matrix]
        text = yaml.dump(data, Dumper=Dumper, sort_keys=False, width=100_000, allow_unicode=True)
        Path(file).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, file: Path | str) -> LinearSurrogate:
        """Read a surrogate file.

        Raises:
            GalenicError: missing, malformed, of another schema, or inconsistent; with file, line and cure.
        """
        source = read_surrogate(file)
        data = source.data
        if data.get("kind", "linear") != "linear":
            raise source.error(
                ("kind",),
                f"this surrogate is of kind '{data['kind']}', not linear",
                "name it under 'model:' for the nonlinear MPC, or identify a linear one",
            )
        known = {
            "surrogate",
            "kind",
            "description",
            "period",
            "inputs",
            "outputs",
            "validation",
            "domain",
            "provenance",
        }
        known |= {"A", "B", "C", "D"}
        for key in data:
            if key not in known:
                raise source.error((key,), f"unknown key '{key}'", nearest(str(key), known))
        for key in ("period", "inputs", "outputs", "A", "B", "C", "D"):
            if key not in data:
                raise source.error((), f"'{key}' is missing", "the file is damaged: identify the surrogate again")
        inputs, outputs = signals_of(source)
        n, m, p = len(data["A"] or ()), len(inputs), len(outputs)
        try:
            return cls(
                a=_matrix(source, "A", (n, n)),
                b=_matrix(source, "B", (n, m)),
                c=_matrix(source, "C", (p, n)),
                d=_matrix(source, "D", (p, m)),
                period=seconds_of(source),
                inputs=inputs,
                outputs=outputs,
                description=str(data.get("description") or ""),
                provenance=data.get("provenance") or {},
            )
        except GalenicError as error:
            if error.file is not None:
                raise
            raise source.error((), error.message, error.cure) from error


def read_surrogate(file: Path | str) -> Source:
    """The content of a surrogate file of any kind.

    Raises:
        GalenicError: missing, malformed, or of another schema; with file, line and cure.
    """
    source = read_yaml(Path(file))
    data = source.data
    if not isinstance(data, dict) or "surrogate" not in data:
        raise source.error(
            (), "this is not a surrogate file", "name a file that 'galenic identify' wrote, with 'surrogate:'"
        )
    if data["surrogate"] != SCHEMA:
        raise source.error(
            ("surrogate",),
            f"schema '{data['surrogate']}' is not one that this version reads ({SCHEMA})",
            "identify the surrogate again with this version",
        )
    return source


def _index(name: str, names: list[str], kind: str) -> int:
    if name in names:
        return names.index(name)
    same = [i for i, n in enumerate(names) if n.rsplit(".", 1)[-1] == name]
    if len(same) == 1:
        return same[0]
    if same:
        raise GalenicError(f"'{name}' could be any of {', '.join(names[i] for i in same)}", cure="write the full name")
    raise GalenicError(f"the surrogate has no {kind} '{name}'", cure=nearest(name, names))


def input_entry(u: SurrogateInput) -> dict[str, Any]:
    """As it stands in a file."""
    return {"unit": u.unit, "operating_point": u.operating_point, "min": u.min, "max": u.max}


def output_entry(y: SurrogateOutput) -> dict[str, Any]:
    """As it stands in a file."""
    entry: dict[str, Any] = {"unit": y.unit, "operating_point": y.operating_point, "integrating": y.integrating}
    if math.isfinite(y.rmse):
        entry["rmse"] = y.rmse
    if math.isfinite(y.fit):
        entry["fit"] = y.fit
    return entry


def signals_of(source: Source) -> tuple[tuple[SurrogateInput, ...], tuple[SurrogateOutput, ...]]:
    """Inputs and outputs of a file. Raises GalenicError with file and line."""
    inputs = tuple(SurrogateInput(n, **e) for n, e in _entries(source, "inputs", SurrogateInput))
    return inputs, tuple(SurrogateOutput(n, **e) for n, e in _entries(source, "outputs", SurrogateOutput))


def _entries(source: Source, section: str, kind: type) -> list[tuple[str, dict[str, Any]]]:
    entries = source.data[section]
    if not isinstance(entries, dict) or not entries:
        raise source.error((section,), f"'{section}' has to name at least one signal", "identify the surrogate again")
    types = {k: v.type for k, v in kind.__dataclass_fields__.items() if k != "name"}  # type: ignore[attr-defined]
    required = {k for k in types if k not in ("integrating", "rmse", "fit")}
    result = []
    for name, entry in entries.items():
        path = (section, name)
        if not isinstance(entry, dict):
            raise source.error(path, f"'{name}' has to be a mapping", "write {unit: .., operating_point: ..}")
        for key in entry:
            if key not in types:
                raise source.error((*path, key), f"unknown key '{key}'", nearest(str(key), types))
            value, wanted = entry[key], {"str": str, "bool": bool}.get(types[key], (int, float))
            if not isinstance(value, wanted) or (isinstance(value, bool) and types[key] != "bool"):
                raise source.error(
                    (*path, key), f"'{name}.{key}': {value!r} is not a {types[key]}", "correct the value"
                )
        missing = required - entry.keys()
        if missing:
            raise source.error(path, f"'{name}' has no '{sorted(missing)[0]}'", f"add '{sorted(missing)[0]}'")
        values = {k: float(v) if types[k] == "float" else v for k, v in entry.items()}
        if "min" in values and not values["min"] <= values["operating_point"] <= values["max"]:
            raise source.error(path, f"'{name}': the operating point is outside min to max", "correct the range")
        result.append((str(name), values))
    return result


def _matrix(source: Source, name: str, shape: tuple[int, int]) -> FloatArray:
    rows = source.data[name]
    expected = f"matrix {name} needs {shape[0]} rows of {shape[1]} numbers"
    if not isinstance(rows, list) or len(rows) != shape[0]:
        raise source.error((name,), expected, "the file is damaged: identify the surrogate again")
    for index, row in enumerate(rows):
        if (
            not isinstance(row, list)
            or len(row) != shape[1]
            or not all(isinstance(v, int | float) and not isinstance(v, bool) for v in row)
        ):
            raise source.error((name, index), f"{expected}; row {index + 1} is not", "correct this row")
    return np.array(rows, dtype=np.float64).reshape(shape)


def seconds_of(source: Source) -> float:
    """The sampling period of a file. Raises GalenicError with file and line."""
    try:
        period = parse_quantity(source.data["period"], "s")
    except GalenicError as error:
        raise source.error(("period",), error.message, error.cure) from error
    if not 0.0 < period < math.inf:
        raise source.error(("period",), "the period has to be greater than zero", "correct it")
    return period


class Row(dict[str, Any]):
    """A mapping written in one line."""


class Line(list[Any]):
    """A list written in one line."""


class Dumper(yaml.SafeDumper):
    """YAML for people: rows in one line, numbers that read back to the same."""


def _float(dumper: yaml.SafeDumper, value: float) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:float", _number(value))


def _number(value: float) -> str:
    text = repr(value)  # the shortest text that reads back to the same number
    return text if "." in text or "e" not in text else text.replace("e", ".0e")


Dumper.add_representer(float, _float)
Dumper.add_representer(Row, lambda d, v: d.represent_mapping("tag:yaml.org,2002:map", v.items(), flow_style=True))
Dumper.add_representer(Line, lambda d, v: d.represent_sequence("tag:yaml.org,2002:seq", v, flow_style=True))
