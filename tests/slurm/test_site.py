"""The two lines that a site edits, on a cluster with an accounting database, as most laboratories have one."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..workflow.conftest import make_checkout  # noqa: TID252
from .cluster import Cluster, start
from .conftest import Site, params, skip_unless_possible

pytestmark = pytest.mark.slurm


@pytest.fixture(scope="module")
def accounted() -> Iterator[Cluster]:
    """A cluster that takes jobs of the account 'lab' only."""
    skip_unless_possible(accounting=True)
    with tempfile.TemporaryDirectory(prefix="mtlbench-slurm-", ignore_cleanup_errors=True) as folder:
        running = start(Path(folder) / "cluster", accounting=True, owner=os.getpid())
        try:
            yield running
        finally:
            running.stop()


@pytest.fixture
def site(accounted, repository, tmp_path) -> Iterator[Site]:
    """A checkout whose profile is not edited yet."""
    made = Site(make_checkout(tmp_path, repository, params(repository), accounted.environment), accounted)
    yield made
    made.stop()


def uncomment(site: Site, account: str, partition: str) -> None:
    """Do what the profile's comment says."""
    path = site.folder / "workflow/profiles/slurm/config.yaml"
    text = path.read_text()
    for old, new in (("slurm_account=my_account", account), ("slurm_partition=my_partition", partition)):
        line = f"  # - {old}\n"
        assert text.count(line) == 1
        text = text.replace(line, f"  - {old.split('=')[0]}={new}\n")
    path.write_text(text)


def test_account_and_partition_are_two_lines(site) -> None:
    uncomment(site, "lab", "urgent")
    site.snakemake("prepared")
    site.finish()
    (job,) = site.cluster.run("sacct", "-X", "--noheader", "--parsable2", "--format=account,partition,state").split()
    assert job == "lab|urgent|COMPLETED"


def test_a_wrong_account_is_named_with_those_that_exist(site) -> None:
    uncomment(site, "nolab", "main")
    output = site.checkout.run("snakemake", "--profile", "slurm", "--retries", "0", "prepared", check=False)
    assert output.returncode == 1
    assert "The given account nolab appears to be invalid" in output.stdout + output.stderr
    assert "lab" in output.stdout + output.stderr
