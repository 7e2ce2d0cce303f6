"""Rows of several sources in rankings, one for each set of conditions: rows of other data are never ranked together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from mtlbench.metrics.ranks import mean_ranks
from mtlbench.report.rows.grid import Column
from mtlbench.sharing.facts import Shared, SharedNumber, SharedRow
from mtlbench.sharing.read import Source


@dataclass
class Entry:
    """A row of a leaderboard; ``sources`` are all that hold the same runs. ``rank`` is the mean rank over the primary
    metrics of the tasks, NaN where one is missing."""

    row: SharedRow
    sources: list[str]
    rank: float = float("nan")

    def number(self, column: Column) -> SharedNumber | None:
        """Mean and deviation of one column."""
        return self.row.numbers.get(column.name)


@dataclass
class Board:
    """One ranking, best first: ``facts`` are those of its first source, whose conditions all rows share."""

    facts: Shared
    columns: list[Column]
    entries: list[Entry] = field(default_factory=list)

    @property
    def sources(self) -> list[str]:
        """All sources with a row here."""
        return sorted({name for entry in self.entries for name in entry.sources})

    def best(self, column: Column) -> float:
        """The best mean of a column; NaN without any."""
        means = [found.mean for entry in self.entries if (found := entry.number(column)) is not None]
        pick = max if column.metric.higher_is_better else min
        return pick(means, default=float("nan"))


def boards(sources: Sequence[Source]) -> list[Board]:
    """A board for each set of conditions, in the order in which they first occur; equal runs are one entry."""
    found: dict[str, Board] = {}
    for name, facts in sources:
        board = found.setdefault(facts.board, Board(facts, [column.column for column in facts.columns]))
        for row in facts.rows:
            same = next((entry for entry in board.entries if _same(entry.row, row)), None)
            if same is not None:
                same.sources.append(name)
            else:
                board.entries.append(Entry(row, [name]))
    for board in found.values():
        _rank(board)
    return list(found.values())


def _same(first: SharedRow, second: SharedRow) -> bool:
    return (first.keys, first.model, first.weighting, first.numbers) == (
        second.keys, second.model, second.weighting, second.numbers
    )  # fmt: skip


def _rank(board: Board) -> None:
    primary = [column for column in board.columns if column.task and column.metric.primary]
    scores = pd.DataFrame([[_score(entry.row.numbers, column) for column in primary] for entry in board.entries])
    for entry, rank in zip(board.entries, mean_ranks(scores), strict=True):
        entry.rank = float(rank)
    board.entries.sort(key=lambda entry: (np.isnan(entry.rank), entry.rank))


def _score(numbers: Mapping[str, SharedNumber], column: Column) -> float:
    """Higher is better."""
    found = numbers.get(column.name)
    if found is None:
        return float("nan")
    return found.mean if column.metric.higher_is_better else -found.mean
