"""Sentences about the results: what the numbers allow to say, and what they do not."""

import numpy as np
import pandas as pd

from mtlbench.report.evidence.analysis import Analysis
from mtlbench.report.evidence.comparisons import main_column, undefined
from mtlbench.report.evidence.power import POWER, detectable
from mtlbench.report.figures.curves import SPLITS
from mtlbench.report.rows.grid import Row, mean, spread
from mtlbench.report.rows.images import unequal_images
from mtlbench.report.rows.text import DASH, cell_text, number, task_title
from mtlbench.report.rows.tidy import curve
from mtlbench.system.words import many

#: Numbers of seeds for which the page says what they could establish.
PLANNED = (5, 10)


def findings(analysis: Analysis) -> list[str]:
    """The sentences of the report's first box, most important first."""
    found = [
        _leader(analysis),
        _undefined(analysis),
        _pairs(analysis),
        _power(analysis),
        _seeds(analysis),
        unequal_images(analysis.grid),
        _constant(analysis),
    ]
    found.append(_missing(analysis))
    return [text for text in (*found, *_unusable(analysis)) if text]


def _unusable(analysis: Analysis) -> list[str]:
    """What is wrong with the cells' files; whatever rests on them is missing from this report."""
    files = analysis.grid.unusable
    named = "; ".join(f"{cell}/{name} ({why})" for cell, name, why in files[:5]) + ("; ..." if files[5:] else "")
    told = f"{many(len(files), 'file')} of the cells could not be used (all in unusable.csv): {named}." if files else ""
    return [told, *analysis.grid.input.remarks]


def _leader(analysis: Analysis) -> str:
    column = main_column(analysis.grid)
    ranked = [row for row in analysis.ranking if not row.single_task]
    if not ranked:
        rows = [row for row in analysis.grid.rows if not row.single_task and row.seeds]
        if rows:
            return f"No multi-task row can be ranked: {column.metric.display} is not defined for any of them."
        return "No multi-task row has numbers yet."
    values = analysis.grid.reported[ranked[0].slug][column.name]
    text = f"Highest {column.metric.display} of a multi-task network: {ranked[0].label} with "
    text += cell_text(column, mean(values), spread(values)) + (f" {column.metric.unit}." if column.metric.unit else ".")
    if analysis.ranking[0].single_task:
        text += f" None is above {analysis.ranking[0].label}."
    if len(analysis.ranking) < 2:
        return text
    first, second = analysis.ranking[:2]
    tests = analysis.pairs[column.name]
    p_value = tests.adjusted_p(first.slug, second.slug)
    if np.isnan(p_value):
        return text + " Whether its lead is more than chance cannot be tested with these cells."
    outcome = "survives" if tests.significant(first.slug, second.slug) else "does not survive"
    lead = f" The lead of {first.label} over {second.label} {outcome} the test corrected for all pairs"
    return f"{text}{lead} (p = {p_value:.2g})."


def _pairs(analysis: Analysis) -> str:
    column = main_column(analysis.grid)
    sure, tested = analysis.pairs[column.name].count
    if not tested:
        return ""
    return f"{sure} of {tested} pairs of rows differ in {column.metric.display} after Holm's correction (5 %)."


def _power(analysis: Analysis) -> str:
    """What differences can be seen with these seeds, and with more: absence of a difference is read against it."""
    column = main_column(analysis.grid)
    tests = analysis.pairs[column.name]
    now, *more = (detectable(tests, analysis.seeds, count) for count in (analysis.seeds, *PLANNED))
    if not np.isfinite(now):
        return ""
    unit = f" {column.metric.unit}" if column.metric.unit else ""

    def text(value: float) -> str:
        return number(value * abs(column.metric.scale), column.metric.decimals) + unit

    planned = " and ".join(
        f"{text(value)} with {count}" for count, value in zip(PLANNED, more, strict=True) if count > analysis.seeds
    )
    return (
        f"Differences in {column.metric.display} below about {text(now)} can hardly be seen here: "
        f"{many(analysis.seeds, 'seed')} "
        f"and these test images establish a true difference of that size between two rows, corrected for all pairs, in "
        f"{100 * POWER:.0f} % of repetitions"
        f"{f' (one of {planned} seeds)' if planned else ''}."
    )


