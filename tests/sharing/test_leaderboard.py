"""Rankings over several sources: computed again here, never across other data or protocols, safe against their text."""

import json
import re
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from mtlbench.plan.params import load
from mtlbench.report.rows.grid import load_grid
from mtlbench.report.rows.inputs import CellInput, ReportInput
from mtlbench.sharing.board import boards
from mtlbench.sharing.facts import Shared, shared
from mtlbench.sharing.folder import FACTS, SUMS, checksum
from mtlbench.sharing.page import leaderboard, render
from mtlbench.sharing.read import read_all
from mtlbench.system.errors import DataError

COLUMNS = [
    {"task": "segmentation", "metric": "miou", "display": "mIoU", "unit": "%", "scale": 100.0, "decimals": 2,
     "higher_is_better": True, "primary": True, "secondary": False},
    {"task": "depth", "metric": "abs_error", "display": "abs. err.", "unit": "m", "scale": 1.0, "decimals": 4,
     "higher_is_better": False, "primary": True, "secondary": False},
    {"task": "depth", "metric": "rel_error", "display": "rel. err.", "unit": "%", "scale": 100.0, "decimals": 2,
     "higher_is_better": False, "primary": False, "secondary": False},
]  # fmt: skip
TRAINING = {
    "epochs": 5, "batch_size": 2, "optimizer": {"name": "adam", "learning_rate": 1e-3, "weight_decay": 0.0},
    "schedule": {"name": "cosine"}, "drop_last": False, "precision": "float32", "augmentation": None,
}  # fmt: skip


def row(name: str, miou: float | None, error: float, key: str = "") -> dict[str, Any]:
    numbers = {"depth_abs_error": error, "depth_rel_error": 0.1} | ({} if miou is None else {"segmentation_miou": miou})
    return {
        "model": "net", "weighting": name, "model_title": "Net", "weighting_title": name, "single_task": False,
        "seeds": [0, 1], "keys": [key or name], "parameters": 2.5e6,
        "numbers": {column: {"mean": value, "deviation": 0.01, "n": 2} for column, value in numbers.items()},
    }  # fmt: skip


def facts(*rows: dict[str, Any], **changes: Any) -> Shared:
    data = {"kind": "rooms", "key": "d" * 16, "note": "", "size": [64, 96], "images": {"train": 6, "test": 3}}
    found = {
        "experiment": "demo", "title": "Demo", "dataset": data, "tasks": {"segmentation": {}, "depth": {}},
        "protocol": {"name": "paper", "last_epochs": 1}, "training": TRAINING, "search": None, "commits": ["c"],
        "columns": COLUMNS, "rows": list(rows),
    }  # fmt: skip
    return Shared.model_validate({**found, **changes})


def test_rows_are_ordered_by_their_mean_rank_over_the_main_metrics() -> None:
    (board,) = boards([("a", facts(row("x", 0.3, 0.5), row("y", 0.2, 0.3))), ("b", facts(row("z", 0.4, 0.4)))])
    # mIoU: z 1, x 2, y 3; error: y 1, z 2, x 3.
    assert [(entry.row.weighting, entry.rank, entry.sources) for entry in board.entries] == [
        ("z", 1.5, ["b"]), ("y", 2.0, ["a"]), ("x", 2.5, ["a"]),
    ]  # fmt: skip
    assert board.best(board.columns[0]) == 0.4
    assert board.best(board.columns[1]) == 0.3


def test_a_row_without_a_main_metric_has_no_rank_and_stands_last() -> None:
    (board,) = boards([("a", facts(row("x", None, 0.1), row("y", 0.2, 0.3)))])
    assert [entry.row.weighting for entry in board.entries] == ["y", "x"]
    assert board.entries[1].rank != board.entries[1].rank


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": {"kind": "rooms", "key": "e" * 16, "note": "", "size": [64, 96], "images": {}}},
        {"tasks": {"segmentation": {}, "depth": {"largest": 1}}},
        {"protocol": {"name": "paper", "last_epochs": 10}},
        {"protocol": {"name": "held_out", "share": 0.1}},
        {"training": {**TRAINING, "epochs": 6}},
        {"training": {**TRAINING, "batch_size": 4}},
        {"training": {**TRAINING, "augmentation": {"scales": [1.0], "flip": True}}},
        {"training": {**TRAINING, "precision": "bfloat16"}},
    ],
)
def test_rows_of_other_data_or_conditions_are_in_another_ranking(change: dict[str, Any]) -> None:
    found = boards([("a", facts(row("x", 0.3, 0.5))), ("b", facts(row("y", 0.2, 0.3), **change))])
    assert [[entry.row.weighting for entry in board.entries] for board in found] == [["x"], ["y"]]
    assert [board.entries[0].rank for board in found] == [1, 1]


def test_another_learning_rate_is_the_method_s_own_choice() -> None:
    training = {**TRAINING, "optimizer": {"name": "sgd", "learning_rate": 0.1, "weight_decay": 0.0}}
    assert len(boards([("a", facts(row("x", 0.3, 0.5))), ("b", facts(row("y", 0.2, 0.3), training=training))])) == 1


