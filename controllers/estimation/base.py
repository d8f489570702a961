"""What every estimator can be asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from controllers.estimation.channels import Reason
from cosim.component import FloatArray


class StateEstimator(Protocol):
    """Estimates states and disturbances of an `EstimationModel`; arrays are in its order and units.

    One period is ``predict(inputs that were applied)``, then ``correct(values that arrived)``.
    """

    @property
    def state(self) -> FloatArray:
        """Estimate, shape (n,)."""

    @property
    def covariance(self) -> FloatArray:
        """Its covariance, shape (n, n)."""

    @property
    def outputs(self) -> FloatArray:
        """Estimated outputs, measured or not, shape (p,)."""

    @property
    def outputs_std(self) -> FloatArray:
        """Their standard deviations, shape (p,)."""

    def initialize(self, state: FloatArray, covariance: FloatArray, inputs: FloatArray) -> None:
        """Begin from a state, a covariance or standard deviations, and the inputs in force."""

    def predict(self, inputs: FloatArray) -> bool:
        """Over one period; whether model and inputs were usable."""

    def correct(
        self, values: FloatArray, fresh: Sequence[bool] | None = None, ages: Sequence[int | None] | None = None
    ) -> list[Reason]:
        """By what arrived; what became of each value."""

    def snapshot(self) -> dict[str, Any]:
        """All it knows."""

    def recall(self, snapshot: Mapping[str, Any]) -> None:
        """Go on from what `snapshot` gave, bit-identically."""
