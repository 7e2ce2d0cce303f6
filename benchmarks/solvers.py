"""How far the published solvers of CAGrad and Nash-MTL are from the exact answer.

    python benchmarks/solvers.py [--matrices 200] [--tasks 3] [--seed 0]

Gradients are the rows of random matrices: unit vectors in ten dimensions with a drawn common part, times lengths
within a factor of ten, times a scale. The answer is the update; its error is the distance to the exact one relative to
the exact one's length.

CAGrad minimises g_w.g_0 + c |g_0| |g_w| over the simplex. The authors' code and LibMTL call SLSQP from even weights
with scipy's default stopping tolerance of 1e-6, which is absolute, and add 1e-8 to the squares under both roots and to
c |g_0| and |g_w|. The column `tolerance only` leaves the additions out. `torchjd` solves a cone programme of the
gradients divided by their size; it stands here where its optional packages (cvxpy, clarabel) are installed, and so does
Nash-MTL, for which torchjd has the authors' solver (cvxpy, ecos): `unsolved` is the share of the matrices on which the
equation K a = 1 / a is off by more than 1e-3, for it and for ours.
"""

import argparse
import contextlib
import importlib.util
import warnings
from collections.abc import Iterator
from importlib.metadata import version

import numpy as np
import torch
from rich.table import Table
from scipy.optimize import minimize
from torch import Tensor

from mtlbench.system.console import console
from mtlbench.weightings.cagrad import CAGrad
from mtlbench.weightings.nash_mtl import NashMTL

RADIUS = 0.4
SCALES = (1e2, 1e1, 1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)


def gradients(count: int, tasks: int, seed: int) -> Iterator[Tensor]:
    """Matrices (tasks, 10) float64 of gradients with lengths around 1."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        rows = random.standard_normal((tasks, 10)) + random.uniform(0, 1.5) * random.standard_normal(10)
        rows *= 10 ** random.uniform(-0.5, 0.5, (tasks, 1)) / np.linalg.norm(rows, axis=1, keepdims=True)
        yield torch.from_numpy(rows)


def exact(rows: Tensor) -> Tensor:
    """The update (10,) of our CAGrad: mean gradient plus c |g_0| g_w / |g_w|."""
    names = [f"task{number}" for number in range(len(rows))]
    return CAGrad(names, c=RADIUS, factor="paper").task_weights(rows @ rows.T, torch.ones(len(rows))) @ rows


def by_slsqp(rows: Tensor, added: float) -> Tensor:
    """The update (10,) from SLSQP as the authors call it, with ``added`` under the roots and to lengths."""
    gram = (rows @ rows.T).numpy()
    even = np.full(len(rows), 1 / len(rows))
    radius = RADIUS * float(np.sqrt(gram.mean() + added)) + added
    found = minimize(
        lambda w: w @ gram @ even + radius * np.sqrt(max(w @ gram @ w + added, 0.0)),
        even, bounds=[(0, 1)] * len(rows), constraints={"type": "eq", "fun": lambda w: 1 - w.sum()},
    )  # fmt: skip
    inner = torch.from_numpy(found.x) @ rows
    return rows.mean(0) + radius / (torch.linalg.vector_norm(inner) + added) * inner


def error(found: Tensor, right: Tensor) -> float:
    """The distance relative to the right update's length."""
    return float(torch.linalg.vector_norm(found - right) / torch.linalg.vector_norm(right))


def cagrad_table(matrices: list[Tensor]) -> Table:
    """Median and 90th percentile of the errors, by the scale of the gradients."""
    with_torchjd = all(importlib.util.find_spec(name) for name in ("cvxpy", "clarabel"))
    table = Table(title="CAGrad: error of the update, median (90th percentile)", title_justify="left")
    for column in ("scale", "SLSQP as published", "tolerance only", "torchjd"):
        table.add_column(column, justify="right")
    for scale in SCALES:
        rows = [scale * matrix for matrix in matrices]
        right = [exact(matrix) for matrix in rows]
        columns = [[by_slsqp(matrix, added) for matrix in rows] for added in (1e-8, 0.0)]
        if with_torchjd:
            from torchjd.aggregation import CAGrad as Oracle

            columns.append([Oracle(c=RADIUS)(matrix) for matrix in rows])
        errors = [[error(*pair) for pair in zip(column, right, strict=True)] for column in columns]
        shown = [f"{np.median(found):.1%} ({np.quantile(found, 0.9):.1%})" for found in errors]
        table.add_row(f"{scale:g}", *shown, *["-"] * (3 - len(shown)))
    return table


def unsolved(weights: Tensor, rows: Tensor) -> bool:
    """Whether K a is off from 1 / a by more than 1e-3, up to the factor of the cut to a norm."""
    products = weights * (rows @ rows.T @ weights)
    return not float((products / products.mean() - 1).abs().max()) < 1e-3


def nash_lines(matrices: list[Tensor]) -> Iterator[str]:
    """What our and the authors' solver leave unsolved."""
    names = [f"task{number}" for number in range(len(matrices[0]))]
    ours = [NashMTL(names).task_weights(rows @ rows.T, torch.ones(len(rows))) for rows in matrices]
    yield f"Nash-MTL, ours: {np.mean([unsolved(*pair) for pair in zip(ours, matrices, strict=True)]):.1%} unsolved"
    if not all(importlib.util.find_spec(name) for name in ("cvxpy", "ecos")):
        yield "Nash-MTL, the authors' solver: cvxpy or ecos is not installed"
        return
    from torchjd.aggregation import NashMTL as Authors

    even, missed = 0, 0
    for rows in matrices:
        with contextlib.redirect_stdout(None), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            weights = Authors(n_tasks=len(rows)).weighting(rows)
        even += float(weights.std()) < 1e-6 * float(weights.mean())
        missed += unsolved(weights, rows)
    yield (
        f"Nash-MTL, the authors' solver in torchjd, cvxpy {version('cvxpy')}: {missed / len(matrices):.1%} unsolved, "
        f"{even / len(matrices):.1%} with equal weights"
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--matrices", type=int, default=200)
    parser.add_argument("--tasks", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    matrices = list(gradients(chosen.matrices, chosen.tasks, chosen.seed))
    console().print(cagrad_table(matrices))
    for line in nash_lines(matrices):
        console().print(line)


if __name__ == "__main__":
    main()
