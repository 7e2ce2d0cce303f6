"""The choice among trials on made-up numbers, with what is known to be true."""

import math
from dataclasses import replace

import numpy as np
import pytest

from mtlbench.metrics.metric import Metric
from mtlbench.plan import quasi
from mtlbench.plan.dimensions import Dimension
from mtlbench.plan.options import Search
from mtlbench.report.evidence.statistics import holm, two_sided
from mtlbench.report.evidence.variance import Sample, seed_variance
from mtlbench.runs.select import Trial, choose, promote, score
from mtlbench.system.errors import DataError

METRICS = {
    "segmentation": (Metric("miou", "mIoU", "%", True, primary=True),),
    "depth": (Metric("abs_error", "error", "m", False, primary=True), Metric("rel_error", "rel", "", False)),
}
SINGLE = ("single/only_segmentation", "single/only_depth")


def trial(number: int, flops: float = 1.0, **values: float) -> Trial:
    """A trial with these primary metrics; without any it diverged."""
    spec = {
        "training": {"optimizer": {"learning_rate": 0.1 * number}},
        "model": {"kind": "net", "version": 1, "options": {}},
        "weighting": {"kind": "dwa", "version": 1, "options": {"temperature": number}},
    }
    found = {task: {METRICS[task][0].name: value, "rel_error": 1.0} for task, value in values.items()}
    return Trial(number, f"{number:016x}", spec, found, flops, reason="" if values else "diverged: NaN")


def reference() -> dict[str, list[Trial]]:
    return {
        SINGLE[0]: [trial(0, segmentation=0.3), trial(1, segmentation=0.5), trial(2, segmentation=0.4)],
        SINGLE[1]: [trial(0, depth=0.8), trial(1, depth=2.0), trial(2)],
    }


def chosen(trials: list[Trial]) -> dict:
    found = choose({**reference(), "net/dwa": trials}, SINGLE, METRICS)
    return found["rows"]["net/dwa"]


def test_each_single_task_network_is_chosen_by_its_own_primary_metric() -> None:
    found = choose(reference(), SINGLE, METRICS)
    assert [found["rows"][name]["chosen"] for name in SINGLE] == [1, 0]
    assert found["reference"]["segmentation"]["miou"] == 0.5
    assert found["reference"]["depth"]["abs_error"] == 0.8
    assert found["rows"][SINGLE[0]]["trials"][1]["score"] == 0


def test_the_trial_with_the_largest_mean_gain_is_chosen_with_its_setting() -> None:
    # Gains over 0.5 and 0.8: (+10 %, -25 %), (-10 %, +25 %), (+12 %, 0).
    trials = [trial(0, segmentation=0.55, depth=1.0), trial(1, segmentation=0.45, depth=0.6),
              trial(2, segmentation=0.56, depth=0.8)]  # fmt: skip
    found = chosen(trials)
    assert found["chosen"] == 1
    assert [one["score"] for one in found["trials"]] == pytest.approx([-7.5, 7.5, 6.0])
    assert found["optimizer"] == {"learning_rate": 0.1}
    assert found["weighting"]["options"] == {"temperature": 1}


def test_equal_scores_go_to_the_cheaper_and_then_to_the_earlier() -> None:
    same = {"segmentation": 0.5, "depth": 0.8}
    assert chosen([trial(0, 9.0, **same), trial(1, 2.0, **same), trial(2, 2.0, **same)])["chosen"] == 1


def test_a_trial_that_diverged_counts_as_tried_and_loses() -> None:
    found = chosen([trial(0), trial(1, segmentation=0.1, depth=8.0)])
    assert found["chosen"] == 1
    assert [one["reason"] for one in found["trials"]] == ["diverged: NaN", ""]
    assert found["trials"][0]["score"] is None


def test_an_undefined_metric_loses() -> None:
    assert chosen([trial(0, segmentation=math.nan, depth=0.1), trial(1, segmentation=0.1, depth=9.0)])["chosen"] == 1


def test_a_row_whose_trials_all_diverged_has_no_setting_and_says_why() -> None:
    found = chosen([trial(0), trial(1)])
    assert found["chosen"] is None
    assert found["reason"] == "diverged: NaN"


def stopped(epochs: int, number: int, flops: float = 1.0, **values: float) -> Trial:
    """A trial that was trained for so many epochs, when it had these metrics."""
    return replace(trial(number, flops, **values), stopped_after=epochs)


def test_at_a_rung_the_best_of_those_that_got_there_go_on() -> None:
    same = {"segmentation": 0.5, "depth": 0.8}
    rows = {name: [replace(one, stopped_after=4) for one in trials] for name, trials in reference().items()}
    rows["net/dwa"] = [
        stopped(2, 0, segmentation=0.9, depth=0.1),  # was stopped at the rung before
        stopped(4, 1, 2.0, **same), stopped(4, 2, **same), stopped(4, 3, **same),
        stopped(4, 4, segmentation=0.6, depth=0.8), trial(5),
    ]  # fmt: skip
    found = promote(rows, SINGLE, METRICS, 4, 3)
    assert found["rows"]["net/dwa"]["kept"] == [4, 2, 3], "best first; equal ones by operations, then by number"
    assert found["rows"][SINGLE[1]]["kept"] == [0, 1], "never one that diverged"
    assert found["reference"] == choose(reference(), SINGLE, METRICS)["reference"]
    assert [one.get("stopped_after") for one in found["rows"]["net/dwa"]["trials"]] == [2, 4, 4, 4, 4, None]


