"""DVC as users use it: a bucket, experiments with one changed value, queued ones, interrupted ones."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mtlbench.plan import places

from .conftest import Checkout, make_checkout, tiny_params

SECRET = "hunter2-secret"
CHANGED = "experiments.tiny.weightings.dwa.temperature"


def clone_of(source: Checkout, name: str, **extra: str) -> Checkout:
    """A clone of a checkout beside it, on a machine of its own (home and caches)."""
    made = Checkout(source.folder.parent / name / "checkout", source.folder.parent / name / "home", extra)
    made.home.mkdir(parents=True)
    source.run("git", "clone", "-q", str(source.folder), str(made.folder))
    return made


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """The address of an S3 server on loopback that has the bucket "lab"."""
    boto3 = pytest.importorskip("boto3", reason="no boto3: install the dev extra")
    server = pytest.importorskip("moto.server", reason="no moto: install the dev extra")
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    url = f"http://{host}:{port}"
    account = {"aws_access_key_id": "lab", "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
    boto3.client("s3", endpoint_url=url, **account).create_bucket(Bucket="lab")
    yield url
    running.stop()


def leaks(checkout: Checkout) -> list[str]:
    """The files of a checkout that hold the secret, DVC's private configuration aside."""
    return [
        path.relative_to(checkout.folder).as_posix()
        for path in checkout.folder.rglob("*")
        if path.is_file() and path.name != "config.local" and SECRET.encode() in path.read_bytes()
    ]


def test_a_bucket_takes_everything_to_a_fresh_clone_and_keeps_the_account_secret(recorded, bucket) -> None:
    sender = clone_of(recorded, "sender", AWS_ACCESS_KEY_ID="lab", AWS_SECRET_ACCESS_KEY=SECRET)
    sender.run("dvc", "remote", "modify", "local", "url", str(recorded.home / ".cache/mtlbench/dvc-remote"))
    sender.run("dvc", "pull")
    sender.run("git", "checkout", "-q", ".dvc/config")
    sender.run("dvc", "remote", "add", "-d", "ours", "s3://lab/mtlbench")
    sender.run("dvc", "remote", "modify", "--local", "ours", "endpointurl", bucket)
    sender.run("git", "commit", "-qam", "our bucket")
    pushed = sender.run("dvc", "push").stdout
    assert "files pushed" in pushed
    assert "in sync" in sender.run("dvc", "status", "--cloud").stdout

    receiver = clone_of(sender, "receiver")
    account = (("endpointurl", bucket), ("access_key_id", "lab"), ("secret_access_key", SECRET))
    for name, value in account:
        receiver.run("dvc", "remote", "modify", "--local", "ours", name, value)
    receiver.run("dvc", "pull")
    assert "Nothing to be done" in receiver.snakemake("-n")
    assert "up to date" in receiver.run("dvc", "status").stdout
    assert "cells are what their manifests say" in receiver.run("mtlbench", "verify").stdout
    assert receiver.run("git", "status", "--short").stdout == "", "the private configuration is not for git"
    assert SECRET in (receiver.folder / ".dvc/config.local").read_text()
    assert leaks(sender) == leaks(receiver) == []


def test_a_bucket_without_an_account_says_so(recorded, bucket) -> None:
    other = clone_of(recorded, "stranger", AWS_EC2_METADATA_DISABLED="true")
    other.run("dvc", "remote", "add", "-d", "ours", "s3://lab/mtlbench")
    other.run("dvc", "remote", "modify", "--local", "ours", "endpointurl", bucket)
    done = other.run("dvc", "pull", check=False)
    assert done.returncode != 0
    assert "credentials" in done.stdout + done.stderr


def test_the_profile_comes_from_the_environment(recorded) -> None:
    """`SNAKEMAKE_PROFILE=slurm dvc repro`, with a profile that needs no cluster (tests/slurm has the real one)."""
    profile = recorded.folder / "workflow/profiles/other"
    profile.mkdir()
    try:
        text = (recorded.folder / "workflow/profiles/local/config.yaml").read_text()
        (profile / "config.yaml").write_text(text)
        here = Checkout(recorded.folder, recorded.home, {"SNAKEMAKE_PROFILE": "workflow/profiles/other"})
        done = here.run("dvc", "repro", "--force", "--single-item", "prepare")
        assert "Using profile workflow/profiles/other" in done.stdout + done.stderr
        assert "up to date" in recorded.run("dvc", "status").stdout, "the choice of a profile is no change"
    finally:
        (profile / "config.yaml").unlink()
        profile.rmdir()


