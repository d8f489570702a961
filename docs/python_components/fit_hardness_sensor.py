"""Fits the regression of `hardness_sensor.py` to a run of the press: python fit_hardness_sensor.py RUN FILE.joblib."""

from __future__ import annotations

import sys
from pathlib import Path

import joblib
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from cosim import Results

INPUTS = ["press.main_compression_force", "press.fill_depth"]
WARM_UP = 60.0  # s


def fit(run: Path, file: Path) -> float:
    """Write the regression; returns R2 on the last quarter of the run, which it was not fitted to."""
    frame = Results.open(run).frame([*INPUTS, "press.hardness"]).loc[WARM_UP:]
    x, y = frame[INPUTS].to_numpy(), frame["press.hardness"].to_numpy()
    cut = 3 * len(y) // 4
    regression = make_pipeline(StandardScaler(), PolynomialFeatures(2), StandardScaler(), Ridge(1e-3))
    regression.fit(x[:cut], y[:cut])
    joblib.dump({"regression": regression, "low": x.min(axis=0), "high": x.max(axis=0)}, file)
    return float(regression.score(x[cut:], y[cut:]))


if __name__ == "__main__":
    print(f"R2 on data that were not used: {fit(Path(sys.argv[1]), Path(sys.argv[2])):.4f}")
