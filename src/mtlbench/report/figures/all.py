"""Which figures a report has, in their order."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from mtlbench.diagrams.draw import draw_svg
from mtlbench.report.evidence import stability
from mtlbench.report.evidence.analysis import Analysis
from mtlbench.report.figures import (
    aggregate,
    chosen,
    classes,
    classified,
    curves,
    equal_loss,
    fronts,
    gains,
    mosaic,
    panels,
    rankings,
    search_cost,
    tradeoffs,
    trajectories,
    tuning,
)
from mtlbench.report.figures.style import Picture
from mtlbench.report.rows.grid import Grid, Row
from mtlbench.system.errors import MtlbenchError
from mtlbench.system.workers import run_forked

#: The figures of an experiment with a search, with their part of the section on tuning.
_OF_A_SEARCH: tuple[tuple[str, Callable[..., Any]], ...] = (
    ("tuning", tuning.best_of_trials),
    ("tuning", tuning.rates),
    ("fronts", fronts.fronts),
    ("equal_loss", equal_loss.at_equal_loss),
    ("search_cost", search_cost.search_cost),
)
#: The sections whose figures show curves over the epochs.
_OF_CURVES = ("overview", "curves", "trajectories")


@dataclass(frozen=True)
class Sections:
    """The figures by section; the per-model ones by model; the drawings of the architectures as SVG text."""

    statistics: list[Picture] = field(default_factory=list)
    networks: list[Picture] = field(default_factory=list)
    tuning: list[Picture] = field(default_factory=list)
    fronts: list[Picture] = field(default_factory=list)
    equal_loss: list[Picture] = field(default_factory=list)
    search_cost: list[Picture] = field(default_factory=list)
    overview: list[Picture] = field(default_factory=list)
    curves: Mapping[str, list[Picture]] = field(default_factory=dict)
    trajectories: Mapping[str, list[Picture]] = field(default_factory=dict)
    compared: list[Picture] = field(default_factory=list)
    panels: Mapping[str, list[Picture]] = field(default_factory=dict)
    classes: list[Picture] = field(default_factory=list)
    cost: list[Picture] = field(default_factory=list)
    stability: list[Picture] = field(default_factory=list)
    diagrams: Mapping[str, str] = field(default_factory=dict)

    @property
    def pictures(self) -> list[Picture]:
        """All figures of the report."""
        by_model = [*self.curves.values(), *self.trajectories.values(), *self.panels.values()]
        first = [self.statistics, self.networks, self.overview, self.compared]
        searched = [self.tuning, self.fronts, self.equal_loss, self.search_cost]
        groups = [*first, *searched, self.classes, self.cost, self.stability, *by_model]
        return [picture for group in groups for picture in group]


def draw_all(analysis: Analysis, out: Path, workers: int = 1) -> Sections:
    """Draw every figure that the cells allow into ``out/figures``, ``workers`` at the same time."""
    grid = analysis.grid
    shown = chosen.rows_with_curves(analysis)
    models = curves.multi_task_models(shown)
    single: list[tuple[str, Callable[..., Any], Any]] = [
        ("statistics", rankings.forest, analysis),
        ("statistics", gains.gain_matrix, analysis),
        ("statistics", aggregate.aggregates, analysis),
        ("statistics", rankings.pairwise, analysis),
        ("networks", rankings.critical_differences, analysis),
        *[(section, draw, analysis) for section, draw in _OF_A_SEARCH if analysis.tuned],
        *([("overview", curves.overview, shown)] if models else []),
        ("compared", panels.compared_models, analysis),
        ("classes", classes.class_bars, analysis),
        ("classes", classes.confusions, analysis),
        ("classes", classified.class_confusions, analysis),
        ("cost", tradeoffs.cost_quality, analysis),
        ("cost", tradeoffs.replacement_figure, analysis),
        ("stability", stability.agreement_figure, analysis),
    ]
    by_model: list[tuple[str, str, Callable[[], Any]]] = []
    for model in models:
        by_model.append(("curves", model, partial(curves.model_curves, shown, model, out)))
        by_model.append(("curves", model, partial(curves.all_metrics, shown, model, out)))
        by_model.append(("trajectories", model, partial(trajectories.trajectories, shown, model, out)))
    for row in analysis.leaders:
        panel = classified.class_panel if classified.class_tasks(grid) else panels.model_panel
        by_model.append(("panels", row.model, partial(panel, grid, row, out)))
        by_model.append(("panels", row.model, partial(panels.attention, row, grid, out)))
    first_rows: dict[str, Row] = {}
    for row in grid.rows:
        if row.cells[0].cell.model_kind:
            first_rows.setdefault(row.model, row)
    by_model += [("diagrams", model, partial(_diagram, grid, row)) for model, row in first_rows.items()]

    jobs = [partial(draw, about, out) for _, draw, about in single] + [draw for _, _, draw in by_model]
    drawn = [one if isinstance(one, list) else [one] for one in run_forked(jobs, workers)]
    found: dict[str, Any] = {}
    names = [section for section, *_ in (*single, *by_model)]
    drawn = [
        [chosen.told(one, analysis, shown) for one in pictures] if section in _OF_CURVES else pictures
        for section, pictures in zip(names, map(_known, drawn), strict=True)
    ]
    for (section, _, _), pictures in zip(single, drawn, strict=False):
        found.setdefault(section, []).extend(pictures)
    for (section, model, _), pictures in zip(by_model, drawn[len(single) :], strict=True):
        if pictures:
            found.setdefault(section, {}).setdefault(model, []).extend(pictures)
    if "panels" in found and not classified.class_tasks(grid):
        found["panels"] = {"": [mosaic.legend(grid, out)], **found["panels"]}
    if "diagrams" in found:
        found["diagrams"] = {model: drawing for model, (drawing,) in found["diagrams"].items()}
    return Sections(**found)


def _known(pictures: list[Any]) -> list[Any]:
    return [picture for picture in pictures if picture is not None]


def _diagram(grid: Grid, row: Row) -> str | None:
    """The SVG of a row's architecture; None where its model cannot be built."""
    cell = row.cells[0].cell
    channels = {name: task.channels for name, task in grid.tasks.items()}
    tasks = {name: channels[name] for name in cell.tasks} if row.single_task else channels
    try:
        return draw_svg(cell.model_kind, tasks, **cell.model_options)
    except MtlbenchError:  # a model of an earlier version, say: its numbers are still good
        return None
