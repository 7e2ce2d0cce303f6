"""The stated difference is found as often as stated, in experiments that did not choose it."""

import numpy as np
import pytest

from mtlbench.report.evidence.analysis import Analysis
from mtlbench.report.evidence.comparisons import main_column
from mtlbench.report.evidence.pairs import PairTests, compare
from mtlbench.report.evidence.power import POWER, detectable
from mtlbench.report.evidence.statistics import image_weights
from mtlbench.report.evidence.variance import Sample
from mtlbench.report.page.findings import findings

ROWS, SCENES = 6, 40
WEIGHTS = image_weights(np.arange(SCENES), 100) / SCENES


def experiment(random: np.random.Generator, seeds: int, images: float, effect: float = 0.0) -> PairTests:
    """Six rows with seed noise of 1 and image noise of ``images``; the first one is better by ``effect``."""
    noise = random.standard_normal((ROWS, seeds)) + random.standard_normal(seeds)
    noise[0] += effect
    single = images * random.standard_normal((ROWS, 1, SCENES))
    draws = noise[..., None] + single @ WEIGHTS.T
    names = [str(row) for row in range(ROWS)]
    values = noise + single.mean(2)
    return compare({n: Sample(tuple(range(seeds)), values[i], draws[i]) for i, n in enumerate(names)}, SCENES)


@pytest.mark.parametrize(("seeds", "planned", "images"), [(5, 5, 0.0), (3, 10, 0.0), (3, 5, 2.0)])
def test_the_stated_difference_is_found_as_often_as_stated(seeds: int, planned: int, images: float) -> None:
    random = np.random.default_rng(seeds + planned)
    stated = [detectable(experiment(random, seeds, images), seeds, planned) for _ in range(20)]
    effect = float(np.median(stated))
    found = []
    for _ in range(100):
        tests = experiment(random, planned, images, effect)
        found.append(np.mean([tests.significant("0", str(row)) for row in range(1, ROWS)]))
    assert POWER - 0.1 <= np.mean(found) <= POWER + 0.15, f"effect {effect:.2f}: found in {np.mean(found):.2f}"
    half = np.mean([experiment(random, planned, images, effect / 3).significant("0", "1") for _ in range(100)])
    assert half < 0.25


def test_more_seeds_see_smaller_differences_down_to_what_the_images_allow() -> None:
    tests = experiment(np.random.default_rng(0), 3, 2.0)
    differences = [detectable(tests, 3, planned) for planned in (2, 3, 5, 10, 10_000)]
    assert differences == sorted(differences, reverse=True)
    alone = experiment(np.random.default_rng(0), 3, 0.0)
    assert detectable(alone, 3, 10_000) < 0.1 < 1 < differences[-1]


def test_the_page_says_what_cannot_be_seen(analysis: Analysis) -> None:
    sentence = next(text for text in findings(analysis) if "can hardly be seen" in text)
    column = main_column(analysis.grid)
    value = detectable(analysis.pairs[column.name], analysis.seeds, analysis.seeds)
    assert (
        f"below about {value:.{column.metric.decimals}f} % can hardly be seen here: {analysis.seeds} seeds" in sentence
    )
    assert sentence.endswith(" with 10 seeds).")


def test_one_seed_says_nothing() -> None:
    assert np.isnan(detectable(experiment(np.random.default_rng(0), 2, 1.0), 1, 5))
    assert np.isnan(detectable(compare({}, 3), 5, 5))
