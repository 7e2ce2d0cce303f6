"""An experiment whose dataset, task, model and weighting lie in a folder of the user's own, through Snakemake."""

import json
import shutil
from pathlib import Path

import pytest

from mtlbench.plan import places

from .conftest import Checkout, make_checkout, tiny_params

EDITS = (
    ("run: [tiny]", "extensions: [mine]\nrun: [tiny]"),
    ("  rooms: {kind: rooms, height: 32, width: 32, train: 6, test: 3, seed: 1}\n", "  patches: {train: 8, test: 4}\n"),
    ("dataset: rooms", "dataset: patches"),
    ("tasks: [segmentation, depth, normals]", "tasks: [segmentation, albedo]"),
    ("baseline: segnet_single", "baseline: null"),
    ("      segnet_single: {width: 0.0625}\n", ""),
    ("segnet_split: {width: 0.0625}", "three_layers: {filters: 4}"),
    ("dwa: {temperature: 2.0}", "inverse_loss: {power: 0.5}"),
    ("      equal: {}\n", ""),
)
CELL = "tiny/three_layers/inverse_loss/seed0"


@pytest.fixture
def own(tmp_path: Path, repository: Path) -> Checkout:
    """A checkout with the example of an extension in mine/, which is not committed."""
    text = tiny_params(repository)
    for old, new in EDITS:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    made = make_checkout(tmp_path, repository, text)
    example = repository / "tests/extensions/example"
    shutil.copytree(example, made.folder / "mine", ignore=shutil.ignore_patterns("__pycache__"))
    return made


@pytest.mark.slow
def test_snakemake_prepares_trains_and_reports_with_entries_of_ones_own(own: Checkout) -> None:
    assert own.pending() == {CELL}
    own.snakemake()
    (path,) = (own.folder / places.cell(CELL)).glob("manifest.*.json")
    manifest = json.loads(path.read_text())
    assert (manifest["status"], list(manifest["extensions"])) == ("complete", ["mine"])
    page = (own.folder / places.report("tiny") / "index.html").read_text()
    assert "inverse_loss" in page
    assert "RMS err." in page, "a metric of the folder's task"
    assert "Nothing to be done" in own.snakemake("-n")
    own.edit("power: 0.5", "power: 1.5")
    assert own.pending() == {CELL}
    assert CELL in own.run("snakemake", "--profile", "slurm", "-n").stdout
    own.edit("power: 1.5", "powr: 1.5")
    output = own.snakemake("-n", check=False)
    assert "Did you mean 'power'?" in output
    assert "Traceback" not in output
