"""Several cells in one job (resources.cells_per_job): the plan, a cell that fails, and what is done already."""

import re
import shutil

import pytest

from mtlbench.plan import places

from .conftest import Checkout, make_checkout, tiny_params, with_failing_weighting

GOOD = {f"tiny/segnet_split/{weighting}/seed0" for weighting in ("equal", "dwa")}
BAD = "tiny/segnet_split/failing/seed0"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory, repository) -> Checkout:
    """Three cells in two jobs, one of which fails, and an experiment beside it with one cell per job."""
    text = tiny_params(repository)
    for old, new in (
        ("baseline: segnet_single", "baseline: null"),
        ("      segnet_single: {width: 0.0625}\n", ""),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    block = text[text.index("  tiny:\n") :]
    text += block.replace("  tiny:", "  single:")
    text = text.replace("minutes: 5}", "minutes: 5, cells_per_job: 2}", 1)
    return make_checkout(tmp_path_factory.mktemp("bundles"), repository, with_failing_weighting(text))


def test_jobs_hold_several_cells_and_ask_for_their_time(checkout) -> None:
    assert checkout.pending("tiny") == GOOD | {BAD}
    output = checkout.snakemake("-n", "tiny")
    jobs = dict(re.findall(r"rule train-tiny-(\d):.*?runtime=(\d+)", output, re.S))
    assert jobs == {"0": "10", "1": "5"}
    assert "rule train:" not in output
    checkout.edit("cells_per_job: 2}", "cells_per_job: 2, cells_at_once: 2}")
    output = checkout.snakemake("-n", "tiny")
    checkout.edit("cells_per_job: 2, cells_at_once: 2}", "cells_per_job: 2}")
    jobs = dict(re.findall(r"rule train-tiny-(\d):.*?runtime=(\d+)", output, re.DOTALL))
    assert jobs == {"0": "5", "1": "5"}, "two share the time"
    assert output.count("threads: 2") == output.count("mem_mb=2000,") == 1


def test_an_experiment_with_one_cell_per_job_is_planned_as_ever(checkout) -> None:
    output = checkout.snakemake("-n", "single")
    assert output.count("rule train:") == 2
    assert "train-" not in output


def test_one_cell_can_be_asked_for_and_brings_its_job(checkout) -> None:
    manifest = re.search(rf"{places.CELLS}/tiny/segnet_split/dwa/seed0/manifest\.\w+\.json", checkout.snakemake("-n"))
    assert checkout.pending(manifest[0]) == {"tiny/segnet_split/dwa/seed0"}


def test_every_profile_plans_the_same(checkout) -> None:
    output = checkout.run("snakemake", "--profile", "slurm", "-n", "tiny").stdout
    assert len(set(re.findall(r"rule (train-tiny-\d):", output))) == 2


@pytest.mark.slow
def test_a_cell_that_fails_leaves_the_others_of_its_job_and_a_report_with_the_missing_result(checkout) -> None:
    output = checkout.snakemake("tiny", check=False)
    assert f"1 of 2 cells failed: {BAD}" in output
    assert checkout.pending("tiny") == {"tiny/segnet_split/equal/seed0", BAD}, "the whole job is due again"
    for cell in GOOD:
        assert list((checkout.folder / places.CELLS / cell).glob("manifest.*")), f"{cell} is there"
    page = (checkout.folder / places.REPORTS / "tiny/index.html").read_text()
    assert "this weighting fails in its job" in page
    status = checkout.run("env", "COLUMNS=200", "mtlbench", "status", "tiny").stdout
    assert re.search(r"failing/seed0 +│ failed +│ .*this weighting fails in its job", status)

    trained = checkout.trained()
    checkout.edit("      failing: {}\n", "")
    checkout.snakemake("tiny")
    assert checkout.trained() == trained, "what is done is not trained again, though its job has other cells now"
    assert "Nothing to be done" in checkout.snakemake("-n", "tiny")

    shutil.rmtree(checkout.folder / places.PREPARED)
    path = checkout.folder / "params.yaml"
    path.write_text(path.read_text().replace("temperature: 2.0}\n", "temperature: 2.0}\n      si: {}\n", 1))
    assert checkout.pending("tiny") == {"tiny/segnet_split/si/seed0"}, "finished jobs need no data"
