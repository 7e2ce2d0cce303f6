"""`mtlbench share` of a finished experiment, used as the person who gets it would."""

import contextlib
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from ruamel.yaml import YAML

import mtlbench
from mtlbench import pipeline
from mtlbench.plan import grid, places
from mtlbench.plan.params import load, validate
from mtlbench.plan.prepared import PreparedDataset
from mtlbench.runs.manifest import read_cell
from mtlbench.sharing.folder import share
from mtlbench.sharing.page import leaderboard
from mtlbench.sharing.read import read_all
from mtlbench.system.errors import DamagedError, DataError, ParamsError
from mtlbench.training.cell import run_cell

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def _made(tmp_path_factory: pytest.TempPathFactory, tiny: str) -> Path:
    folder = tmp_path_factory.mktemp("made")
    (folder / "params.yaml").write_text(tiny)
    outside = os.environ.pop(places.STORE_VARIABLE, None)
    try:
        with contextlib.chdir(folder):
            params = load()
            pipeline.prepare(params, "rooms")
            for cell in grid.every_cell(params, "tiny"):
                run_cell(cell, params.runtime)
            pipeline.report(params, "tiny")
    finally:
        if outside is not None:
            os.environ[places.STORE_VARIABLE] = outside
    return folder


@pytest.fixture
def made(_made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with the finished tiny experiment, the working directory."""
    folder = tmp_path / "project"
    shutil.copytree(_made, folder)
    monkeypatch.chdir(folder)
    monkeypatch.delenv(places.STORE_VARIABLE, raising=False)
    return folder


def test_the_folder_stands_alone(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    out = share(load(), "tiny", tmp_path / "given", said.append)
    assert said[0].startswith(f"{out}: 5 runs, ")
    cells = {cell.key: cell for cell in grid.cells(load(), "tiny")}
    metrics = {key: read_cell(cell).facts for key, cell in cells.items()}
    params = YAML(typ="safe").load(Path("params.yaml"))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    shutil.rmtree(made)
    checked = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=out, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert len(checked.stdout.splitlines()) == len(files) - 1
    assert {(places.CHECKPOINTS / f"{key}.safetensors").as_posix() for key in cells} <= files
    assert {"report/index.html", "report/table.csv", "report/citations.bib", "experiment.yaml"} <= files
    picture = np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)
    for key, cell in cells.items():
        network = mtlbench.load(out / "checkpoints" / f"{key}.safetensors", "cpu")
        assert set(network.predict(picture)) == set(cell.tasks)
        card = (out / "cards" / f"{key}.md").read_text()
        assert f"key: `{key}`" in card
        assert f"{metrics[key]['parameters']:,} parameters" in card
    experiment = YAML(typ="safe").load(out / "experiment.yaml")
    assert list(experiment) == ["datasets", "experiments"]
    assert {cell.key for cell in grid.cells(validate(params | experiment), "tiny")} == set(cells)


def test_a_leaderboard_has_the_numbers_of_the_report(made: Path, tmp_path: Path) -> None:
    share(load(), "tiny", tmp_path / "given.zip", print)
    ((name, facts),) = read_all([str(tmp_path / "given.zip")], load)
    assert name == "given"
    results = pd.read_csv(places.report("tiny") / "results.csv", keep_default_na=False)
    for row in facts.rows:
        mine = results[(results["model"] == row.model) & (results["weighting"] == (row.weighting or "single-task"))]
        for column in facts.columns:
            task = mine[(mine["task"] == column.task) & (mine["metric"] == column.metric)]
            assert row.numbers[column.name].mean == pytest.approx(float(task["mean"].iloc[0]), abs=1e-12)
    said: list[str] = []
    leaderboard([str(tmp_path / "given.zip"), "tiny"], load, tmp_path / "page.html", said.append)
    assert said == [f"{tmp_path}/page.html: 3 rows of 2 sources in 1 ranking"], "equal runs are one row"


def test_a_card_s_intervals_are_those_of_the_report(made: Path, tmp_path: Path) -> None:
    """With one seed the report's intervals are over images too; by results.csv, in stored units."""
    out = share(load(), "tiny", tmp_path / "given", print)
    cell = grid.cell(load(), "tiny/segnet_split/dwa/seed0")
    results = pd.read_csv(places.report("tiny") / "results.csv", keep_default_na=False)
    mine = results[
        (results["model"] == "segnet_split") & (results["weighting"] == "dwa") & (results["task"] == "depth")
    ]
    wanted = mine[mine["metric"] == "abs_error"].iloc[0]
    text = (out / "cards" / f"{cell.key}.md").read_text()
    ends = f"{float(wanted['low']):.4f} to {float(wanted['high']):.4f}"
    assert f"| {float(wanted['mean']):.4f} | {ends} |" in text


def test_the_same_experiment_gives_the_same_bytes(made: Path, tmp_path: Path) -> None:
    first, second = (share(load(), "tiny", tmp_path / part / "a.zip", print).read_bytes() for part in ("one", "two"))
    assert first == second
    with zipfile.ZipFile(tmp_path / "one" / "a.zip") as archive:
        assert archive.testzip() is None
        assert {name.split("/")[0] for name in archive.namelist()} == {"a"}


def test_pictures_of_data_that_is_not_rendered_stay_at_home(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = places.report("tiny") / "figures"
    photographs = [path for path in figures.glob("*.png") if not path.with_suffix(".svg").exists()]
    assert photographs
    monkeypatch.setattr(PreparedDataset, "raw", {"images": None})
    for pictures in (False, True):
        out = share(load(), "tiny", tmp_path / str(pictures), print, pictures)
        for path in figures.iterdir():
            same = (out / "report/figures" / path.name).read_bytes() == path.read_bytes()
            assert same == (pictures or path not in photographs), path.name
            if path in photographs:
                with Image.open(path) as before, Image.open(out / "report/figures" / path.name) as now:
                    assert before.size == now.size


def test_what_cannot_be_shared_is_named_and_nothing_is_left(made: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    with pytest.raises(ParamsError, match=r"--out: expected a new folder, .* or an earlier share, found '.*mine'"):
        share(load(), "tiny", tmp_path / "mine", print)
    weights = grid.cells(load(), "tiny")[0].checkpoint_folder / "model.safetensors"
    content = weights.read_bytes()
    weights.unlink()
    weights.write_bytes(content[:-1] + b"x")
    with pytest.raises(DamagedError, match=r"model\.safetensors: damaged"):
        share(load(), "tiny", tmp_path / "out", print)
    weights.write_bytes(content)
    share(load(), "tiny", tmp_path / "out", print)
    share(load(), "tiny", tmp_path / "out", print)  # an earlier share is replaced
    grid_report = next(places.report("tiny").glob("manifest.*.json"))
    grid_report.unlink()
    with pytest.raises(DataError, match=r"tiny: its report is not made; `snakemake"):
        share(load(), "tiny", tmp_path / "out", print)
    assert {path.name for path in tmp_path.iterdir()} == {"mine", "out", "project"}
