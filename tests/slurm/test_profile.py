"""`snakemake --profile slurm` as a laboratory's first command, from a fresh checkout."""

import json
import os
import re
import shutil
import signal
import time

import pytest

from mtlbench.plan import places

pytestmark = pytest.mark.slurm
FOUR = {f"tiny/segnet_split/{weighting}/seed{seed}" for weighting in ("equal", "dwa") for seed in (0, 1)}


def watch(site, seconds: float = 400) -> tuple[dict[str, str], set[str]]:
    """Until Snakemake ends: what Slurm says that each job asked for, and the states that `mtlbench status` showed."""
    asked: dict[str, str] = {}
    seen: set[str] = set()
    end = time.monotonic() + seconds
    while site.started[-1].poll() is None:
        assert time.monotonic() < end, site.output()
        for line in site.cluster.run("scontrol", "--oneliner", "show", "job").splitlines():
            job = dict(word.split("=", 1) for word in line.split() if "=" in word)
            if job.get("WorkDir") == str(site.folder):
                asked[job["Comment"]] = " ".join(
                    job.get(name, "no GPU")
                    for name in ("Partition", "TimeLimit", "NumCPUs", "MinMemoryNode", "TresPerJob")
                )
        status = site.checkout.run("env", "COLUMNS=200", "mtlbench", "status", "tiny").stdout
        seen |= set(re.findall(r"│ (pending|running|done|stopped|failed|stalled) *│", status))
        seen |= {re.sub(r"[\d.]+", "N", text) for text in re.findall(r"epoch .*? left", status)}
        time.sleep(2)
    return asked, seen


def test_a_fresh_checkout_trains_on_both_nodes_and_builds_the_report(new_site) -> None:
    site = new_site(("seeds: [0]", "seeds: [0, 1]"))
    site.snakemake("tiny")
    asked, seen = watch(site)
    site.finish()
    assert "segnet_split" in (site.folder / places.REPORTS / "tiny/index.html").read_text()
    nodes = {re.search(r"starting on (\w+)", site.log(cell))[1] for cell in FOUR}  # type: ignore[index]
    assert nodes == {"node1", "node2"}, "the runs are spread over the nodes"
    for cell in FOUR:
        assert list((site.folder / places.LOGS / "train" / cell).parent.glob("seed*.log")), "a log for each run"
    train = {rest for comment, rest in asked.items() if comment.startswith("rule_train")}
    assert train == {"main 00:05:00 1 1500M gres:gpu:1"}, "what params.yaml says a run needs"
    (prepare,) = (rest for comment, rest in asked.items() if comment.startswith("rule_prepare"))
    assert prepare == "main 04:00:00 1 4000M no GPU"
    assert {"pending", "running", "done", "epoch N/N on nodeN, about N s left"} <= seen
    assert "failed" not in seen
    assert "Nothing to be done" in site.checkout.run("snakemake", "--profile", "slurm", "-n", "tiny").stdout


def test_the_jobs_of_a_cluster_know_the_folder_of_ones_own_entries(new_site, repository) -> None:
    site = new_site(
        ("run: [tiny]", "extensions: [mine]\nrun: [tiny]"),
        ("dwa: {temperature: 2.0}", "inverse_loss: {power: 0.5}"),
        ("      equal: {}\n", ""),
    )
    example = repository / "tests/extensions/example"
    shutil.copytree(example, site.folder / "mine", ignore=shutil.ignore_patterns("__pycache__"))
    site.snakemake("tiny")
    site.finish()
    cell = "tiny/segnet_split/inverse_loss/seed0"
    assert re.search(r"starting on node[12]\b", site.log(cell)), "trained by a job, not here"
    assert "inverse_loss" in (site.folder / places.REPORTS / "tiny/index.html").read_text()


def test_a_search_on_the_cluster_goes_from_trials_to_the_page_through_a_killed_trial(new_site) -> None:
    search = (
        "    search: {trials: 2, epochs: 40, held_out: 0.34, rule: primary_gain, "
        "space: {optimizer: {learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}}}}\n"
    )
    site = new_site(
        ("tasks: [segmentation, depth, normals]", "tasks: [depth]"),
        ("baseline: null", "baseline: segnet_single"),
        ("      segnet_split: {width: 0.0625}\n", "      segnet_single: {width: 0.0625}\n"
         "      segnet_split: {width: 0.0625}\n"),
        ("      equal: {}\n      dwa: {temperature: 2.0}\n", "      dwa: {}\n      frozen: {of: dwa}\n"),
        ("    resources:", f"{search}    resources:"),
    )  # fmt: skip
    site.snakemake("tiny")
    killed = "tiny/segnet_split/dwa/trial1"
    os.kill(site.trainer(killed), signal.SIGKILL)
    site.finish(900)
    assert "Trying to restart job" in site.output()
    assert "continuing in epoch" in site.log(killed)
    for run in ("trial0", "trial1"):
        assert re.search(r"starting on node[12]\b", site.log(f"tiny/segnet_split/dwa/{run}")), "by a job, not here"
    selection = json.loads((site.folder / places.selection("tiny") / "selection.json").read_text())
    assert set(selection["rows"]) == {"segnet_single/only_depth", "segnet_split/dwa", "segnet_split/frozen"}
    assert all(len(row["trials"]) == 2 for row in selection["rows"].values())
    assert "cells are what their manifests say" in site.checkout.run("mtlbench", "verify", "tiny").stdout
    assert "Tuning" in (site.folder / places.REPORTS / "tiny/index.html").read_text()
    assert "Nothing to be done" in site.checkout.run("snakemake", "--profile", "slurm", "-n", "tiny").stdout


def test_dvc_repro_trains_on_the_cluster_and_records(new_site) -> None:
    site = new_site()
    repro = ("env", "SNAKEMAKE_PROFILE=slurm", "dvc", "repro")
    site.checkout.run(*repro)
    for cell in sorted(FOUR):
        if cell.endswith("seed0"):
            assert re.search(r"starting on node[12]\b", site.log(cell)), "trained by a job, not here"
    assert "up to date" in site.checkout.run("dvc", "status").stdout
    assert "up to date" in site.checkout.run(*repro).stdout
