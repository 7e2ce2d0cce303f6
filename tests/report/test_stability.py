"""What definitions, protocols and conventions change."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mtlbench.report.evidence import stability
from mtlbench.report.evidence.analysis import Analysis
from mtlbench.report.evidence.stability import (
    CONVENTIONS,
    agreement,
    by_convention,
    by_definition,
    by_protocol,
    optimism,
    rule_titles,
    swaps,
)
from mtlbench.report.figures.tradeoffs import replacement, replacement_figure
from mtlbench.report.page.page import cost_rows
from mtlbench.report.rows.costs import cost, cost_table, pareto
from mtlbench.report.rows.grid import Row


def test_choosing_on_the_test_set_flatters_by_what_the_files_say(analysis: Analysis) -> None:
    table = optimism(analysis)
    assert list(table.index) == [row.label for row in analysis.grid.rows]
    # the made-up "best_on_test" is 2 % better in every metric
    assert table["best on test"].to_numpy() == pytest.approx(np.full(len(table), 2.0))
    assert table["last epoch"].to_numpy() == pytest.approx(np.zeros(len(table)))


def test_optimism_counts_primary_metrics_and_leaves_out_what_is_zero_or_undefined(analysis: Analysis) -> None:
    columns = analysis.grid.columns
    base = {c.name: np.array([1.0, 1.0, 0.0]) for c in columns}
    better = {c.name: np.array([1.1 if c.metric.higher_is_better else 0.9] * 3) for c in columns}
    better |= {c.name: np.full(3, 99.0) for c in columns if not c.metric.primary}
    better["depth_abs_error"] = np.array([0.7, np.nan, 0.7])
    assert stability._gain(analysis, better, base) == pytest.approx(((10 + 30 + 10) / 3 + (10 + 10) / 2) / 2)


def test_rankings_of_the_same_scores_agree(analysis: Analysis) -> None:
    scores = by_definition(analysis)
    tau = agreement(scores)
    assert np.diag(tau) == pytest.approx(np.ones(4))
    assert tau.to_numpy() == pytest.approx(tau.to_numpy().T)
    assert np.diag(swaps(scores)).tolist() == [0] * 4


def test_protocols_use_the_baseline_of_the_same_rule(analysis: Analysis) -> None:
    table = by_protocol(analysis)
    # 2 % better everywhere, baseline included: gains stay, losses of error metrics too (2 % of both sides)
    assert table["best on test"].to_numpy() == pytest.approx(table["last epoch"].to_numpy(), abs=1e-6)
    assert table.loc["segnet_single.single"].to_numpy() == pytest.approx(np.zeros(table.shape[1]), abs=1e-9)


def test_conventions_differ_where_their_averages_do(analysis: Analysis) -> None:
    metrics, deltas = by_convention(analysis)
    corrected, old = metrics["corrected"], metrics["mtan-2019"]
    assert (corrected["segmentation_miou"] != old["segmentation_miou"]).all()
    assert (corrected["normals_angle_median"] != old["normals_angle_median"]).all()
    assert metrics["libmtl"].equals(corrected)
    assert list(deltas.columns) == [convention.name for convention in CONVENTIONS]
    grid = analysis.grid
    reported = [grid.reported[row.slug]["delta_m_flat"].mean() for row in grid.rows]
    # the final network is the reported one in the made-up cells
    assert deltas["corrected"].to_numpy() == pytest.approx(reported, abs=1e-9)


def test_conventions_group_by_the_batches_of_their_own_codes(analysis: Analysis) -> None:
    assert [c.explain(8).count(" 8") for c in CONVENTIONS] == [0, 1, 1, 0, 0]
    assert "batches of 4" in CONVENTIONS[-1].explain(8)
    metrics, _ = by_convention(analysis)  # ten test images: batches of 2 and of 4 average differently
    slugs = list(metrics.index)
    by_four = [analysis.evidence[slug].grouped[4]["depth_abs_error"].mean() for slug in slugs]
    assert metrics["auto-lambda"]["depth_abs_error"].to_list() == by_four
    assert (metrics["auto-lambda"]["depth_abs_error"] != metrics["mtan-2020, nash"]["depth_abs_error"]).all()


def test_a_single_task_row_costs_its_networks_together(analysis: Analysis) -> None:
    single, multi = cost(analysis.grid.rows[0]), cost(analysis.grid.rows[1])
    assert single.parameters == 3 * 25_000_000
    assert single.inference_seconds == pytest.approx(3 * 0.081)
    assert single.memory_bytes == multi.memory_bytes
    assert single.device_seconds == 6 * 840
    shares = replacement(analysis).set_index("row")
    assert shares.loc["segnet_mtan · equal", "parameters"] == pytest.approx(1.3 / 3)


def test_a_network_replaces_the_single_task_networks_of_its_own_family(analysis: Analysis, tmp_path: Path) -> None:
    def of(row: Row, model: str, family: str) -> Row:
        named = (
            replace(c, cell=replace(c.cell, model=model, model_title=model, model_family=family)) for c in row.cells
        )
        return Row(model, row.weighting, tuple(named))

    single, multi = analysis.grid.rows[:2]
    large = replace(single.done[0].manifest, facts={**single.done[0].manifest.facts, "parameters": 50_000_000})
    double = replace(single, cells=tuple(replace(cell, manifest=large) for cell in single.cells))
    singles = of(single, single.model, "a"), of(double, "b_single", "b")
    rows = (*singles, of(multi, multi.model, "a"), of(multi, "b_mtan", "b"), of(multi, "c_mtan", "c"))
    several = replace(analysis, grid=replace(analysis.grid, rows=rows))
    shares = replacement(several).set_index("model")["parameters"]
    assert shares.to_dict() == pytest.approx({multi.model: 1.3 / 3, "b_mtan": 1.3 / 6, "c_mtan": 1.3 / 3})
    assert several.grid.several_baselines
    assert not analysis.grid.several_baselines
    without = replace(several.grid, input=replace(several.grid.input, baseline=None))
    assert not without.several_baselines
    assert replacement(replace(several, grid=without)).empty, "as nothing is drawn beside the curves then"
    told = replacement_figure(several, tmp_path)
    assert told is not None
    assert "those of its own family; " + rows[0].label + " for c_mtan" in told.caption


def test_a_run_on_a_busy_machine_does_not_move_the_time(analysis: Analysis) -> None:
    row = analysis.grid.rows[1]
    manifest = replace(row.done[0].manifest, facts={**row.done[0].facts, "seconds_per_epoch": 1e6})
    busy = replace(row, cells=(replace(row.done[0], manifest=manifest), *row.done, row.done[0]))
    assert cost(busy).seconds_per_epoch == cost(row).seconds_per_epoch


def test_operations_in_training_are_told_where_auxiliary_predictions_cost_some(analysis: Analysis) -> None:
    assert "training_flops" not in cost_table(analysis.grid)
    row = analysis.grid.rows[1]
    cells = [
        replace(cell, manifest=replace(cell.manifest, facts={**cell.facts, "training_flops": 2 * cell.facts["flops"]}))
        for cell in row.done
    ]
    deep = replace(row, cells=tuple(cells))
    grid = replace(analysis.grid, rows=(analysis.grid.rows[0], deep))
    table = cost_table(grid)
    assert table["training_flops"].isna().tolist() == [True, False]
    assert table["training_flops"][1] == 2 * table["flops"][1]
    told = [line["FLOPs / image"] for line in cost_rows(replace(analysis, grid=grid))]
    assert told == ["30 G", "13 G (training 26 G)"]


def test_the_mean_of_the_last_ten_is_named_after_the_epochs_that_there_are(analysis: Analysis) -> None:
    assert rule_titles(analysis)["mean_last_10"] == "mean of last 10"
    short = replace(analysis.grid.input, training={**analysis.grid.input.training, "epochs": 8})
    fewer = SimpleNamespace(grid=SimpleNamespace(input=short))
    assert rule_titles(fewer)["mean_last_10"] == "mean of all 8"  # type: ignore[arg-type]


def test_pareto_front() -> None:
    assert pareto([3, 1, 2, 2, 4], [9, 1, 5, 4, 9]) == [1, 2, 0]
