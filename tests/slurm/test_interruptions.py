"""What happens to runs on a cluster, for real; afterwards every output has the bytes of an undisturbed run."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from .cluster import NODES, wait_for
from .conftest import CELL

pytestmark = pytest.mark.slurm


def node_of(site) -> str:
    """The node that runs the one job of the checkout."""
    return next(job["node"] for job in site.cluster.jobs() if job["folder"] == str(site.folder))


def test_a_killed_training_process_is_submitted_again_and_continues(site, expected) -> None:
    site.snakemake("cells")
    os.kill(site.trainer(CELL), signal.SIGKILL)
    site.finish()
    assert "Trying to restart job" in site.output()
    assert "continuing in epoch" in site.log(CELL)
    assert site.results(CELL) == expected


def test_a_dead_node_gives_the_run_to_another_one(site, expected) -> None:
    site.snakemake("cells")
    site.trainer(CELL)
    dead = node_of(site)
    site.cluster.power_cut(dead)
    try:
        site.finish()
    finally:
        site.cluster.start_node(dead)
    assert "Trying to restart job" not in site.output(), "Slurm requeues by itself, no retry is used up"
    assert "continuing in epoch" in site.log(CELL)
    assert site.results(CELL) == expected


def test_the_time_limit_stops_a_run_that_then_continues_in_a_new_job(site, expected) -> None:
    site.checkout.edit("minutes: 5", "minutes: 1")
    site.snakemake("cells")
    # Held, so that the limit comes first; at the limit Slurm lets the process go on and asks it to stop.
    os.kill(site.trainer(CELL), signal.SIGSTOP)
    site.finish()
    assert "Trying to restart job" in site.output()
    assert "stopped by SIGTERM in epoch" in site.log(CELL)
    assert site.results(CELL) == expected


def test_a_preempted_run_waits_and_continues(site, expected) -> None:
    site.snakemake("cells")
    site.trainer(CELL)
    whole = ["sbatch", "--parsable", "--partition=urgent", "--exclusive", "--output=/dev/null"]
    for node in NODES:
        site.cluster.run(*whole, f"--nodelist={node}", "--wrap=sleep 3")
    site.finish()
    assert "Trying to restart job" not in site.output(), "Slurm requeues by itself, no retry is used up"
    assert "stopped by SIGTERM in epoch" in site.log(CELL)
    assert site.results(CELL) == expected


def test_a_killed_snakemake_is_started_again_by_the_same_command(site, expected) -> None:
    first = site.snakemake("cells")
    site.trainer(CELL)
    (left,) = [job["id"] for job in site.cluster.jobs() if job["folder"] == str(site.folder)]
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    site.snakemake("cells")
    site.finish()
    assert "cancelling 1 jobs that an earlier Snakemake left behind" in site.output()
    assert "continuing in epoch" in site.log(CELL)
    assert site.results(CELL) == expected
    assert left not in [job["id"] for job in site.cluster.jobs()]


@contextmanager
def slowed(process: int) -> Iterator[None]:
    """Lets a process run one second in six, so that it outlives what others do meanwhile; its heartbeat goes on."""
    ended = threading.Event()

    def pace() -> None:
        while not ended.is_set():
            os.kill(process, signal.SIGSTOP)
            ended.wait(5)
            os.kill(process, signal.SIGCONT)
            ended.wait(1)

    pacer = threading.Thread(target=pace)
    pacer.start()
    try:
        yield
    finally:
        ended.set()
        pacer.join()


def test_a_second_snakemake_beside_a_live_one_is_refused(site, expected) -> None:
    site.snakemake("cells")
    with slowed(site.trainer(CELL)):
        done = site.checkout.run("snakemake", "--profile", "slurm", "cells", check=False)
    assert done.returncode == 1
    assert "is already working on it" in done.stderr
    assert site.trainers(CELL), "the first one's job must not be touched"
    site.finish()
    assert site.results(CELL) == expected


def test_a_lost_daemon_leaves_a_ghost_that_loses_its_lease(site, expected) -> None:
    site.snakemake("cells")
    ghost = site.trainer(CELL)
    dead = node_of(site)
    site.cluster.kill_slurmd(dead)
    os.kill(ghost, signal.SIGSTOP)
    try:
        # The requeued run waits for the ghost's lease until the ghost has been silent for too long.
        wait_for(lambda: len(site.trainers(CELL)) > 1, 90, "the requeued run starts")
        reached = site.position(CELL)
        wait_for(lambda: site.position(CELL) > reached, 90, "the requeued run takes over")
        os.kill(ghost, signal.SIGCONT)
        wait_for(lambda: ghost not in site.trainers(CELL), 30, "the ghost stops")
        site.finish()
    finally:
        site.cluster.start_slurmd(dead)
    assert "another process took this work over" in site.log(CELL)
    assert site.log(CELL).count("epoch 40/40") == 1, "one of the two trained to the end"
    assert site.results(CELL) == expected
