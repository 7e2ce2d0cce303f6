"""Tables and page are wanted anew when they were made of another choice than today's; from files that are made up."""

import json
from pathlib import Path

import pytest

from mtlbench import verify
from mtlbench.plan import grid, keys, places, summaries
from mtlbench.plan.params import load
from mtlbench.runs import pages
from mtlbench.runs.derived import SELECTION
from mtlbench.runs.manifest import TRAINED_AS, find, write
from mtlbench.system.files import write_text

PAGE = places.report("tiny")


def choose(what: str) -> None:
    """A selection with this content."""
    path = summaries.selection_manifest(load(), "tiny")
    spec = summaries.selection_spec(load(), "tiny")
    assert path is not None
    assert spec is not None
    write_text(path.parent / SELECTION, json.dumps({"rows": what}))
    write(path.parent, spec, {SELECTION: path.parent / SELECTION})


def finish(cell: grid.Cell, trained: str) -> None:
    """A finished cell that was trained as the cell of this key."""
    facts = {"status": "complete", "data": {}, "dataset": {}, TRAINED_AS: {"key": trained, "spec": dict(cell.spec)}}
    write(cell.folder, cell.spec, {}, facts)


def make(planned: str | None = None) -> Path:
    """The page as `mtlbench report` leaves it: its one manifest says what it was made of."""
    spec = pages.spec(load(), "tiny", PAGE, planned)
    for old in PAGE.glob("manifest.*"):
        old.unlink()
    outcome = pages.outcome(load(), "tiny")
    return write(PAGE, spec, {}, {pages.OUTCOME: outcome} if outcome else {})


@pytest.fixture
def finished(search) -> None:
    """Final runs and a selection, and the page of them."""
    planned = keys.key(pages.spec(load(), "tiny", PAGE))
    assert planned == keys.key(summaries.report_spec(load(), "tiny")), "before anything is there"
    choose("one")
    for cell in grid.cells(load(), "tiny"):
        finish(cell, "first")
    make(planned)


def wanted() -> bool:
    return not pages.report_manifest(load(), "tiny").exists()


def test_a_finished_page_is_wanted_once(finished) -> None:
    assert not wanted()
    assert pages.report_manifest(load(), "tiny") == PAGE / keys.manifest_name(
        keys.key(summaries.report_spec(load(), "tiny"))
    )


def test_another_selection_wants_the_page_anew_until_it_is_made_and_so_does_going_back(finished) -> None:
    for what in ("two", "three", "one", "two"):
        choose(what)
        assert wanted()
        assert pages.stale(load(), "tiny", PAGE)
        make(keys.key(pages.spec(load(), "tiny", PAGE)))
        assert not wanted()
        assert find(PAGE) == pages.report_manifest(load(), "tiny")


def test_a_final_run_that_took_another_setting_wants_the_page_anew(finished) -> None:
    finish(grid.cells(load(), "tiny")[0], "second")
    assert wanted()
    make()
    assert not wanted()


def test_the_same_selection_again_wants_nothing(finished) -> None:
    choose("one")
    assert not wanted()


def test_while_a_final_run_is_missing_the_page_waits_for_it_alone(finished) -> None:
    choose("two")
    cell = grid.cells(load(), "tiny")[0]
    cell.manifest.unlink()
    before = pages.report_manifest(load(), "tiny")
    assert before.name == keys.manifest_name(keys.key(summaries.report_spec(load(), "tiny")))
    assert not pages.stale(load(), "tiny", PAGE)


def test_without_settings_of_others_a_page_has_one_key(project) -> None:
    for cell in grid.cells(load(), "tiny"):
        finish(cell, "any")
    assert pages.outcome(load(), "tiny") == {}
    manifest = make()
    assert json.loads(manifest.read_text())["spec"] == summaries.report_spec(load(), "tiny")
    assert not wanted()


def test_verify_says_that_a_page_is_of_another_choice(finished) -> None:
    said: list[str] = []
    choose("two")
    verify.verify(load(), "tiny", said.append, quick=True)
    assert f"{PAGE}: pending, because it was made of other choices than today's; `mtlbench report tiny`" in said
