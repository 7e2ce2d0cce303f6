"""How much the ranking depends on the definition of Delta_m, on the protocol and on how metrics are averaged."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import seaborn as sns

from mtlbench.metrics.delta_m import relative_gain
from mtlbench.metrics.ranks import kendall_tau, swapped_pairs
from mtlbench.metrics.rules import LAST
from mtlbench.report.evidence.analysis import Analysis
from mtlbench.report.evidence.per_image import AUTO_LAMBDA_BATCH, IMAGE, WHOLE, delta_draws
from mtlbench.report.figures.style import Picture, new_figure, readable_cells, save, styled
from mtlbench.report.rows.grid import DELTA_COLUMNS, mean
from mtlbench.report.rows.text import number
from mtlbench.report.rows.tidy import rules

RULES = {
    "reported": "as reported",
    "mean_last_10": "mean of last 10",
    "last": "last epoch",
    "best_on_held_out": "best on held-out",
    "best_on_test": "best on test",
}


@dataclass(frozen=True)
class Convention:
    """How one family of published codes averages: images in a group, segmentation and other tasks, and its Delta_m.

    None stands for the test batch of the codes that published on this dataset.
    """

    name: str
    segmentation: int | None
    others: int | None
    delta: str
    says: str

    def explain(self, batch: int) -> str:
        """What it does, in one line, with the images in a batch."""
        return self.says.format(batch=self.others or batch)


CONVENTIONS = (
    Convention("corrected", WHOLE, WHOLE, "delta_m_flat", "this project: everything over the whole test set, flat Δm"),
    Convention(
        "mtan-2019", IMAGE, None, "delta_m_flat", "per-image mIoU, others averaged over batches of {batch}; flat Δm"
    ),
    Convention(
        "mtan-2020, nash", WHOLE, None, "delta_m_flat",
        "one confusion matrix; means and medians of batches of {batch}; flat Δm",
    ),
    Convention("libmtl", WHOLE, WHOLE, "delta_m_per_task", "true median; Δm averaged per task first"),
    Convention(
        "auto-lambda", WHOLE, AUTO_LAMBDA_BATCH, "delta_m_primary",
        "means of batches of {batch}; Δm of one metric per task",
    ),
)  # fmt: skip


def by_definition(analysis: Analysis) -> pd.DataFrame:
    """Scores (higher is better) of the rows by each definition of Delta_m and by mean rank."""
    scores = (
        {column.metric.display: analysis.scores(column) for column in DELTA_COLUMNS} if analysis.has_baseline else {}
    )
    return pd.DataFrame({**scores, "mean rank": -analysis.mean_rank})


def rule_titles(analysis: Analysis) -> dict[str, str]:
    """RULES, with "mean of last 10" called what it is where there are fewer epochs."""
    epochs = int(analysis.grid.input.training.get("epochs", LAST))
    return RULES | ({"mean_last_10": f"mean of all {epochs}"} if epochs < LAST else {})


def by_protocol(analysis: Analysis) -> pd.DataFrame:
    """Flat Delta_m of the rows by each rule for choosing the epoch, the baseline chosen by the same rule."""
    found = {}
    for rule, title in rule_titles(analysis).items():
        have = [row for row in analysis.grid.rows if row.seeds and rule in rules(row)]
        if analysis.grid.baseline in have and len(have) > 1:
            values = {row.slug: mean(analysis.grid.per_seed(row, rule)["delta_m_flat"]) for row in have}
            found[title] = pd.Series(values).reindex([row.slug for row in analysis.grid.rows])
    return pd.DataFrame(found)


def optimism(analysis: Analysis) -> pd.DataFrame:
    """By how much each other rule flatters: change of the primary metrics against what is reported.

    In percent of the value, averaged over the tasks and seeds of a row, positive = looks better. Unlike Delta_m this
    does not depend on how the baseline was chosen. The epoch of "best on test" has the largest such gain of all, so its
    number is never negative. A value of 0 or an undefined one is left out.
    """
    titles = rule_titles(analysis)
    records = {}
    for row in analysis.grid.rows:
        if not row.seeds:
            continue
        have = rules(row)
        base = analysis.grid.per_seed(row)
        records[row.label] = {
            titles[rule]: _gain(analysis, analysis.grid.per_seed(row, rule), base)
            for rule in RULES
            if rule in have and rule != "reported"
        }
    return pd.DataFrame.from_dict(records, orient="index")


def _gain(analysis: Analysis, values: Mapping[str, np.ndarray], base: Mapping[str, np.ndarray]) -> float:
    columns = [column for column in analysis.grid.columns if column.metric.primary]
    gains = np.array([relative_gain(values[c.name], base[c.name], c.metric) for c in columns])
    defined = np.isfinite(gains).any(axis=0)
    return mean(np.nanmean(gains[:, defined], axis=0))


def by_convention(analysis: Analysis) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(metrics, Delta_m) of the final networks as each convention computes them, rows by slug.

    The metrics have columns (convention, column name); Delta_m one column per convention, empty without a baseline.
    """
    metrics: dict[tuple[str, str], dict[str, float]] = {}
    deltas: dict[str, dict[str, float]] = {}
    for convention in CONVENTIONS:
        values = {slug: _convention_values(analysis, slug, convention) for slug in analysis.evidence}
        for slug, found in values.items():
            for name, value in found.items():
                metrics.setdefault((convention.name, name), {})[slug] = float(value)
        baseline = values.get(analysis.grid.baseline.slug) if analysis.grid.baseline is not None else None
        if baseline is not None:
            deltas[convention.name] = {
                slug: float(delta_draws(analysis.grid, found, baseline)[convention.delta])
                for slug, found in values.items()
            }
    return pd.DataFrame(metrics), pd.DataFrame(deltas)


