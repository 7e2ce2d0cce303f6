"""Ranks of methods over metrics, and the agreement of two rankings."""

import numpy as np
import pandas as pd
from scipy import stats


def mean_ranks(scores: pd.DataFrame) -> pd.Series:
    """Mean rank of each row (method) over the columns (metrics); 1 is best, ties share their mean rank.

    ``scores``: higher is better in every column. A row with a missing value has no rank (NaN), and the others are
    ranked without it.
    """
    complete = scores.dropna()
    return complete.rank(ascending=False).mean(axis=1).reindex(scores.index)


def kendall_tau(first: pd.Series, second: pd.Series) -> float:
    """Kendall's tau-b of two scores over the methods that both rate; NaN with fewer than two, or all tied."""
    both = pd.concat([first, second], axis=1).dropna()
    if len(both) < 2 or both.nunique().min() < 2:
        return float("nan")
    return float(stats.kendalltau(both.iloc[:, 0], both.iloc[:, 1]).statistic)


def swapped_pairs(first: pd.Series, second: pd.Series) -> int:
    """Pairs of methods that the two scores order in opposite ways."""
    both = pd.concat([first, second], axis=1).dropna().to_numpy()
    signs = [np.sign(both[:, None, k] - both[None, :, k]) for k in (0, 1)]
    return int((signs[0] * signs[1] < 0).sum() // 2)
