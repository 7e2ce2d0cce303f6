"""Several cells in one job, disturbed in the middle; afterwards every output has the bytes of an undisturbed run."""

import os
import shutil
import signal

import pytest

from mtlbench.plan import places

from .cluster import NODES
from .conftest import CELL, Site

pytestmark = pytest.mark.slurm
FIRST = CELL.replace("dwa", "equal")


@pytest.fixture
def site(new_site, undisturbed) -> Site:
    """A checkout with the data prepared and two cells, FIRST and CELL, that share a job."""
    made = new_site(("minutes: 5}", "minutes: 5, cells_per_job: 2}"))
    shutil.copytree(undisturbed / "data", made.folder / places.DATA)
    return made


def in_the_middle(site: Site) -> tuple[int, dict[str, str]]:
    """The process of the second cell and the one job, once the first cell is done and the second one trains."""
    site.snakemake("cells")
    process = site.trainer(CELL)
    assert site.cell(FIRST).manifest.name in os.listdir(site.folder / site.cell(FIRST).folder)
    (job,) = site.jobs()
    return process, job


def check(site: Site, expected: dict[str, bytes]) -> None:
    """Both cells are there, the first one was trained once, the second one continued."""
    site.finish()
    assert site.log(FIRST).count("starting on") == 1
    assert "continuing in" not in site.log(FIRST)
    assert "continuing in epoch" in site.log(CELL)
    assert site.results(CELL) == expected
    status = site.checkout.run("env", "COLUMNS=200", "mtlbench", "status", "tiny").stdout
    assert "tiny: 2 done" in status


def test_a_killed_cell_is_trained_again_without_the_one_that_is_done(site, expected) -> None:
    process, job = in_the_middle(site)
    limit = site.cluster.run("scontrol", "show", "job", job["id"])
    assert "TimeLimit=00:10:00" in limit, "five minutes for each of the two cells"
    os.kill(process, signal.SIGKILL)
    check(site, expected)
    assert "Trying to restart job" in site.output()


def test_the_time_limit_stops_the_running_cell_which_continues_in_a_new_job(site, expected) -> None:
    process, job = in_the_middle(site)
    # Held, so that the limit comes first; at the limit Slurm lets the process go on and asks it to stop.
    os.kill(process, signal.SIGSTOP)
    site.cluster.run("scontrol", "update", f"jobid={job['id']}", "timelimit=1")
    check(site, expected)
    assert "stopped by SIGTERM in epoch" in site.log(CELL)
    assert "Trying to restart job" in site.output()


def test_a_preempted_job_waits_and_continues_with_the_cell_that_was_running(site, expected) -> None:
    in_the_middle(site)
    whole = ["sbatch", "--parsable", "--partition=urgent", "--exclusive", "--output=/dev/null"]
    for node in NODES:
        site.cluster.run(*whole, f"--nodelist={node}", "--wrap=sleep 3")
    check(site, expected)
    assert "stopped by SIGTERM in epoch" in site.log(CELL)
    assert "Trying to restart job" not in site.output(), "Slurm requeues by itself, no retry is used up"


def test_a_dead_node_gives_the_job_to_another_one(site, expected) -> None:
    _, job = in_the_middle(site)
    site.cluster.power_cut(job["node"])
    try:
        check(site, expected)
    finally:
        site.cluster.start_node(job["node"])