def test_a_trial_that_was_stopped_is_never_chosen_and_no_reference() -> None:
    rows = reference()
    rows[SINGLE[0]][1] = stopped(2, 1, segmentation=0.5)
    rows["net/dwa"] = [stopped(2, 0, segmentation=0.9, depth=0.1), trial(1, segmentation=0.1, depth=8.0)]
    found = choose(rows, SINGLE, METRICS)
    assert found["reference"]["segmentation"]["miou"] == 0.4
    row = found["rows"]["net/dwa"]
    assert row["chosen"] == 1
    assert row["trials"][0]["score"] > row["trials"][1]["score"], "it stays in the file with what it had"
    assert row["trials"][0]["stopped_after"] == 2
    assert "stopped_after" not in row["trials"][1]
    lost = choose({**rows, "net/dwa": [rows["net/dwa"][0], trial(1)]}, SINGLE, METRICS)["rows"]["net/dwa"]
    assert (lost["chosen"], lost["reason"]) == (None, "diverged: NaN")


def test_without_a_reference_nothing_is_chosen() -> None:
    lost = {**reference(), SINGLE[1]: [trial(0), trial(1)]}
    with pytest.raises(DataError, match=r"the baseline's single/only_depth has no trial with numbers"):
        choose(lost, SINGLE, METRICS)
    zero = {**reference(), SINGLE[0]: [trial(0, segmentation=0.0)]}
    with pytest.raises(DataError, match=r"only_segmentation reaches miou 0 .* no gain is relative to 0"):
        choose(zero, SINGLE, METRICS)


# Whole searches with known truth: a setting's quality depends on the learning rate, each run adds noise.
RATE = Dimension("optimizer", "learning_rate", Search(1e-4, 1e-2, log=True))
TRIALS, SEEDS, NOISE = 6, 5, 0.02
RATES = [one["optimizer"]["learning_rate"] for one in quasi.settings([RATE], TRIALS, 1000)]
TRUTH = {"segmentation": {"miou": 0.5}, "depth": {"abs_error": 0.8}}


def study(random: np.random.Generator, gains: dict[str, float], curve: float) -> dict[str, tuple[float, np.ndarray]]:
    """{row: (true quality of the chosen setting, Delta over the final seeds)} of a search.

    A row is better by ``gains`` (a share) at any rate; ``curve``: how much a rate ten times the best one costs.
    """

    def quality(gain: float, rate: float) -> float:
        return (1 + gain) * (1 - curve * math.log10(rate / 1e-3) ** 2)

    def run(gain: float, rate: float) -> dict[str, float]:
        noise = 1 + NOISE * random.standard_normal(2)
        return {"segmentation": 0.5 * quality(gain, rate) * noise[0], "depth": 0.8 / quality(gain, rate) * noise[1]}

    def final(gain: float, rate: float) -> float:
        values = {task: {METRICS[task][0].name: value} for task, value in run(gain, rate).items()}
        return score(values, TRUTH, METRICS)

    rows = {
        name: [trial(i, **{task: run(0.0, rate)[task]}) for i, rate in enumerate(RATES)]
        for name, task in zip(SINGLE, ("segmentation", "depth"), strict=True)
    }
    rows |= {name: [trial(i, **run(gain, rate)) for i, rate in enumerate(RATES)] for name, gain in gains.items()}
    found = choose(rows, SINGLE, METRICS)["rows"]
    chosen_rates = {name: RATES[found[name]["chosen"]] for name in gains}
    return {
        name: (quality(gain, chosen_rates[name]), np.array([final(gain, chosen_rates[name]) for _ in range(SEEDS)]))
        for name, gain in gains.items()
    }


def separated(found: dict[str, tuple[float, np.ndarray]]) -> set[tuple[str, str]]:
    """Pairs (better, worse) that the report's tests tell apart at 5 % with Holm's correction; all images the same."""
    names, values = list(found), np.stack([row for _, row in found.values()])
    _, error = seed_variance([Sample(tuple(range(SEEDS)), row, np.zeros((SEEDS, 1))) for row in values])
    difference = values.mean(1)[:, None] - values.mean(1)
    first, second = np.triu_indices(len(names), 1)
    p = holm(two_sided(difference, error.variance, error.freedom)[first, second])
    pairs = [(a, b) if difference[a, b] > 0 else (b, a) for a, b in zip(first, second, strict=True)]
    return {(names[a], names[b]) for (a, b), value in zip(pairs, p, strict=True) if value < 0.05}


@pytest.mark.parametrize("curve", [0.0, 0.1])
def test_equal_rows_are_not_separated_more_often_than_stated(curve: float) -> None:
    """Of 100 studies of four equal rows, those with any false claim are at most 5 % and three standard errors more.

    A claim is about the chosen settings: it is false when the one called better is not. With a curve the rows may,
    by the noise of their trials, get settings of unequal quality, and this is then truly so.
    """
    random = np.random.default_rng(0)
    wrong = 0
    for _ in range(100):
        found = study(random, dict.fromkeys("abcd", 0.0), curve)
        wrong += any(found[better][0] <= found[worse][0] for better, worse in separated(found))
    assert wrong <= 100 * (0.05 + 3 * math.sqrt(0.05 * 0.95 / 100))


def test_a_planted_better_method_is_found() -> None:
    """A row that is better by 8 % (noise of a run 2 %) is separated from each equal one in nine studies of ten."""
    random = np.random.default_rng(1)
    wanted = {("best", "a"), ("best", "b"), ("best", "c")}
    gains = {"a": 0.0, "b": 0.0, "c": 0.0, "best": 0.08}
    assert sum(wanted <= separated(study(random, gains, 0.1)) for _ in range(40)) >= 36
