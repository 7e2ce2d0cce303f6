"""A search by the real Snakemake: what is planned, and killed at every step and continued to the same bytes."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mtlbench.plan import places
from mtlbench.runs.manifest import Manifest, write
from mtlbench.system.files import read_json, write_json

from .conftest import Checkout, make_checkout, tiny_params

SEARCH = """    search:
      trials: 2
      epochs: 6
      held_out: 0.34
      rule: primary_gain
      space: {optimizer: {learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}}}
"""
EDITS = (
    ("tasks: [segmentation, depth, normals]", "tasks: [segmentation, depth]"),
    ("      equal: {}\n", ""),
    ("      dwa: {temperature: 2.0}\n", "      dwa: {}\n      frozen: {of: dwa}\n"),
    ("epochs: 3", "epochs: 9"),
    ("    resources: {gpu: 0, memory_mb: 1000, minutes: 5}", f"{SEARCH}    resources: {{gpu: 0, memory_mb: 1000, "
     "minutes: 5, cells_per_job: 4}"),
)  # fmt: skip
ROWS = ("segnet_single/only_segmentation", "segnet_single/only_depth", "segnet_split/dwa", "segnet_split/frozen")
#: What a manifest says that differs from run to run, made one: times and memory, and the commit where somebody works.
MADE_ONE = {
    "seconds_total": 1.0,
    "seconds_per_epoch": 1.0,
    "inference_seconds_per_image": 1.0,
    "peak_memory_bytes": 1,
    "commit": "0" * 40,
}


def search_params(repository: Path) -> str:
    """The tiny params.yaml with a search: four rows, each with two trials and a final run, in jobs of four runs."""
    text = tiny_params(repository)
    for old, new in EDITS:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def test_everything_of_the_projects_own_searches_is_known_before_anything_runs(tmp_path, repository) -> None:
    """`snakemake -n` from nothing names every trial and final run; docs/tuning.md has the numbers."""
    text = (repository / "params.yaml").read_text()
    made = make_checkout(tmp_path, repository, text)
    pending = {name: made.pending(name) for name in ("search_demo", "rooms_tuned")}
    assert {name: by_kind(cells) for name, cells in pending.items()} == {
        "search_demo": {"trial": 8 * 4, "seed": 8 * 3},
        "rooms_tuned": {"trial": 22 * 6, "seed": 22 * 5},
    }
    before = pending["search_demo"]
    made.edit("      trials: 4  ", "      trials: 5  ")
    rows = {cell.rsplit("/", 1)[0] for cell in before}
    assert made.pending("search_demo") - before == {f"{row}/trial4" for row in rows}


def by_kind(cells: set[str]) -> dict[str, int]:
    """{"trial" or "seed": how many of these cells}."""
    return dict(Counter(re.sub(r"\d+$", "", cell.rsplit("/", 1)[1]) for cell in cells))


@pytest.fixture(scope="module")
def built(tmp_path_factory, repository) -> Checkout:
    """A checkout after an undisturbed search."""
    made = make_checkout(tmp_path_factory.mktemp("search"), repository, search_params(repository))
    made.snakemake()
    return made


@pytest.fixture(scope="module")
def undisturbed(built) -> dict[str, bytes]:
    """What the undisturbed search gave."""
    return results(built)


def results(checkout: Checkout) -> dict[str, bytes]:
    """The bytes of all results; the page is built again after what differs from run to run is made one."""
    for path in (checkout.folder / places.CELLS).rglob("manifest.*.json"):
        write_json(path, {name: MADE_ONE.get(name, value) for name, value in read_json(path).items()})
    checkout.run("mtlbench", "report", "tiny")
    return {
        path.relative_to(checkout.folder).as_posix(): path.read_bytes()
        for top in (places.RESULTS, places.CHECKPOINTS)
        for path in sorted((checkout.folder / top).rglob("*"))
        if path.is_file() and path.name != ".snakemake_timestamp"
    }


@pytest.mark.slow
def test_another_selection_makes_the_page_anew_and_trains_nothing(built, undisturbed) -> None:
    """As when Git brings the choice of another machine: the same trials, other numbers."""
    path = built.folder / places.selection("tiny") / "selection.json"
    before, stored = path.read_bytes(), built.trained()
    found = read_json(path)
    row = found["rows"]["segnet_split/dwa"]
    row["chosen"] = 1 - row["chosen"]
    row["optimizer"] = row["trials"][row["chosen"]]["optimizer"]
    replace_selection(built, json.dumps(found).encode())
    assert built.pending() == set()
    built.snakemake()
    page = (built.folder / places.report("tiny") / "index.html").read_text()
    assert "made with another setting than the selection gives today" in page
    assert "Nothing to be done" in built.snakemake("-n")
    replace_selection(built, before)
    assert "rule report_tiny:" in built.snakemake("-n")
    built.snakemake()
    assert results(built) == undisturbed
    assert built.trained() == stored


def replace_selection(checkout: Checkout, content: bytes) -> None:
    """Another choice from the same trials, whole with its manifest."""
    (manifest,) = selections(checkout)
    path = manifest.parent / "selection.json"
    path.write_bytes(content)
    write(manifest.parent, Manifest.read(manifest).spec, {path.name: path})


def forget(checkout: Checkout) -> None:
    """Back to a checkout with prepared data alone."""
    for top in (places.RESULTS, places.CHECKPOINTS, places.WORK):
        shutil.rmtree(checkout.folder / top)
    checkout.run("git", "checkout", "-q", "--", str(places.SELECTIONS / "README.md"))
    (checkout.folder / places.STORE).mkdir(parents=True)


def killed(checkout: Checkout, when: Callable[[], object]) -> None:
    """Start Snakemake and end it and all its jobs by SIGKILL as soon as the condition holds."""
    command = ["snakemake", "--profile", "workflow/profiles/local"]
    with (
        open(checkout.folder / "killed.log", "w") as log,
        subprocess.Popen(
            command, cwd=checkout.folder, env=checkout.environment, stdout=log, stderr=log, start_new_session=True
        ) as running,
    ):
        end = time.monotonic() + 600
        while not when():
            assert running.poll() is None, (checkout.folder / "killed.log").read_text()
            assert time.monotonic() < end
            time.sleep(0.02)
        os.killpg(running.pid, signal.SIGKILL)


def half_done(checkout: Checkout) -> set[str]:
    """Keys of runs that are in the middle: a checkpoint, and no result."""
    return {path.parent.name for path in checkout.folder.glob(f"{places.RESUME}/*/state-00000[3-9]*.pt")}


def selections(checkout: Checkout) -> list[Path]:
    """The manifest of the selection, when it is there."""
    return list((checkout.folder / places.selection("tiny")).glob("manifest.*.json"))


SELECT_THAT_HANGS = """#!{python}
import pathlib, sys, time
from mtlbench.runs import replace
def hang(*_):
    pathlib.Path({started!r}).touch()
    time.sleep(600)