def _convention_values(analysis: Analysis, slug: str, convention: Convention) -> dict[str, np.ndarray]:
    grouped, batch = analysis.evidence[slug].grouped, analysis.grid.input.published_batch
    found = {}
    for column in analysis.grid.columns:
        size = convention.segmentation if column.task == analysis.grid.labelled else convention.others
        found[column.name] = grouped[batch if size is None else size][column.name].mean()
    return found


def agreement(scores: pd.DataFrame, measure: Callable[[pd.Series, pd.Series], float] = kendall_tau) -> pd.DataFrame:
    """A measure of agreement between all pairs of columns."""
    return pd.DataFrame({a: {b: measure(scores[a], scores[b]) for b in scores} for a in scores})


def annotations(tau: pd.DataFrame) -> np.ndarray:
    """The texts of a matrix of agreement, with true minus signs and never -0.00."""
    return tau.map(lambda value: number(value, 2)).to_numpy()


def swaps(scores: pd.DataFrame) -> pd.DataFrame:
    """Pairs of rows that two columns order in opposite ways."""
    return agreement(scores, swapped_pairs)


def agreement_figure(analysis: Analysis, folder: Path) -> Picture | None:
    """Kendall's tau between definitions, between protocols and between conventions."""
    tables = {
        "definitions of Δm": by_definition(analysis),
        "protocols (flat Δm)": by_protocol(analysis),
        "conventions": by_convention(analysis)[1],
    }
    tables = {title: table for title, table in tables.items() if table.shape[1] > 1 and len(table.dropna()) > 2}
    if not tables:
        return None
    with styled():
        figure = new_figure(3.2 * len(tables) + 0.3, 3.5)
        for axes, (title, table) in zip(figure.subplots(1, len(tables), squeeze=False)[0], tables.items(), strict=True):
            tau = agreement(table)
            sns.heatmap(tau, ax=axes, annot=annotations(tau), fmt="", cmap="PuOr", vmin=-1, vmax=1, square=True,
                        linewidths=0.6, linecolor="white", cbar=False, annot_kws={"fontsize": 7.5})  # fmt: skip
            readable_cells(axes)
            axes.set_title(title)
            axes.tick_params(length=0, labelsize=7.5)
            axes.set_yticklabels(axes.get_yticklabels(), rotation=0)
            axes.set_xticklabels(axes.get_xticklabels(), rotation=40, ha="right", rotation_mode="anchor")
        caption = (
            "Agreement of rankings: Kendall's τ between the rankings of all rows (1: the same order, 0: unrelated, −1: "
            "reversed)."
        )
        return save(figure, folder, "agreement", caption, f"Square matrices of τ: {', '.join(tables)}")
