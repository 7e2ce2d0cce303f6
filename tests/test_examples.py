"""The example of docs/own_data.md, from nothing to the report and a prediction."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

from mtlbench import pipeline
from mtlbench.datasets.prepared.prepare import check_prepared
from mtlbench.inference.predict import predict
from mtlbench.plan import grid, places
from mtlbench.plan.params import load
from mtlbench.training.cell import run_cell


@pytest.fixture
def photos(project: Path, repository: Path) -> Path:
    """A project with the shipped data set `photos` at a small size in a tiny grid, and its twelve photographs."""
    params = YAML(typ="safe").load(project / "params.yaml")
    block = YAML(typ="safe").load(repository / "params.yaml")["datasets"]["photos"]
    params["datasets"]["photos"] = block | {"height": 32, "width": 32}
    params["experiments"]["tiny"] |= {"dataset": "photos", "tasks": ["segmentation", "normals"]}
    YAML(typ="safe").dump(params, project / "params.yaml")
    script = str(repository / "examples" / "photos.py")
    run = subprocess.run([sys.executable, script, block["source"]], capture_output=True, text=True, check=True)
    assert run.stdout == f"12 photographs with labels and normals in {block['source']}\n"
    return project / block["source"]


def test_the_labels_are_what_the_rule_says(photos: Path) -> None:
    pipeline.prepare(load(), "photos")
    facts = check_prepared(places.prepared("photos")).facts
    assert facts["counts"] == {"train": 9, "test": 3}
    assert facts["remarks"] == {}
    for split in ("train", "test"):
        shares = facts["statistics"][split]["segmentation"]["class_shares"]
        assert min(shares.values()) > 0.01, shares
        mean = facts["statistics"][split]["normals"]["mean"]
        assert mean[2] < -0.5  # towards the camera
    label = np.asarray(Image.open(photos / "labels/flower.png"))
    picture = np.asarray(Image.open(photos / "images/flower.jpg")).astype(int)
    assert (picture[label == 0].max(1) < 64).all()  # dark
    grey = np.ptp(picture, axis=2)[label == 1] / picture[label == 1].max(1)
    assert (grey < 0.26).all()  # of little saturation


@pytest.mark.slow
def test_from_nothing_to_the_report(photos: Path, tmp_path: Path) -> None:
    params = load()
    pipeline.prepare(params, "photos")
    for cell in grid.every_cell(params, "tiny"):
        run_cell(cell, params.runtime)
    pipeline.aggregate(params, "tiny")
    page = pipeline.report(params, "tiny").read_text()
    assert "labels computed from the pictures" in page
    assert "segnet_split" in page
    predict("tiny/segnet_split/dwa/seed0", [photos / "images"], tmp_path / "seen", print, "cpu")
    assert len(list((tmp_path / "seen").glob("*_normals_overlay.png"))) == 12


def test_the_documented_blocks_are_accepted(project: Path, repository: Path) -> None:
    text = (repository / "docs" / "own_data.md").read_text()
    block = re.search(r"```yaml\n(.*?)```", text, re.S)
    assert block is not None
    mine = YAML(typ="safe").load(block[1])
    mine["datasets"]["mine"]["source"] = os.fspath(project)
    params = YAML(typ="safe").load(repository / "params.yaml")
    params["datasets"] |= mine["datasets"]
    params["experiments"] |= mine["experiments"]
    YAML(typ="safe").dump(params, project / "params.yaml")
    assert len(grid.every_cell(load(), "mine")) == 2 * (3 + 2 * 3)
