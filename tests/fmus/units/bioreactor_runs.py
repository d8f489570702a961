"""Runs of the bioreactor for its tests: published conditions, tables, readings."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
HOUR = 3600.0
#: temperature, pH and oxygen do not act, no base is given: the published kinetics alone
PUBLISHED = {"effect__sensitivity": 0.0, "ph_loop__manual": 1.0}


def table(name: str) -> list[dict[str, str]]:
    lines = (HERE / f"bioreactor_{name}.csv").read_text(encoding="utf-8").splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def run_to(driver: Any, hour: float, size: float = 900.0) -> None:
    while driver.time < hour * HOUR - 1e-6:
        driver.step(min(size, hour * HOUR - driver.time))


def read(driver: Any, quantity: str) -> float:
    """In the units of the tables: cells in 1e6/mL."""
    names = {"viable_cells": "viable_cell_density", "dead_cells": "dead_cell_density", "mab": "titre"}
    value = driver.get(names.get(quantity, "broth_volume" if quantity == "volume" else quantity))
    return value * 1e-6 if quantity.endswith("cells") else value


def fed_batch(driver: Any, hours: list[float], **start: float) -> dict[float, dict[str, float]]:
    """The reconstructed fed-batch; what it holds at ``hours``."""
    driver.start(initial__glucose=39.0, supplement__glucose=722.0, **start)
    feed = [(float(r["from_hour"]), float(r["flow"])) for r in table("badr2021_feed")]
    times = sorted({*hours, *(begins for begins, _ in feed)})
    held = {}
    for hour in times:
        run_to(driver, hour)
        held[hour] = {q: read(driver, q) for q in ("viable_cells", "mab", "lactate", "glucose")}
        driver.set(supplement__flow=[0.0, *(flow for begins, flow in feed if begins <= hour)][-1])
    return held
