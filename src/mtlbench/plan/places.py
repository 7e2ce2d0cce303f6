"""Where everything of the project lies: the only module that spells a path.

All paths are relative to the project's folder (where params.yaml is), which commands run in. Rule files and tests use
them too; only dvc.yaml and the Makefile, which cannot, repeat some (a test compares). Functions take names as text,
so that a rule may give a wildcard: ``places.cell("{experiment}/{model}")``.

- ``results/``: small results, versioned. ``checkpoints/``: the networks' weights, versioned. ``data/``: raw files and
  prepared arrays, versioned by DVC or made again.
- ``work/``: what no result is a function of: resume states, progress, logs, leases, and the store of finished cells,
  which survives every checkout and may lie elsewhere.
"""

import os
from pathlib import Path

_DATA, _RESULTS, _WORK = Path("data"), Path("results"), Path("work")

#: Raw files and prepared arrays, a folder for each dataset.
DATA, RAW, PREPARED = _DATA, _DATA / "raw", _DATA / "prepared"
#: Small results, versioned: the cells' files, tidy tables, reports, and what DVC shows: a file for each row of a table,
#: and one of curves.
RESULTS, CELLS, SUMMARIES, REPORTS = _RESULTS, _RESULTS / "cells", _RESULTS / "summary", _RESULTS / "report"
#: What searches chose, small and versioned by git, so that a clone knows the settings of its final runs.
SELECTIONS = _RESULTS / "selection"
METRICS, CURVES = _RESULTS / "metrics", _RESULTS / "curves.csv"
#: What is committed with the repository: small tables and figures, and the small files of finished cells.
SHIPPED_CELLS = _RESULTS / "shipped" / "cells"
#: The networks' weights, versioned apart because they are large.
CHECKPOINTS = Path("checkpoints")
#: Resume states by key, logs of jobs, leases, and the store unless ``STORE_VARIABLE`` says another.
WORK, RESUME, LOGS, LEASES, STORE = _WORK, _WORK / "cells", _WORK / "logs", _WORK / "leases", _WORK / "store"
#: The environment variable that names a store outside the checkout.
STORE_VARIABLE = "MTLBENCH_STORE"
#: Where Snakemake keeps copies of the outputs that a job updates.
SNAKEMAKE_BACKUPS = Path(".snakemake/backups")


def raw(name: str) -> Path:
    """Downloaded raw files of a kind of dataset, or of a dataset with a source of its own."""
    return RAW / name


def prepared(name: str) -> Path:
    """The arrays of a dataset."""
    return PREPARED / name


def cell(path: str) -> Path:
    """Metrics, curves, samples and manifest of the cell ``experiment/model/weighting/seed<n>``."""
    return CELLS / path


def weights(path: str) -> Path:
    """The trained network of a cell."""
    return CHECKPOINTS / path


def sources(dataset: str) -> Path:
    """Digests of the raw files of a dataset that have no published checksum; small and versioned."""
    return _RESULTS / "sources" / f"{dataset}.json"


def selection(experiment: str, rung: int | str | None = None) -> Path:
    """The settings that the search of an experiment chose, with their evidence; small and versioned.

    With ``rung``: the trials that went on from there. No experiment has a dot in its name.
    """
    return SELECTIONS / (experiment if rung is None else f"{experiment}.rung{rung}")


def digests() -> Path:
    """Digests of raw files by path, size and time, so that each is read once; may be deleted at any time."""
    return _WORK / "digests.json"


def counts(key: str) -> Path:
    """Parameters and operations of all models for one set of tasks and size; may be deleted at any time."""
    return _WORK / "counts" / f"{key}.json"


def tracked(tracker: str) -> Path:
    """What `runtime.tracker` writes of the runs, beside their results; may be deleted at any time."""
    return _WORK / "tracked" / tracker


def vega() -> Path:
    """The scripts that draw the page of `dvc plots show`; may be deleted at any time."""
    return _WORK / "vega"


def summary(experiment: str) -> Path:
    """The tidy tables of an experiment."""
    return SUMMARIES / experiment


def report(experiment: str) -> Path:
    """The page, tables and figures of an experiment."""
    return REPORTS / experiment


def work_folder(key: str) -> Path:
    """Resume state, progress and log of a cell; outside everything that Snakemake or DVC removes."""
    return RESUME / key


def store() -> Path:
    """The store of finished cells."""
    return Path(os.environ.get(STORE_VARIABLE, STORE))


def shipped(key: str) -> Path:
    """The small files of a finished cell that are committed."""
    return SHIPPED_CELLS / key


def cell_lease(key: str) -> Path:
    """The lease of a cell's training lies with the store, so that checkouts which share one train it once."""
    return store() / ".leases" / f"{key}.json"


def checkout_lease() -> Path:
    """The lease of the Snakemake that submits jobs from this checkout."""
    return LEASES / "snakemake.json"


def aside(folder: Path) -> Path:
    """Where a folder of results grows until it takes its place: on the same file system, outside what DVC records."""
    return _RESULTS / ".making" / "-".join(folder.relative_to(_RESULTS).parts)


def folder_lease(folder: Path) -> Path:
    """The lease of the process that makes a folder of results."""
    return LEASES / f"{'-'.join(folder.relative_to(_RESULTS).parts)}.json"


def log(verb: str, name: str) -> Path:
    """What a job of the workflow prints."""
    return LOGS / verb / f"{name}.log"


def benchmark(name: str) -> Path:
    """The time and memory of a training job as Snakemake measures them: one line of numbers."""
    return LOGS / "train" / f"{name}.tsv"
