"""What is made from the cells of an experiment: its selection, and what tables and page depend on."""

from pathlib import Path
from typing import Any

from mtlbench.plan import keys, places, searched
from mtlbench.plan.grid import cells, experiment, trials
from mtlbench.plan.params import Params

#: Bumped by hand when code is meant to change the report of every experiment.
REPORT_VERSION = 3


def selection_spec(params: Params, name: str, rung: int | None = None) -> dict[str, Any] | None:
    """What the selection of an experiment (or of one of its rungs) depends on; None where there is no search."""
    search = experiment(params, name).search
    if search is None:
        return None
    found: dict[str, list[str]] = {}
    for cell in trials(params, name, rung):
        found.setdefault(f"{cell.model}/{cell.weighting}", []).append(cell.key)
    return searched.selection_spec(found, search.rule, None if rung is None else search.rungs[rung - 1].keep)


def selection_manifest(params: Params, name: str, rung: int | None = None) -> Path | None:
    """Exists when the settings of the final runs are chosen from exactly these trials; None without a search.

    With ``rung``: when it is decided which of exactly these go on.
    """
    spec = selection_spec(params, name, rung)
    return None if spec is None else places.selection(name, rung) / keys.manifest_name(keys.key(spec))


def rungs(params: Params, name: str) -> range:
    """The numbers of the rungs of an experiment's search, from 1; none where nothing is stopped."""
    search = experiment(params, name).search
    return range(1, 1 + len(search.rungs if search else ()))


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