def _seeds(analysis: Analysis) -> str:
    if not any(row.seeds for row in analysis.grid.rows):
        return ""
    if analysis.seeds < 2:
        return (
            "Every row has one seed: how much the numbers change from seed to seed is unknown, so nothing is marked as "
            "established, no row has a ±, and the intervals cover the choice of test images alone. Differences between "
            "rows describe these networks, not the methods."
        )
    single = [row.label for row in analysis.ranking if len(row.seeds) < 2]
    few = "" if analysis.seeds > 4 else (
        f" {analysis.seeds} seeds are few: a standard deviation from {analysis.seeds} values is itself uncertain "
        f"by about {100 / np.sqrt(2 * (analysis.seeds - 1)):.0f} %."
    )  # fmt: skip
    alone = f" Rows with one seed are tested with the others' spread: {', '.join(single)}." if single else ""
    return f"Up to {analysis.seeds} seeds per row.{few}{alone}"


def _undefined(analysis: Analysis) -> str:
    columns = undefined(analysis.grid)
    if not columns:
        return ""
    names = ", ".join(f"{task_title(c.task).lower()} {c.metric.display}" for c in columns)
    instead = main_column(analysis.grid).metric.display
    return f"Δm is not defined: the baseline has 0 or no number in {names}. Rows are ranked by {instead} instead."


def _constant(analysis: Analysis) -> str:
    """Every row with numbers against the constant prediction, metric by metric; what is not known is not counted."""
    constant = analysis.grid.input.constant
    worse, better, unknown = [], 0, 0
    for row in (row for row in analysis.grid.rows if row.seeds):
        for column in analysis.grid.columns:
            limit = constant.get(column.task, {}).get(column.metric.name)
            value = mean(analysis.grid.reported[row.slug][column.name])
            sign = 1 if column.metric.higher_is_better else -1
            if limit is None or not np.isfinite(value):
                unknown += 1
            elif sign * (value - limit) <= 0:
                worse.append(f"{row.label} in {task_title(column.task).lower()} {column.metric.display}")
            else:
                better += 1
    if not worse and not better:
        return ""
    if worse:
        more = f" and {len(worse) - 4} more" if len(worse) > 4 else ""
        return f"No better than predicting a constant: {'; '.join(worse[:4])}{more}".rstrip(".") + "."
    where = "every metric" if not unknown else f"the {better} of {better + unknown} numbers that can be compared"
    return f"Every row beats the constant prediction in {where}."


def _missing(analysis: Analysis) -> str:
    cells = [cell for row in analysis.grid.rows for cell in row.cells]
    missing = sum(bool(cell.missing) for cell in cells)
    if not missing:
        return ""
    have = "has" if missing == 1 else "have"
    return f"{missing} of {many(len(cells), 'cell')} {have} no result; the reasons are under Provenance."


def gaps(analysis: Analysis) -> pd.DataFrame:
    """Training against test value of each task's primary metric at the last epoch, for the best row of each model.

    Rows by label; columns (task and metric, "train" | "test" | "best test (epoch)"), texts in displayed units of the
    mean over seeds. Held-out images stand in for the test set where only they were evaluated in every epoch.
    """
    records: dict[str, dict[tuple[str, str], str]] = {}
    for row in analysis.leaders:
        parts = [_gap(analysis, row, name) for name in analysis.grid.tasks]
        if any(parts):
            records[row.label] = {key: text for part in parts for key, text in part.items()}
    return pd.DataFrame.from_dict(records, orient="index").fillna(DASH)


def _gap(analysis: Analysis, row: Row, name: str) -> dict[tuple[str, str], str]:
    """The three columns of one task; {} when a curve is missing."""
    metric = next(m for m in analysis.grid.tasks[name].metrics if m.primary)
    split = analysis.grid.unseen
    train, other = (curve(row, name, metric.name, part).mean(axis=1) for part in ("train", split))
    if train.empty or other.dropna().empty:
        return {}
    best = int(other.idxmax() if metric.higher_is_better else other.idxmin())
    title = f"{task_title(name)}: {metric.display}" + (f" [{metric.unit}]" if metric.unit else "")
    first, last, peak = (
        number(v * metric.scale, metric.decimals) for v in (train.iloc[-1], other.iloc[-1], other[best])
    )
    shown = SPLITS[split]
    return {(title, "train"): first, (title, shown): last, (title, f"best {shown} (epoch)"): f"{peak} ({best + 1})"}
