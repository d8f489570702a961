"""Kind ``narx``: a sparse polynomial of the window, its terms chosen by orthogonal matching pursuit (scikit-learn)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any

import casadi as ca
import numpy as np

from controllers.surrogates.optional import scikit_learn
from cosim.component import FloatArray

Term = tuple[int, ...]


@dataclass(frozen=True)
class Polynomial:
    """g_i = sum of coefficient times product of the window's entries in a term; the empty term is the constant."""

    terms: tuple[tuple[tuple[float, Term], ...], ...]

    @property
    def parameters(self) -> FloatArray:
        """The coefficients."""
        return np.array([coefficient for terms in self.terms for coefficient, _ in terms])

    def with_parameters(self, parameters: FloatArray) -> Polynomial:
        """The same terms with other coefficients."""
        numbers = iter(map(float, parameters))
        return Polynomial(tuple(tuple((next(numbers), term) for _, term in terms) for terms in self.terms))

    def expression(self, phi: Any, parameters: Any | None = None) -> Any:
        """In CasADi."""
        rows, numbers = [], iter(ca.vertsplit(ca.SX(self.parameters) if parameters is None else parameters))
        for terms in self.terms:
            value = ca.SX(0)
            for _, term in terms:
                product = next(numbers)
                for position in term:
                    product = product * phi[position]
                value = value + product
            rows.append(value)
        return ca.vertcat(*rows)


def candidates(entries: int, degree: int) -> list[Term]:
    """All products of up to ``degree`` entries."""
    return [t for d in range(degree + 1) for t in combinations_with_replacement(range(entries), d)]


def features(phi: FloatArray, terms: Sequence[Term]) -> FloatArray:
    """Values of terms, shape (N, len(terms))."""
    result = np.ones((len(phi), len(terms)))
    for column, term in enumerate(terms):
        for position in term:
            result[:, column] *= phi[:, position]
    return result


def paths(phi: FloatArray, change: FloatArray, counts: Sequence[int], degree: int = 2) -> list[Polynomial]:
    """The polynomials with so many terms in each output, the constant not counted.

    Args:
        phi: scaled windows, shape (N, n_phi).
        change: scaled changes, shape (N, p).
        counts: numbers of terms, rising.
        degree: of the polynomials.

    Raises:
        GalenicError: scikit-learn is not installed.
    """
    pursuit = scikit_learn("linear_model").orthogonal_mp_gram
    terms = candidates(phi.shape[1], degree)[1:]
    x = features(phi, terms)
    mean, size = x.mean(axis=0), x.std(axis=0)
    useful = size > 1e-9
    terms = [t for t, use in zip(terms, useful, strict=True) if use]
    scaled = (x[:, useful] - mean[useful]) / size[useful]
    gram = scaled.T @ scaled
    found: list[list[tuple[tuple[float, Term], ...]]] = [[] for _ in counts]
    for i in range(change.shape[1]):
        target = change[:, i] - change[:, i].mean()
        along = np.atleast_2d(scaled.T @ target).ravel()
        for row, count in zip(found, counts, strict=True):
            most = min(count, scaled.shape[1], len(scaled) // 2)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that fewer terms are all that is needed
                coefficients = pursuit(gram, along, n_nonzero_coefs=most)
            chosen = np.flatnonzero(coefficients)
            part = [(float(coefficients[k] / size[useful][k]), terms[k]) for k in chosen]
            constant = float(change[:, i].mean() - sum(c * mean[useful][k] for (c, _), k in zip(part, chosen)))  # noqa: B905
            row.append(((constant, ()), *part))
    return [Polynomial(tuple(rows)) for rows in found]
