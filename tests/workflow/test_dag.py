"""Keys decide what runs: the real Snakemake on the tiny experiment."""

import html
import json
import os
import re
import shutil
import signal
import subprocess
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from mtlbench.plan import places

from .conftest import copy_of, with_failing_weighting

ALL = {
    "tiny/segnet_single/only_segmentation/seed0",
    "tiny/segnet_single/only_depth/seed0",
    "tiny/segnet_single/only_normals/seed0",
    "tiny/segnet_split/equal/seed0",
    "tiny/segnet_split/dwa/seed0",
}


@pytest.fixture(scope="module")
def built(finished, tmp_path_factory):
    """A checkout after one run."""
    return copy_of(finished, tmp_path_factory.mktemp("built") / "one")


@pytest.fixture
def params(built):
    """params.yaml is put back after the test."""
    path = built.folder / "params.yaml"
    text = path.read_text()
    yield path
    path.write_text(text)


def test_everything_is_pending_in_a_fresh_checkout(checkout) -> None:
    assert checkout.pending() == ALL
    assert checkout.pending("tiny") == ALL


def test_a_run_makes_the_report_and_then_nothing_is_pending(built) -> None:
    page = built.folder / places.REPORTS / "tiny/index.html"
    assert "segnet_split" in page.read_text()
    assert "Nothing to be done" in built.snakemake("-n")
    assert "Nothing to be done" in built.snakemake("-n", "tiny")


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a finished report."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("[!.]*") if path.is_file()}


def with_report_that(built, folder: Path, end: str):
    """The checkout with a ``mtlbench`` whose report runs these shell commands instead; all else is the real one."""
    programs = Path(built.environment["PATH"].split(os.pathsep)[0])
    (folder / "mtlbench").write_text(f'#!/bin/sh\n[ "$1" != report ] && exec {programs}/mtlbench "$@"\n{end}\n')
    (folder / "mtlbench").chmod(0o755)
    return replace(built, extra={"PATH": f"{folder}{os.pathsep}{built.environment['PATH']}"})


@pytest.mark.slow
def test_a_failed_report_and_a_killed_snakemake_leave_the_earlier_report_whole_and_the_next_one_runs(
    built, params, tmp_path: Path
) -> None:
    """Snakemake and its jobs end by SIGKILL: nobody removes the copies of the outputs that were being updated."""
    page = built.folder / places.report("tiny")
    built.snakemake()
    before = contents(page)
    built.edit("title: Tiny", "title: Another tiny")
    with_report_that(built, tmp_path, "exit 1").snakemake(check=False)
    assert contents(page) == before
    started = tmp_path / "started"
    hanging = with_report_that(built, tmp_path, f"touch {started}; exec sleep 300")
    command = ["snakemake", "--profile", "workflow/profiles/local"]
    with subprocess.Popen(command, cwd=hanging.folder, env=hanging.environment, start_new_session=True) as running:
        while running.poll() is None and not started.exists():
            time.sleep(0.1)
        os.killpg(running.pid, signal.SIGKILL)
    assert started.exists(), "after the failure the report is due again"
    assert (built.folder / places.SNAKEMAKE_BACKUPS).is_dir(), "Snakemake keeps its copies elsewhere"
    assert contents(page) == before
    built.snakemake()
    assert "Another tiny" in (page / "index.html").read_text()


@pytest.fixture
def without_prepared_data(built, tmp_path: Path):
    """The finished checkout while its prepared arrays are elsewhere; other tests find them again."""
    built.snakemake()
    aside = shutil.move(built.folder / places.PREPARED, tmp_path / "aside")
    yield built
    shutil.rmtree(built.folder / places.PREPARED, ignore_errors=True)
    shutil.move(aside, built.folder / places.PREPARED)


@pytest.mark.slow
def test_a_report_needs_no_prepared_data(without_prepared_data) -> None:
    built = without_prepared_data
    before = contents(built.folder / places.report("tiny"))
    for gone in (places.REPORTS, places.SUMMARIES):
        shutil.rmtree(built.folder / gone)
    assert "prepare" not in built.snakemake("-n")
    built.snakemake()
    assert contents(built.folder / places.report("tiny")) == before
    assert not (built.folder / places.PREPARED).exists()
    assert "Nothing to be done" in built.snakemake("-n")