def test_equal_runs_of_two_sources_are_one_row_and_others_of_one_name_are_two() -> None:
    (board,) = boards([
        ("a", facts(row("x", 0.3, 0.5))), ("b", facts(row("x", 0.3, 0.5))), ("c", facts(row("x", 0.31, 0.5, "k"))),
    ])  # fmt: skip
    assert sorted((entry.sources, entry.row.keys) for entry in board.entries) == [(["a", "b"], ["x"]), (["c"], ["k"])]


def written(folder: Path, found: Shared) -> Path:
    folder.mkdir(parents=True)
    content = found.model_dump_json().encode()
    (folder / FACTS).write_bytes(content)
    (folder / SUMS).write_text(f"{checksum(content)}  {FACTS}\n")
    return folder


def test_folders_and_zip_files_are_told_apart_by_name(tmp_path: Path) -> None:
    first, second = (written(tmp_path / lab / "demo", facts(row(lab, 0.3, 0.5))) for lab in ("ada", "bob"))
    packed = tmp_path / "packed.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in second.iterdir():
            archive.write(path, f"demo/{path.name}")
    found = read_all([str(first), str(second), str(packed)], load)
    assert [name for name, _ in found] == ["demo", "demo (2)", "packed"]
    assert found[1][1] == found[2][1]


def test_a_changed_or_foreign_file_is_refused(tmp_path: Path, project: Path) -> None:
    folder = written(tmp_path / "demo", facts(row("x", 0.3, 0.5)))
    text = (folder / FACTS).read_text()
    (folder / FACTS).write_text(text.replace("0.3", "0.9"))
    with pytest.raises(DataError, match=r"share\.json is not the file whose checksum SHA256SUMS holds"):
        read_all([str(folder)], load)
    for content, where in ((text.replace('"epochs":5', '"epochs":0'), "training.epochs"), ("[]", "share.json")):
        (folder / FACTS).write_text(content)
        (folder / SUMS).write_text(f"{checksum(content.encode())}  {FACTS}\n")
        with pytest.raises(DataError, match=where):
            read_all([str(folder)], load)
    (tmp_path / "no.zip").write_bytes(b"none")
    with pytest.raises(DataError, match="expected a folder or zip file that `mtlbench share` wrote"):
        read_all([str(tmp_path / "no.zip")], load)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: .* wrote \(it lacks share\.json or SHA256SUMS\)"):
        read_all([str(tmp_path / "empty")], load)
    with pytest.raises(DataError, match=r"gone: expected a folder .* or an experiment \(tiny\), found neither"):
        read_all(["gone"], load)


def test_text_of_others_is_shown_and_never_run(tmp_path: Path) -> None:
    evil = '</script><script>alert("x")</script>'
    page = render(boards([(evil, facts(row(evil, 0.3, 0.5, evil), title=evil))]))
    assert page.count("<script>") == 1
    assert "alert(&#34;x&#34;)" in page


def test_the_page_has_a_row_with_its_numbers_for_each_method(tmp_path: Path) -> None:
    folder = written(tmp_path / "demo", facts(row("x", 0.3, 0.5), row("y", 0.2, 0.3)))
    said: list[str] = []
    leaderboard([str(folder)], load, tmp_path / "out" / "page.html", said.append)
    assert said == [f"{tmp_path}/out/page.html: 2 rows of 1 source in 1 ranking"]
    page = (tmp_path / "out" / "page.html").read_text()
    assert page.count("<tr data-model") == 2
    assert "30.00 <small>± 1.00</small>" in page
    assert "0.3000 <small>± 0.0100</small>" in page
    assert json.dumps(["demo"]).replace('"', "&#34;") in page


def test_a_small_board_prints_on_one_page(tmp_path: Path) -> None:
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("no chromium")
    (tmp_path / "page.html").write_text(render(boards([("a", facts(row("x", 0.3, 0.5), row("y", 0.2, 0.3)))])))
    command = [browser, "--headless", "--no-sandbox", f"--user-data-dir={tmp_path}/profile"]
    page = (tmp_path / "page.html").as_uri()
    subprocess.run(
        [*command, f"--print-to-pdf={tmp_path}/page.pdf", page], check=True, capture_output=True, timeout=120
    )
    assert len(re.findall(rb"/Type\s*/Page\b", (tmp_path / "page.pdf").read_bytes())) == 1


def test_an_experiment_whose_runs_all_diverged_says_so() -> None:
    cell = CellInput("mine/net/equal/seed0", "net", "equal", 0, ("depth",), None, missing="diverged: NaN in epoch 1")
    grid = load_grid(
        ReportInput("mine", "Mine", "rooms", (64, 96), {}, {}, {"depth": {"near": 0.5, "far": 8.0}}, (cell,))
    )
    with pytest.raises(
        DataError, match=r"^mine: none of its runs has numbers, the first: mine/net/equal/seed0: diverged: NaN"
    ):
        shared(grid, None)
