"""What the trials' own files say: fronts, the oracle, hours, and metrics at equal training loss."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mtlbench.plan.params import load
from mtlbench.report.evidence.analysis import Analysis
from mtlbench.report.evidence.equal_loss import equal_loss, metric_at
from mtlbench.report.evidence.fronts import Count, standings
from mtlbench.report.evidence.oracle import oracles
from mtlbench.report.evidence.search_cost import search_costs
from mtlbench.report.evidence.tuning import Tuned, expected_best
from mtlbench.report.figures.fronts import fronts
from mtlbench.report.figures.search_cost import search_cost
from mtlbench.report.figures.tuning import best_of_trials, rates
from mtlbench.report.page.tuning import above_sentence, flattery_sentence, tuning_tables
from mtlbench.report.rows import collect
from mtlbench.report.rows.cells import LoadedCell
from mtlbench.report.rows.grid import load_grid
from mtlbench.report.rows.inputs import ReportInput

from .test_optimism import with_histories


def tuned_row(weighting: str, gains: list[list[float]], chosen: int | None = 0, fixed: bool = False) -> Tuned:
    """A row of a search of two tasks whose trials have these gains, without files."""
    values = np.array(gains, float)
    return Tuned(
        "segnet_mtan", weighting, weighting, fixed, chosen, values.mean(1), values, ({},) * len(gains),
        (None,) * len(gains),
    )  # fmt: skip


def with_rows(analysis: Analysis, *rows: Tuned) -> Analysis:
    found = Analysis(analysis.grid, analysis.evidence)
    found.__dict__["tuned"] = list(rows)
    return found


def test_who_is_on_or_above_the_front(searched_analysis: Analysis) -> None:
    fixed = tuned_row("static", [[0, 4], [4, 0], [1, 1]], 2, fixed=True)
    above = tuned_row("dwa", [[3, 2], [-1, -1], [np.nan, np.nan], [4, 0]])
    below, static = standings(with_rows(searched_analysis, above, fixed))
    assert (below.chosen, below.trials) == (Count(1, 1), Count(2, 3))  # equal to a point of the front is on it
    assert (static.chosen, static.trials) == (Count(1, 1), Count(3, 3))  # each against the others alone
    assert static.finals is None
    assert standings(with_rows(searched_analysis, above)) == []


def test_final_runs_are_counted_by_pair_and_seed(searched_analysis: Analysis) -> None:
    found = {one.row.weighting: one for one in standings(searched_analysis)}
    assert list(found) == ["equal", "dwa", "static", "frozen"]
    assert found["dwa"].finals is not None
    assert found["dwa"].finals.total == 3 * 3
    grid = searched_analysis.grid
    rows = {row.weighting: row for row in grid.rows}
    primary = [column for column in grid.columns if column.metric.primary]
    count = beaten = 0
    for seed in range(3):
        signs = []
        for column in primary:
            ours, fixed = (
                rows[name].values(seed)[column.task][column.metric.name] for name in ("dwa", "static")
            )  # fmt: skip
            signs.append((ours - fixed) * (1 if column.metric.higher_is_better else -1))
        count += sum(signs[a] > 0 or signs[b] > 0 for a, b in ((0, 1), (0, 2), (1, 2)))
        beaten += sum(signs[a] > 0 and signs[b] > 0 for a, b in ((0, 1), (0, 2), (1, 2)))
    assert found["dwa"].finals.above == count
    assert found["dwa"].beats == Count(beaten, 9)
    text = above_sentence(list(found.values()))
    assert f"{found['static'].trials.above} of {found['static'].trials.total}" in text
    assert f"{sum(found[name].finals.above for name in ('equal', 'dwa', 'frozen'))} of 27" in text


def test_the_oracle_is_the_best_on_the_test_images(searched_analysis: Analysis) -> None:
    """Held-out numbers of the made-up trials are the test numbers of the next one: the two choose otherwise."""
    found = {one.row.weighting: one for one in oracles(searched_analysis)}
    assert list(found) == ["only_segmentation", "only_depth", "only_normals", "equal", "dwa", "static", "frozen"]
    for one in found.values():
        assert one.row.chosen is not None
        assert one.trial == (one.row.chosen + 1) % 3
        assert one.optimism > 0
    depth = found["only_depth"]
    values = [run.metrics["reported"]["depth"]["abs_error"] for run in depth.row.runs if run is not None]
    change = 100 * (1 - values[depth.trial] / values[depth.row.chosen or 0])
    assert depth.optimism == pytest.approx(change)  # relative to the chosen trial, the baseline's own
    assert depth.gains["depth_abs_error"] == pytest.approx(change)
    assert set(depth.gains) == {"depth_abs_error", "depth_rel_error"}
    assert "another trial for 7 of 7 rows and networks" in flattery_sentence(list(found.values()))


def test_without_optimism_the_sentence_says_so(searched_analysis: Analysis) -> None:
    rows = [
        replace(row, chosen=one.trial)
        for row, one in zip(searched_analysis.tuned, oracles(searched_analysis), strict=True)
    ]
    found = oracles(with_rows(searched_analysis, *rows))
    assert [one.optimism for one in found] == [0] * 7
    assert flattery_sentence(found).startswith(
        "The test set would have chosen the same trial for all 7 rows and networks"
    )


def test_trials_without_files_cost_their_parts_alone(searched_report: ReportInput, searched_analysis: Analysis) -> None:
    grid = replace(searched_analysis.grid, input=replace(searched_report, trials={}))
    tables = tuning_tables(Analysis(grid, searched_analysis.evidence))
    assert tables["oracle"] == []
    assert tables["flattery"] == ""
    assert len(tables["chosen"]) == 7
    assert tables["front"]  # from the selection alone
    assert {one["Trials [h]"] for one in tables["cost"]} == {"–"}
    assert {one["Together [h]"] for one in tables["cost"]} == {"–"}


def test_hours_add_up_all_trials_and_final_runs(searched_analysis: Analysis) -> None:
    single, *others = search_costs(searched_analysis)
    hour = 840 / 3600  # every made-up run took 840 s
    assert single.trials == pytest.approx(3 * 3 * hour)  # three networks with three trials each
    assert single.finals == pytest.approx(3 * 3 * hour)
    for one in others:
        assert (one.trials, one.finals, one.total) == pytest.approx((3 * hour, 3 * hour, 6 * hour))
        assert one.hours == pytest.approx([hour, 2 * hour, 3 * hour])
        assert (np.diff(one.best) > 0).all()
    assert single.best[-1] < 0  # of draws with replacement the best is at most the chosen trial, which is 0


def test_the_metric_at_a_loss_is_read_between_two_epochs() -> None:
    loss, metric = np.array([4.0, 3.0, 1.0, 2.0]), np.array([10.0, 20.0, 40.0, 30.0])
    assert [metric_at(loss, metric, level) for level in (3.0, 2.0, 9.0)] == [20, 30, 10]
    assert np.isnan(metric_at(loss, metric, 0.5))


def test_rows_that_differ_by_their_speed_alone_are_equal_at_equal_loss(searched_analysis: Analysis) -> None:
    """Every metric is one function of the training loss; half of the rows train twice as fast."""

    def change(cell: LoadedCell, history: pd.DataFrame) -> pd.DataFrame:
        fast = 2 if cell.cell.weighting in ("dwa", "static") else 1
        for task in cell.cell.tasks:
            loss = 3 - 0.05 * fast * np.arange(len(history))
            history[f"train_loss_{task}"] = loss
            for metric in searched_analysis.grid.tasks[task].metrics:
                history[f"test_{task}_{metric.name}"] = 2 + 7 * loss
        return history

    tasks = equal_loss(with_histories(searched_analysis, change))
    assert [one.column.task for one in tasks] == ["segmentation", "depth", "normals"]
    for one in tasks:
        assert one.level == pytest.approx(3 - 0.05 * 11)
        assert (one.early, one.runs) == (0, 15)
        assert one.slowest.weighting in ("", "equal", "frozen")
        assert np.concatenate(list(one.at_level.values())) == pytest.approx(2 + 7 * one.level)
        assert len({round(float(values.mean()), 6) for values in one.at_end.values()}) == 2


def test_every_run_reaches_the_level(searched_analysis: Analysis) -> None:
    for one in equal_loss(searched_analysis):
        assert len(one.at_level) == 5
        assert all(np.isfinite(values).all() and len(values) == 3 for values in one.at_level.values())
    assert equal_loss(with_histories(searched_analysis, lambda *_: pd.DataFrame())) == []


def test_frozen_weights_are_named_by_whose_means_they_are(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    params = load(repository / "params.yaml")
    monkeypatch.setattr(collect, "_selection", lambda *_: ({"rows": {}}, []))
    found = collect.report_input(params, "search_demo", partial=True)
    titles = {cell.weighting: cell.weighting_title for cell in found.cells}
    assert titles["frozen"] == "Frozen mean weights of DWA"
    assert titles["static"] == "Static"
    assert {cell.mean_of for cell in found.cells if cell.weighting == "frozen"} == {"dwa"}
    assert {name: len(trials) for name, trials in found.trials.items()} == {
        f"{cell.model}/{cell.weighting}": 4 for cell in found.cells
    }
    monkeypatch.setattr(collect, "_selection", lambda *_: (None, []))
    before = collect.report_input(params, "search_demo", partial=True)
    assert before.trials == {}
    assert before.searched  # the page must not say that nothing was tuned
    assert before.search["epochs"] == 4
    plain = collect.report_input(params, "demo", partial=True)
    assert (plain.searched, plain.search) == (False, {})


@pytest.fixture(scope="module")
def halved(searched_report: ReportInput, searched_analysis: Analysis) -> Analysis:
    """The search as if every trial of six epochs but the chosen ones had been stopped, half of them after two."""
    assert searched_report.selection is not None
    selection = copy.deepcopy(dict(searched_report.selection))
    for row in selection["rows"].values():
        others = [one for one in row["trials"] if one["trial"] != row["chosen"]]
        for one, epochs in zip(others, (2, 3), strict=True):
            one["stopped_after"] = epochs
    rungs = [{"epochs": 2, "keep": 2}, {"epochs": 3, "keep": 1}]
    grid = load_grid(replace(searched_report, selection={**selection, "rungs": rungs, "epochs": 6}))
    return Analysis(grid, searched_analysis.evidence)


def test_stopped_trials_count_as_tried_and_are_told(halved: Analysis, searched_analysis: Analysis) -> None:
    tables = tuning_tables(halved)
    pace = 840 / 12 / 3600  # hours that an epoch of a made-up run took
    assert tables["halving"] == (
        "The worse trials were stopped early, by one rule for all rows (successive halving): after epoch 2 the best 2 "
        "went on, then after epoch 3 the best 1 went on, ranked as the selection ranks, by what they had on the "
        "held-out images until then. 14 of 21 trials were stopped (7 after epoch 2, 7 after epoch 3), which saved 49 "
        f"of 126 epochs, about {49 * pace:.2f} hours. They count as tried; only trials that ran to the end could be "
        "chosen; one that starts slowly may have been lost."
    )
    assert {one["stopped"] for one in tables["chosen"]} == {"1 after epoch 2, 1 after epoch 3"}
    assert tuning_tables(searched_analysis)["halving"] == ""
    for early, whole in zip(halved.tuned, searched_analysis.tuned, strict=True):
        assert expected_best(early.scores) == pytest.approx(expected_best(whole.scores)), "with what they had by then"
        assert np.isfinite(early.gains).any(1).tolist() == [at == early.chosen for at in range(3)]
    for one in standings(halved):  # the front is of whole trials alone
        assert (one.trials.total, one.chosen.total) == (3, 3)
    assert search_costs(halved)[1].stopped == 2


def test_the_oracle_is_among_whole_trials(halved: Analysis) -> None:
    assert halved.tuned[0].runs[0] is not None
    rows = [
        replace(row, runs=tuple(run if at == row.chosen else replace(run, missing="stopped") if run else None
                                for at, run in enumerate(row.runs)))
        for row in halved.tuned
    ]  # fmt: skip
    found = oracles(with_rows(halved, *rows))
    assert [one.trial for one in found] == [row.chosen for row in rows]


def test_the_figures_tell_of_stopped_trials(halved: Analysis, tmp_path: Path) -> None:
    """Those of a search that stopped none do not (the page, below)."""
    for picture in (best_of_trials(halved, tmp_path), rates(halved, tmp_path), search_cost(halved, tmp_path)):
        assert picture is not None
        assert "stopped early" in picture.caption
    assert "stopped early are left out" in fronts(halved, tmp_path)[0].caption


def test_the_page_shows_all_of_it(searched_built: Path, repository: Path) -> None:
    text = (searched_built / "index.html").read_text(encoding="utf-8")
    section = text.split('<section id="tuning">')[1].split("</section>")[0]
    listed = (repository / "docs" / "report.md").read_text(encoding="utf-8")
    for name in ("search_best", "search_rates", "search_front_segnet_mtan", "equal_loss", "search_cost"):
        assert f"| `{name.replace('segnet_mtan', 'MODEL')}` |" in listed
        assert f'id="fig-{name}"' in section
        assert (searched_built / "figures" / f"{name}.svg").is_file()
    assert "these settings, not these methods" in section
    assert (
        "trained for 6 epochs with 25 % of the training images held out, final runs for 12 epochs. What is" in section
    )
    stated = (repository / "docs" / "tuning.md").read_text(encoding="utf-8")
    assert "12 % of the studies" in section
    assert "12 % of the studies" in " ".join(stated.split())
    assert "in 15 %" in section
    assert "in 15 % where it does" in " ".join(stated.split())
    assert "What a difference between tuned rows says" in stated
    assert "Nothing may be chosen on the test set" in section
    assert "Frozen mean weights of dwa" in section
    assert "only_" not in section
    assert "stopped early" not in section
    assert "tuned static weights" in text.split('class="verdict"')[1].split("</div>")[0]


def test_a_page_without_a_search_draws_none_of_it(
    make: Callable[..., ReportInput], built: Path
) -> None:  # fmt: skip
    text = (built / "index.html").read_text(encoding="utf-8")
    assert 'id="tuning"' not in text
    assert not [path.name for path in (built / "figures").iterdir() if path.stem.startswith(("search_", "equal_loss"))]
    assert "methods were not tuned equally" in text
