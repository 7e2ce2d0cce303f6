"""DVC records what Snakemake made: the real DVC with the default remote, in a home folder of its own."""

import json
import re
import shutil

import pytest

from mtlbench.plan import places


def test_dvc_is_clean_after_recording(recorded) -> None:
    assert "up to date" in recorded.run("dvc", "status").stdout
    assert "didn't change" in recorded.run("dvc", "repro").stdout


def test_a_fresh_clone_with_pulled_results_has_nothing_to_do(recorded) -> None:
    clone = type(recorded)(recorded.folder.parent / "clone", recorded.home)
    recorded.run("git", "clone", "-q", str(recorded.folder), str(clone.folder))
    clone.run("dvc", "pull")
    assert "Nothing to be done" in clone.snakemake("-n")
    assert "up to date" in clone.run("dvc", "status").stdout
    assert "cells are what their manifests say" in clone.run("mtlbench", "verify").stdout
    clone.edit("temperature: 2.0", "temperature: 3.0")
    assert clone.pending() == {"tiny/segnet_split/dwa/seed0"}


def test_metrics_and_plots_show_the_numbers_of_the_report(recorded) -> None:
    shown = json.loads(recorded.run("dvc", "metrics", "show", "--json").stdout)
    metrics = json.loads((recorded.folder / places.SUMMARIES / "tiny/metrics.json").read_text())
    files = {name: str(places.METRICS / "tiny" / f"{name}.json") for name in metrics}
    assert {name: shown[""]["data"][file]["data"] for name, file in files.items()} == metrics
    lines = recorded.run("dvc", "metrics", "show").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == sorted(files.values()), "a line for each row of the table"


def test_plots_are_drawn_without_a_network(recorded) -> None:
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("no chromium")
    recorded.run("dvc", "plots", "show", "-o", "plots")
    page = recorded.folder / "plots/index.html"
    offline = ("--headless", "--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=10000")
    drawn = recorded.run(browser, *offline, "--dump-dom", page.as_uri()).stdout
    titles = re.findall(r">(tiny: [a-z_ ]+)<", drawn)
    assert len(titles) == len(set(titles)) == 6, "a panel for the loss and the first metric of each task"


def test_params_diff_names_the_change(recorded) -> None:
    recorded.edit("temperature: 2.0", "temperature: 3.0")
    try:
        diff = json.loads(recorded.run("dvc", "params", "diff", "--json").stdout)
        assert diff == {
            "params.yaml": {"experiments.tiny.weightings.dwa.temperature": {"old": 2.0, "new": 3.0, "diff": 1.0}}
        }
        assert "changed" in recorded.run("dvc", "status").stdout
    finally:
        recorded.edit("temperature: 3.0", "temperature: 2.0")