@pytest.fixture(scope="module")
def tried(recorded) -> Checkout:
    """A clone with pulled results, after `dvc exp run` with one changed value."""
    made = clone_of(recorded, "tried")
    made.run("dvc", "remote", "modify", "--local", "local", "url", str(recorded.home / ".cache/mtlbench/dvc-remote"))
    made.run("dvc", "pull")
    made.run("dvc", "exp", "run", "--name", "warmer", "-S", f"{CHANGED}=3.0")
    return made


def shown(checkout: Checkout) -> dict[str, dict]:
    """{name: what `dvc exp show` knows} of the experiments of the last commit."""
    found = {}
    for revision in json.loads(checkout.run("dvc", "exp", "show", "--json").stdout):
        for one in revision["experiments"] or ():
            found[one["name"]] = one["revs"][0]["data"]
    return found


@pytest.mark.slow
def test_an_experiment_with_one_changed_value_trains_its_cells_alone(tried) -> None:
    assert len(tried.trained()) == 1
    assert "Nothing to be done" in tried.snakemake("-n")
    params = shown(tried)["warmer"]["params"]["params.yaml"]["data"]
    assert params["experiments"]["tiny"]["weightings"]["dwa"]["temperature"] == 3.0


def reported(checkout: Checkout) -> dict[str, float]:
    """{"row column": mean over seeds} from the report's summary.csv."""
    table = pd.read_csv(checkout.folder / places.REPORTS / "tiny/summary.csv", keep_default_na=False)
    table = table[(table["rule"] == "reported") & (table["value"] != "")]
    column = (table["task"] + "_" + table["metric"]).str.removeprefix("_")
    row = table["model"] + "." + table["weighting"].replace("single-task", "single")
    return table["value"].astype(float).groupby(row + " " + column).mean().to_dict()


def flat(files: dict[str, dict]) -> dict[str, Any]:
    """{"row column": value} of {file of a row: {column: value}}."""
    rows = {Path(file).relative_to(places.METRICS / "tiny").stem: values for file, values in files.items()}
    return {f"{row} {column}": value for row, values in rows.items() for column, value in values.items()}


def test_metrics_are_those_of_the_report(recorded) -> None:
    files = json.loads(recorded.run("dvc", "metrics", "show", "--json").stdout)[""]["data"]
    values = flat({file: found["data"] for file, found in files.items()})
    assert values == pytest.approx(reported(recorded), abs=1e-8)
    assert len(values) > 30


@pytest.mark.slow
def test_metrics_diff_is_the_difference_of_the_reports(recorded, tried) -> None:
    diff = flat(json.loads(tried.run("dvc", "metrics", "diff", "--json").stdout))
    before, now = reported(recorded), reported(tried)
    found = {name: values["diff"] for name, values in diff.items()}
    changed = {name: now[name] - before[name] for name in now if abs(now[name] - before[name]) > 1e-8}
    assert changed.keys() <= found.keys()
    assert found == pytest.approx({name: now[name] - before[name] for name in found}, abs=2e-9)
    assert {name.split(" ")[0] for name in found} == {"segnet_split.dwa"}, "only what the value touches"


def check_curves(shown: str, checkouts: dict[str, Checkout]) -> None:
    """What `dvc plots` says in JSON against the curves of the reports, by revision."""
    (plot,) = json.loads(shown)["data"][str(places.CURVES)]
    points = pd.DataFrame(plot["content"]["data"]["values"])
    for revision, checkout in checkouts.items():
        curves = pd.read_csv(checkout.folder / places.REPORTS / "tiny/curves.csv")
        values = points[points["rev"] == revision]
        assert values["mean"].astype(float).tolist() == curves["mean"].tolist()
        assert values["row"].tolist() == curves["row"].tolist()


def test_plots_show_the_curves_of_the_report(recorded) -> None:
    check_curves(recorded.run("dvc", "plots", "show", "--json").stdout, {"workspace": recorded})


@pytest.mark.slow
def test_plots_diff_shows_the_curves_of_both_reports(recorded, tried) -> None:
    shown = tried.run("dvc", "plots", "diff", "HEAD", "--json").stdout
    check_curves(shown, {"workspace": tried, "HEAD": recorded})


@pytest.mark.slow
def test_going_back_from_an_experiment_trains_nothing(recorded, tried) -> None:
    tried.run("git", "checkout", "-q", ".")
    tried.run("dvc", "checkout")
    assert "Nothing to be done" in tried.snakemake("-n")
    assert reported(tried) == reported(recorded)
    tried.run("dvc", "exp", "apply", "warmer")
    assert "Nothing to be done" in tried.snakemake("-n")
    assert reported(tried) != reported(recorded)


