"""Simulated coverage of the intervals, error rate over all pairs, and power, before and after (docs/report.md).

    python benchmarks/coverage.py [--trials 2000]

Six rows and a baseline, all equal but for noise: value = seed + row x seed + row x image + row x seed x image. Delta_m
is the difference from the baseline. "Before" is the rule of report version 1: a percentile bootstrap of a row's own
seeds, and a test with the variance pooled between seeds.
"""

import argparse
from dataclasses import dataclass

import numpy as np
from scipy import stats

from mtlbench.report.evidence.pairs import compare
from mtlbench.report.evidence.statistics import holm, image_weights
from mtlbench.report.evidence.variance import Sample

ROWS, IMAGES, DRAWS = 6, 60, 200


@dataclass(frozen=True)
class Regime:
    """Standard deviations: of every row's seeds, the baseline's, what a seed's rows share, and of single images."""

    rows: tuple[float, ...] = (1.0,) * ROWS
    baseline: float = 1.0
    shared: float = 0.0
    images: float = 0.0
    both: float = 0.0


REGIMES = {
    "seeds rule": Regime(),
    "seeds, correlation 0.5": Regime(shared=1.0),
    "rows 1:5": Regime((1.0, 5.0) * 3),
    "one row 5 times as noisy": Regime((5.0, *(1.0,) * (ROWS - 1))),
    "baseline 5 times as noisy": Regime(baseline=5.0),
    "images rule": Regime((0.1,) * ROWS, 0.1, 0.0, 5.0, 5.0),
    "seeds and images": Regime(shared=0.5, images=5.0, both=3.0),
}
WEIGHTS = image_weights(np.arange(IMAGES), DRAWS) / IMAGES


def values(regime: Regime, seeds: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(means (rows + 1, seeds), draws (rows + 1, seeds, draws)) of one experiment; the baseline comes first."""
    scale = np.array([regime.baseline, *regime.rows])[:, None]
    noise = regime.shared * random.standard_normal(seeds) + scale * random.standard_normal((ROWS + 1, seeds))
    single = regime.images * random.standard_normal((ROWS + 1, 1, IMAGES))
    single = single + regime.both * random.standard_normal((ROWS + 1, seeds, IMAGES))
    return noise + single.mean(2), noise[..., None] + single @ WEIGHTS.T


def after(means: np.ndarray, draws: np.ndarray, effect: float) -> tuple[np.ndarray, float, float]:
    """(which intervals hold the truth, whether any pair is called different, share of real differences found)."""
    seeds = tuple(range(means.shape[1]))
    names = [str(row) for row in range(ROWS)]
    samples = {n: Sample(seeds, means[r + 1] - means[0], draws[r + 1] - draws[0]) for r, n in enumerate(names)}
    tests = compare(samples, IMAGES, "baseline")
    hold = [low <= 0 <= high for low, high in (tests.intervals(name).both for name in names)]
    moved = {
        n: Sample(s.seeds, s.values + effect * (n == "1"), s.draws + effect * (n == "1")) for n, s in samples.items()
    }
    found = compare(moved, IMAGES, "baseline")
    other = [i for i in range(ROWS + 1) if found.slugs[i] not in ("1", "baseline")]
    return np.array(hold), tests.count[0] > 0, float((found.adjusted[found.slugs.index("1"), other] < 0.05).mean())


def before(means: np.ndarray, draws: np.ndarray, effect: float, random: np.random.Generator) -> tuple:
    """The same by the rule of report version 1."""
    seeds = means.shape[1]
    baseline, drawn = means[0].mean(), draws[0].mean(0)
    hold = []
    for row in range(1, ROWS + 1):
        chosen = random.integers(0, seeds, (DRAWS, seeds))
        moved = (means[row] - baseline)[:, None] + draws[row] - drawn
        moved = moved - moved.mean(1, keepdims=True) + (means[row] - baseline)[:, None]
        low, high = np.quantile(moved[chosen, np.arange(DRAWS)[:, None]].mean(1), [0.025, 0.975])
        hold.append(low <= 0 <= high)
    return np.array(hold), (_pooled(means, draws) < 0.05).any(), _found_before(means, draws, effect)


def _pooled(means: np.ndarray, draws: np.ndarray) -> np.ndarray:
    count = means.shape[1]
    own = means.var(1, ddof=1)
    covariance = np.cov(draws.mean(1), bias=True)
    image = np.diag(covariance)[:, None] + np.diag(covariance) - 2 * covariance
    variance = np.maximum((own[:, None] + own) / 2, own.mean()) * 2 / count + np.maximum(image, 0)
    middle = means.mean(1)
    p_value = 2 * stats.t.sf(np.abs(middle[:, None] - middle) / np.sqrt(variance), len(means) * (count - 1))
    return holm(p_value[np.triu_indices(len(means), 1)])


def _found_before(means: np.ndarray, draws: np.ndarray, effect: float) -> float:
    moved, drawn = means.copy(), draws.copy()
    moved[2] += effect
    drawn[2] += effect
    first, second = np.triu_indices(len(means), 1)
    real = ((first == 2) | (second == 2)) & (first > 0)
    return float((_pooled(moved, drawn)[real] < 0.05).mean())


def simulate(regime: Regime, seeds: int, trials: int, old: bool = False) -> dict[str, float]:
    """Coverage (mean over rows, and of the worst row), error rate over all pairs, and power at an effect of 2."""
    random = np.random.default_rng(seeds)
    effect = 2 * float(np.hypot(regime.rows[-1], regime.shared))
    outcomes = []
    for _ in range(trials):
        means, draws = values(regime, seeds, random)
        outcomes.append(before(means, draws, effect, random) if old else after(means, draws, effect))
    hold = np.mean([one[0] for one in outcomes], axis=0)
    return {
        "coverage": hold.mean(), "worst row": hold.min(), "error": float(np.mean([one[1] for one in outcomes])),
        "power": float(np.mean([one[2] for one in outcomes])),
    }  # fmt: skip


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=2000)
    trials = parser.parse_args().trials
    print("| noise | seeds | coverage before | after | worst row | error rate before | after | power before | after |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    for name, regime in REGIMES.items():
        for seeds in (2, 3, 5, 10):
            old, new = (simulate(regime, seeds, trials, old) for old in (True, False))
            numbers = (old["coverage"], new["coverage"], new["worst row"], old["error"], new["error"], old["power"],
                       new["power"])  # fmt: skip
            print(f"| {name} | {seeds} | " + " | ".join(f"{number:.2f}" for number in numbers) + " |", flush=True)


if __name__ == "__main__":
    main()