def test_without_prepared_data_a_new_cell_brings_no_finished_one_back(built, params, tmp_path: Path) -> None:
    built.edit("      equal: {}\n", "      equal: {}\n      si: {}\n")
    aside = shutil.move(built.folder / places.PREPARED, tmp_path / "aside")
    try:
        plan = built.snakemake("-n")
        assert built.pending() == {"tiny/segnet_split/si/seed0"}
    finally:
        shutil.move(aside, built.folder / places.PREPARED)
    assert "rule prepare:" in plan


def test_snakemakes_own_report_carries_tables_and_figures_with_captions(built) -> None:
    captions = json.loads((built.folder / places.REPORTS / "tiny/captions.json").read_text())
    built.snakemake("--report", "report.zip")
    with zipfile.ZipFile(built.folder / "report.zip") as archive:
        names = {Path(name).name for name in archive.namelist()}
    figures = {path.stem for path in (built.folder / places.REPORTS / "tiny/figures").glob("[!.]*")}
    assert figures == captions.keys() - {"table"}
    assert {Path(name).stem for name in names} == {*figures, "table", "cost", "report"}
    built.snakemake("--report", "report.html")
    page = html.unescape((built.folder / "report.html").read_text())
    for text in captions.values():
        # The page may write other signs than these in another way.
        piece = max(re.split(r"[^A-Za-z0-9 :(),.-]", text), key=len).strip()
        assert len(piece) > 15
        assert piece in page
    assert "Cost of each row: trained parameters" in page
    assert page.count("data:image/") >= len(figures)
    assert "Nothing to be done" in built.snakemake("-n")


def test_file_times_decide_nothing(built) -> None:
    now = time.time()
    for path in (built.folder / places.DATA).rglob("*"):
        import os

        os.utime(path, (now, now))
    assert "Nothing to be done" in built.snakemake("-n")


def test_a_changed_option_makes_exactly_its_cells_pending(built, params) -> None:
    built.edit("temperature: 2.0", "temperature: 3.0")
    assert built.pending() == {"tiny/segnet_split/dwa/seed0"}


def test_a_new_seed_makes_exactly_the_new_cells_pending(built, params) -> None:
    built.edit("seeds: [0]", "seeds: [0, 1]")
    assert built.pending() == {cell.replace("seed0", "seed1") for cell in ALL}


def test_a_new_weighting_makes_exactly_its_cells_pending(built, params) -> None:
    built.edit("      equal: {}\n", "      equal: {}\n      uncertainty: {start: 0.0}\n")
    assert built.pending() == {"tiny/segnet_split/uncertainty/seed0"}


def needs_the_single_task_cells_and_no_other(built, cell: str) -> None:
    target = re.search(rf"{places.CELLS}/{cell}/manifest\.\w+\.json", built.snakemake("-n", "cells"))
    assert target is not None
    assert built.pending(target[0]) == {cell, *(one for one in ALL if one.startswith("tiny/segnet_single/"))}


def test_a_network_that_starts_from_single_task_cells_needs_them_and_no_other(built, params) -> None:
    built.edit("segnet_split: {width: 0.0625}", "segnet_cross_stitch: {width: 0.0625, start_from: segnet_single}")
    built.edit("epochs: 3", "epochs: 2")
    needs_the_single_task_cells_and_no_other(built, "tiny/segnet_cross_stitch/equal/seed0")


def test_a_weighting_that_is_judged_by_single_task_cells_needs_them_and_no_other(built, params) -> None:
    built.edit("{name: paper, last_epochs: 2}", "{name: held_out, share: 0.34}")
    built.edit("      equal: {}\n", "      equal: {}\n      pivrg: {}\n")
    needs_the_single_task_cells_and_no_other(built, "tiny/segnet_split/pivrg/seed0")


@pytest.mark.slow
def test_going_back_to_earlier_parameters_trains_nothing(built, params) -> None:
    before = built.trained()
    text = params.read_text()
    built.edit("temperature: 2.0", "temperature: 3.0")
    built.snakemake("cells")
    assert len(built.trained() - before) == 1
    params.write_text(text)
    changed = built.trained()
    built.snakemake()
    assert built.trained() == changed, "the result of the earlier parameters comes from the store"
    assert "Nothing to be done" in built.snakemake("-n")