@pytest.mark.slow
def test_queued_experiments_run_one_after_the_other_and_share_what_is_done(recorded) -> None:
    queue = clone_of(recorded, "queue")
    queue.run("dvc", "remote", "modify", "--local", "local", "url", str(recorded.home / ".cache/mtlbench/dvc-remote"))
    queue.run("dvc", "pull")
    for name, value in (("four", 4.0), ("five", 5.0)):
        queue.run("dvc", "exp", "run", "--queue", "--name", name, "-S", f"{CHANGED}={value}")
    assert queue.run("git", "status", "--short").stdout == "", "queueing leaves params.yaml alone"
    queue.run("dvc", "queue", "start")
    try:
        end = time.monotonic() + 500
        while any(state in (status := queue.run("dvc", "queue", "status").stdout) for state in ("Queued", "Running")):
            assert time.monotonic() < end, status
            time.sleep(3)
    finally:
        queue.run("dvc", "queue", "stop", "--kill")
    assert status.count("Success") == 2, status
    for name in ("four", "five"):
        log = queue.run("dvc", "queue", "logs", name).stdout
        assert log.count("(Rule: train)") == 1, "the other cells come from DVC's cache"
    row = str(places.METRICS / "tiny" / "segnet_split.dwa.json")
    found = {name: one["metrics"][row]["data"] for name, one in shown(queue).items()}
    assert set(found) == {"four", "five"}
    rows = [found[name]["depth_abs_error"] for name in ("four", "five")]
    assert rows[0] != rows[1]
    queue.run("dvc", "exp", "apply", "four")
    assert "Nothing to be done" in queue.snakemake("-n")


LONG = (
    ("epochs: 3", "epochs: 24"),
    ("baseline: segnet_single", "baseline: null"),
    ("      segnet_single: {width: 0.0625}\n", ""),
)
CELLS = ("equal", "dwa")


@pytest.fixture(scope="module")
def long(tmp_path_factory, repository):
    """A function that makes a checkout whose two cells train for some seconds each."""
    text = tiny_params(repository)
    for old, new in LONG:
        assert text.count(old) == 1
        text = text.replace(old, new)
    return lambda name: make_checkout(tmp_path_factory.mktemp(name), repository, text)


def outputs(checkout: Checkout) -> dict[str, bytes]:
    """The bytes of all results of the cells but the manifests, which record times."""
    paths = [*(checkout.folder / places.CELLS).rglob("*"), *(checkout.folder / places.CHECKPOINTS).rglob("*")]
    return {
        path.relative_to(checkout.folder).as_posix(): path.read_bytes()
        for path in paths
        if path.is_file() and not path.name.startswith("manifest.")
    }


@pytest.fixture(scope="module")
def undisturbed(long) -> dict[str, bytes]:
    """What the two cells give when nothing happens."""
    made = long("undisturbed")
    made.run("dvc", "repro", "train")
    return outputs(made)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["ctrl-c", "kill -9 of everything", "kill -9 of dvc"])
def test_an_interrupted_repro_continues_and_trains_nothing_twice(long, undisturbed, how: str) -> None:
    made = long("interrupted")
    first = subprocess.Popen(
        ["dvc", "repro", "train"],
        cwd=made.folder,
        env=made.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        end = time.monotonic() + 120
        while not list(made.folder.glob(f"{places.RESUME}/*/state-00000[3-9]*.pt")):
            assert first.poll() is None
            assert time.monotonic() < end
            time.sleep(0.05)
        if how == "ctrl-c":
            os.killpg(first.pid, signal.SIGINT)
        elif how == "kill -9 of everything":
            os.killpg(first.pid, signal.SIGKILL)
        else:
            os.kill(first.pid, signal.SIGKILL)
        assert first.wait(60) != 0
        assert "path: checkpoints" not in (made.folder / "dvc.lock").read_text(), "nothing half done is recorded"
        made.run("dvc", "repro", "train")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(first.pid, signal.SIGKILL)
    assert outputs(made) == undisturbed
    logs = [path.read_text() for path in made.folder.glob(f"{places.RESUME}/*/log.txt")]
    assert len(logs) == len(CELLS)
    for log in logs:
        again = [epoch for epoch in range(1, 25) if log.count(f": epoch {epoch}/24,") > 1]
        assert len(again) <= 1, "at most the epoch that was not saved yet is trained again"
    assert "didn't change" in made.run("dvc", "repro", "train").stdout
    assert "Nothing to be done" in made.snakemake("-n", "cells")
