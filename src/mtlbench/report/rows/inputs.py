"""What a report is made from: names and places of cells; everything else is read from their files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mtlbench.plan.names import ONLY


@dataclass(frozen=True)
class CellInput:
    """One cell of the grid, finished or not.

    ``folder`` holds manifest.<key>.json, metrics.json, history.csv, per_image.npz and samples.npz; None when there
    is no result, and then ``missing`` says why. ``withheld`` names what a shipped cell came without (runs/shipped.py).
    The titles are names for people; without one the label serves. ``mean_of`` is the label of the weighting whose mean
    weights the cell takes, "" for its own. Networks of one ``model_family`` share a backbone.
    """

    path: str
    model: str
    weighting: str
    seed: int
    tasks: tuple[str, ...]
    folder: Path | None
    key: str = ""
    missing: str | None = None
    model_kind: str = ""
    model_options: Mapping[str, Any] = field(default_factory=dict)
    withheld: frozenset[str] = frozenset()
    model_title: str = ""
    model_family: str = ""
    weighting_title: str = ""
    weighting_kind: str = ""
    mean_of: str = ""

    @property
    def single_task(self) -> bool:
        """Whether this is one of the cells that a single-task row joins."""
        return self.weighting.startswith(ONLY)

    @property
    def row(self) -> tuple[str, str]:
        """The row of the tables that this cell belongs to: (model, weighting), "" for a single-task row."""
        return (self.model, "" if self.single_task else self.weighting)


@dataclass(frozen=True)
class ReportInput:
    """One experiment's report. ``cells`` are in the order of params.yaml; ``tasks`` in the order of the tables.

    ``tasks`` holds the arguments of each task's constructor; ``size`` is (height, width); ``protocol`` and
    ``training`` are the blocks of params.yaml; ``baseline`` is the label of the single-task model that Delta_m is
    relative to; ``constant`` the metrics of the best constant prediction; ``command`` makes everything again.
    ``published`` is the published table (``evidence``) that the numbers may stand beside, None for none, and
    ``published_batch`` the images in a test batch of the published codes: facts of the dataset, not of its label.
    ``baseline_errors`` {domain: error} are those that the score S of the Visual Decathlon is relative to, {} for the
    baseline's own. ``remarks`` say what is wrong with the cells together. ``papers`` are (paper, title) as the entries
    of the grid declare them. ``searched`` says that the rows' settings are those of a search, ``search`` is its block
    of params.yaml, {} without one, ``selection`` the content of its selection.json, None before the choice; ``trials``
    are the trials of every row (``model/weighting``) by number.
    """

    name: str
    title: str
    dataset: str
    size: tuple[int, int]
    protocol: Mapping[str, Any]
    training: Mapping[str, Any]
    tasks: Mapping[str, Mapping[str, Any]]
    cells: tuple[CellInput, ...]
    baseline: str | None = None
    baseline_errors: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    constant: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    command: str = ""
    published: str | None = None
    published_batch: int = 2
    remarks: tuple[str, ...] = ()
    papers: tuple[tuple[str, str], ...] = ()
    searched: bool = False
    search: Mapping[str, Any] = field(default_factory=dict)
    selection: Mapping[str, Any] | None = None
    trials: Mapping[str, tuple[CellInput, ...]] = field(default_factory=dict)
