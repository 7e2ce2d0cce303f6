"""Which figures a report has, in their order."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mtlbench.errors import MtlbenchError
from mtlbench.report import classes, curves, mosaic, panels, rankings, stability, tradeoffs, trajectories
from mtlbench.report.analysis import Analysis
from mtlbench.report.diagrams import draw_svg
from mtlbench.report.style import Picture


@dataclass(frozen=True)
class Sections:
    """The figures by section; the per-model ones by model; the drawings of the architectures as SVG text."""

    statistics: list[Picture] = field(default_factory=list)
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
        groups = [self.statistics, self.overview, self.compared, self.classes, self.cost, self.stability, *by_model]
        return [picture for group in groups for picture in group]


def draw_all(analysis: Analysis, out: Path) -> Sections:
    """Draw every figure that the cells allow into ``out/figures``."""
    grid = analysis.grid
    models = curves.multi_task_models(grid)
    return Sections(
        statistics=_known(
            rankings.forest(analysis, out),
            rankings.critical_differences(analysis, out),
            rankings.pairwise(analysis, out),
        ),
        overview=curves.overview(grid, out) if models else [],
        curves={
            model: [*curves.model_curves(grid, model, out), curves.all_metrics(grid, model, out)] for model in models
        },
        trajectories={model: drawn for model in models if (drawn := trajectories.trajectories(grid, model, out))},
        compared=panels.compared_models(analysis, out),
        panels=_panels(analysis, out),
        classes=_known(classes.class_bars(analysis, out), classes.confusions(analysis, out)),
        cost=_known(tradeoffs.cost_quality(analysis, out), tradeoffs.replacement_figure(analysis, out)),
        stability=_known(stability.agreement_figure(analysis, out)),
        diagrams=_diagrams(analysis),
    )


def _known(*pictures: Picture | None) -> list[Picture]:
    return [picture for picture in pictures if picture is not None]


def _panels(analysis: Analysis, out: Path) -> dict[str, list[Picture]]:
    """One panel (and attention masks where they were kept) for the best row of each model, after the legend."""
    found = {}
    for row in analysis.leaders:
        drawn = _known(panels.model_panel(analysis.grid, row, out), panels.attention(row, analysis.grid, out))
        if drawn:
            found[row.model] = drawn
    if found:
        found = {"": [mosaic.legend(analysis.grid, out)], **found}
    return found


def _diagrams(analysis: Analysis) -> dict[str, str]:
    """{model label: SVG} of the architectures."""
    channels = {name: task.channels for name, task in analysis.grid.tasks.items()}
    found = {}
    for row in analysis.grid.rows:
        cell = row.cells[0].cell
        if row.model not in found and cell.model_kind:
            tasks = {name: channels[name] for name in cell.tasks} if row.single_task else channels
            try:
                found[row.model] = draw_svg(cell.model_kind, tasks, **cell.model_options)
            except MtlbenchError:  # a model of an earlier version, say: its numbers are still good
                continue
    return found