if sys.argv[1] == "select":
    replace._swap = hang
from mtlbench.cli import main
main()
"""


def with_select_that_hangs(checkout: Checkout, folder: Path) -> tuple[Checkout, Path]:
    """The checkout whose `mtlbench select` stops just before its choice takes its place; the file that says so."""
    started = folder / "started"
    (folder / "mtlbench").write_text(SELECT_THAT_HANGS.format(python=sys.executable, started=str(started)))
    (folder / "mtlbench").chmod(0o755)
    path = f"{folder}{os.pathsep}{checkout.environment['PATH']}"
    return replace(checkout, extra={"PATH": path}), started


@pytest.mark.slow
@pytest.mark.parametrize("cells_per_job", [4, 1])
def test_a_search_killed_at_every_step_ends_with_the_bytes_of_an_undisturbed_one(
    built, undisturbed, tmp_path: Path, cells_per_job: int
) -> None:
    if cells_per_job == 1:
        built.edit("cells_per_job: 4", "cells_per_job: 1")
    forget(built)
    killed(built, lambda: len(built.trained()) >= 2 and half_done(built))
    assert not selections(built), "in the trials"
    hanging, started = with_select_that_hangs(built, tmp_path)
    killed(hanging, started.exists)
    assert not selections(built), "in the select"
    killed(built, lambda: half_done(built) and selections(built))
    assert not list(built.folder.glob(f"{places.SUMMARIES}/*/manifest.*")), "in the final runs"
    built.snakemake()
    assert "Nothing to be done" in built.snakemake("-n")
    found = results(built)
    assert [name for name in found if found[name] != undisturbed.get(name)] == []
    assert found.keys() == undisturbed.keys()
    assert not (built.folder / places.aside(places.selection("tiny"))).exists()
    for path in built.folder.glob(f"{places.RESUME}/*/log.txt"):
        epochs = Counter(re.findall(r": epoch (\d+)/", path.read_text()))
        assert sum(count > 1 for count in epochs.values()) <= 3, "a kill costs at most the epoch that was not saved"


RUNGS = "      rungs: [{epochs: 2, keep: 2}, {epochs: 4, keep: 1}]\n"


@pytest.mark.slow
def test_rungs_killed_in_the_middle_and_damaged_give_the_bytes_of_whole_trials(tmp_path, repository) -> None:
    text = (
        search_params(repository)
        .replace("      frozen: {of: dwa}\n", "")
        .replace("cells_per_job: 4", "cells_per_job: 9")
    )
    text = text.replace("trials: 2\n      epochs: 6\n", f"trials: 3\n      epochs: 6\n{RUNGS}")
    made = make_checkout(tmp_path, repository, text)
    pending = {cell.rsplit("/", 1)[1] for cell in made.pending("cells")}
    assert pending == {f"trial{i}{rung}" for i in range(3) for rung in ("", "_rung1", "_rung2")} | {"seed0"}
    first = made.folder / places.selection("tiny", 1) / "selection.json"
    killed(made, lambda: first.exists() and half_done(made))
    assert not (made.folder / places.selection("tiny", 2)).exists(), "on the way to the second rung"
    made.snakemake("cells")
    assert "Nothing to be done" in made.snakemake("-n", "cells")
    assert "are what their manifests say" in made.run("mtlbench", "verify").stdout
    chosen = read_json(made.folder / places.selection("tiny") / "selection.json")["rows"]["segnet_split/dwa"]["chosen"]
    assert "have the same bytes" in made.run("mtlbench", "reproduce", f"tiny/segnet_split/dwa/trial{chosen}").stdout

    before = searched_files(made)
    lost = next((made.folder / places.cell("tiny/segnet_split/dwa/trial0_rung1")).glob("manifest.*"))
    shutil.rmtree(made.folder / places.STORE / lost.name.split(".")[1])
    shutil.rmtree(lost.parent)
    first.unlink()
    next(first.parent.glob("manifest.*")).unlink()
    made.snakemake("cells")
    assert searched_files(made) == before


def searched_files(checkout: Checkout) -> dict[Path, bytes]:
    """What trials, rungs and the selection say, without what differs from run to run."""
    paths = [*(checkout.folder / places.CELLS).rglob("*.*"), *(checkout.folder / places.SELECTIONS).rglob("*.json")]
    return {
        path: path.read_bytes() for path in paths if places.CELLS.name not in path.parts or "manifest" not in path.name
    }
