"""What is made from the cells of an experiment: its selection, and what tables and page depend on."""

from pathlib import Path
from typing import Any

from mtlbench.plan import keys, places, rows
from mtlbench.plan.grid import cells, every_cell, experiment
from mtlbench.plan.params import Params

#: Bumped by hand when code is meant to change the report of every experiment.
REPORT_VERSION = 3


def selection_spec(params: Params, name: str) -> dict[str, Any] | None:
    """What the selection of an experiment depends on; None where there is no search."""
    search = experiment(params, name).search
    if search is None:
        return None
    trials: dict[str, list[str]] = {}
    for cell in every_cell(params, name):
        if cell.trial is not None:
            trials.setdefault(f"{cell.model}/{cell.weighting}", []).append(cell.key)
    return rows.selection_spec(trials, search.rule)


def selection_manifest(params: Params, name: str) -> Path | None:
    """Exists when the settings of the final runs are chosen from exactly these trials; None without a search."""
    spec = selection_spec(params, name)
    return None if spec is None else places.selection(name) / keys.manifest_name(keys.key(spec))


def report_spec(params: Params, name: str) -> dict[str, Any]:
    """What the tables and the page of an experiment depend on; ``runs/pages.py`` has their manifests."""
    grid = experiment(params, name)
    return {
        "version": REPORT_VERSION,
        "title": grid.title,
        "baseline": grid.baseline,
        **({"baseline_errors": grid.baseline_errors} if grid.baseline_errors else {}),
        "cells": {cell.path: cell.key for cell in cells(params, name)},
    }
