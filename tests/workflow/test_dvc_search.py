"""DVC with a search: a changed value of its block trains what it touches, and the choice travels with Git."""

import json

import pytest

from mtlbench.plan import places
from mtlbench.plan.params import load

from .conftest import Checkout, make_checkout
from .test_search import ROWS, search_params

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def searched(tmp_path_factory, repository) -> Checkout:
    """A search after `dvc repro`, `git commit` and `dvc push`."""
    made = make_checkout(tmp_path_factory.mktemp("searched"), repository, search_params(repository))
    made.run("dvc", "repro")
    made.run("git", "add", "-A")
    made.run("git", "commit", "-qm", "record")
    made.run("dvc", "push")
    return made


def chosen(checkout: Checkout) -> dict[str, dict]:
    """{row: what the selection says of it}."""
    found = json.loads((checkout.folder / places.selection("tiny") / "selection.json").read_text())
    return dict(found["rows"])


def test_a_clone_has_the_selection_from_git_and_the_rest_from_dvc(searched, tmp_path) -> None:
    assert "up to date" in searched.run("dvc", "status").stdout
    tracked = searched.run("git", "ls-files", str(places.SELECTIONS)).stdout.split()
    assert str(places.selection("tiny") / "selection.json") in tracked
    clone = Checkout(tmp_path / "clone", searched.home)
    searched.run("git", "clone", "-q", str(searched.folder), str(clone.folder))
    assert chosen(clone) == chosen(searched), "before anything is pulled"
    clone.run("dvc", "pull")
    assert "Nothing to be done" in clone.snakemake("-n")
    assert "up to date" in clone.run("dvc", "status").stdout
    assert "cells are what their manifests say" in clone.run("mtlbench", "verify").stdout


def test_one_changed_value_of_the_search_trains_what_it_touches_and_can_be_applied_later(searched) -> None:
    stored, before = searched.trained(), {row: found["chosen"] for row, found in chosen(searched).items()}
    searched.run("dvc", "exp", "run", "--name", "more", "-S", "experiments.tiny.search.trials=3")
    params = load(searched.folder / "params.yaml")
    assert params.experiments["tiny"].search is not None
    assert params.experiments["tiny"].search.trials == 3
    after = chosen(searched)
    assert {len(found["trials"]) for found in after.values()} == {3}
    changed = [row for row in ROWS if after[row]["chosen"] != before[row]]
    added = searched.trained() - stored
    assert len(ROWS) <= len(added) <= len(ROWS) + len(changed) + 1, "one trial for each row, and what is now chosen"
    check_clean(searched)

    searched.run("git", "checkout", "-q", ".")
    searched.run("git", "clean", "-fdq", str(places.SELECTIONS))
    searched.run("dvc", "checkout")
    assert {row: found["chosen"] for row, found in chosen(searched).items()} == before
    check_clean(searched)
    searched.run("dvc", "exp", "apply", "more")
    assert chosen(searched) == after
    check_clean(searched)
    assert searched.trained() == stored | added


def check_clean(checkout: Checkout) -> None:
    """Nothing to do for Snakemake, DVC and `mtlbench verify`, and one selection."""
    assert "Nothing to be done" in checkout.snakemake("-n")
    assert "up to date" in checkout.run("dvc", "status").stdout
    assert "cells are what their manifests say" in checkout.run("mtlbench", "verify").stdout
    assert len(list((checkout.folder / places.selection("tiny")).glob("manifest.*"))) == 1