def test_a_mistake_in_the_parameters_stops_before_the_dag(built, params) -> None:
    built.edit("temperature: 2.0", "temperatur: 2.0")
    output = built.snakemake("-n", check=False)
    assert "Did you mean 'temperature'?" in output
    assert "Traceback" not in output


def test_failed_and_diverged_runs_leave_the_others_and_a_report_with_the_missing_results(built, params) -> None:
    text = params.read_text()
    params.write_text(with_failing_weighting(text))
    built.edit("      failing: {}\n", "      failing: {}\n      uncertainty: {start: -1000.0}\n      si: {}\n")
    with params.open("a") as file:
        file.write(text[text.index("  tiny:\n") :].replace("  tiny:", "  other:"))
    built.run("mtlbench", "train", "other/segnet_split/equal/seed0")
    done = built.run("snakemake", "--profile", "workflow/profiles/local", check=False)
    assert "rule train:" not in done.stderr, "the profile is quiet"
    logs = places.LOGS / "train" / "tiny" / "segnet_split"
    log = re.search(rf"({logs}/failing/seed0\.\w+\.log):\n((?:  .*\n)+)", done.stderr)
    assert log is not None, "but the log of what failed is shown"
    assert "this weighting fails in its job" in log[2]
    assert set(re.findall(rf"{logs}/(\w+)/", done.stderr)) == {"failing"}, "and no other"
    assert list((built.folder / places.CELLS / "tiny/segnet_split/si/seed0").glob("manifest.*")), "the others go on"
    (diverged,) = (built.folder / places.CELLS / "tiny/segnet_split/uncertainty/seed0").glob("manifest.*")
    assert json.loads(diverged.read_text())["status"] == "diverged"
    assert built.pending() == {"tiny/segnet_split/failing/seed0"}, "what diverged is done"
    page = (built.folder / places.REPORTS / "tiny/index.html").read_text()
    for reason in ("this weighting fails in its job", "NaN or infinite at epoch 1"):
        assert reason in page, "the reason of the missing result"
    assert not (built.folder / places.report("other")).exists(), "it has a result too, but not of this run"
    status = built.run("mtlbench", "status", "tiny").stdout
    assert "failed" in status
    assert "diverged" in status
    built.edit("      failing: {}\n", "")
    assert "rule report_tiny:" in (plan := built.snakemake("-n"))
    assert "rule train:" not in plan, "beside the report without the failed run nothing is due"


def test_an_unknown_experiment_is_answered_with_the_nearest(checkout) -> None:
    output = checkout.snakemake("-n", "tinny", check=False)
    assert "unknown experiment 'tinny'. Did you mean 'tiny'?" in output


def test_two_snakemakes_planned_for_other_parameters_refuse(built) -> None:
    done = built.run("mtlbench", "train", "tiny/segnet_split/dwa/seed0", "--key", "0" * 16, check=False)
    assert done.returncode == 2
    assert "it was edited since" in done.stderr


def test_every_profile_plans_the_same(built, params) -> None:
    built.edit("temperature: 2.0", "temperature: 3.0")
    for profile in ("slurm", "workflow/profiles/local"):
        output = built.run("snakemake", "--profile", profile, "-n", "--quiet", "host").stdout
        assert output.count("tiny/segnet_split/dwa/seed0/manifest.") > 0


def test_prune_removes_what_nothing_asks_for(built, params) -> None:
    other = built.folder / places.CELLS / "tiny/segnet_gone/equal/seed0"
    other.mkdir(parents=True)
    (other / "history.csv").write_text("epoch\n")
    assert "would remove" in built.run("mtlbench", "prune", "-n").stdout
    assert other.exists()
    built.run("mtlbench", "prune")
    assert not other.parent.parent.exists()
    assert "cells are what their manifests say" in built.run("mtlbench", "verify").stdout


def test_verify_notices_a_changed_byte_and_a_missing_file(built) -> None:
    path = built.folder / places.CELLS / "tiny/segnet_split/dwa/seed0/history.csv"
    content = path.read_bytes()
    path.unlink()
    done = built.run("mtlbench", "verify", check=False)
    assert done.returncode == 6
    assert "missing" in done.stderr
    path.write_bytes(content.replace(b"1", b"2", 1))
    assert "its content changed" in built.run("mtlbench", "verify", check=False).stderr
    path.write_bytes(content)
    built.run("mtlbench", "verify", "--deep")
