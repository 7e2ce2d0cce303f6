"""`mtlbench list`: the options of entries with what a search tries of them."""

import re
import subprocess
import sys

import pytest
from rich.console import Console

from mtlbench import listing
from mtlbench.plan import places
from mtlbench.plan.options import Search, Simplex
from mtlbench.plan.params import load
from mtlbench.plan.registry import KINDS, entries
from mtlbench.system.errors import ParamsError

FOUND = [
    (kind, name, option, range_)
    for kind in KINDS
    for name, entry in entries(kind).items()
    for option, range_ in entry.searched.items()
]


def values(range_: Search | Simplex) -> list[object]:
    """The ends of a declared range, or the values of a list."""
    if isinstance(range_, Simplex):
        return [None]
    return list(range_.values) if range_.values is not None else [range_.low, range_.high]


@pytest.mark.parametrize(("kind", "name", "option", "range_"), FOUND)
def test_what_a_search_tries_is_possible_and_holds_the_default(kind, name, option, range_) -> None:
    options = entries(kind)[name].options
    assert isinstance(range_, Simplex) or range_.problem() is None
    for value in values(range_):
        assert getattr(options(**{option: value}), option) == value
    default = options.model_fields[option].default
    if isinstance(range_, Search):
        inside = default in range_.values if range_.values is not None else range_.low <= default <= range_.high
        assert inside, f"{kind}/{name}: a search of {option} cannot find the default {default}"


def test_the_options_are_shown_with_what_a_search_tries(project, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    listing.show("weightings", None, load, options=True)
    lines = capsys.readouterr().out.splitlines()
    dwa = next(line for line in lines if "dwa" in line and "temperature" in line)
    assert "0.5 to 8, log" in dwa
    assert "2.0" in dwa
    assert "the simplex" in next(line for line in lines if "static" in line)


@pytest.mark.parametrize("kind", KINDS)
def test_options_are_readable_in_80_columns(project, capsys, monkeypatch, kind: str) -> None:
    monkeypatch.setattr(listing, "console", lambda: Console(width=80))
    listing.show(kind, None, load, options=True)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
    shown = [cell[1] for cell in cells if cell[1]]
    options = [option for one in entries(kind).values() for option in one.options.model_fields]
    assert shown == options, "no option's name is broken"
    described = {len(cell[3]) for cell in cells}
    assert max(described) >= 20, "descriptions have room"


def test_models_are_counted_once_for_a_source(project, capsys, monkeypatch) -> None:
    calls: list[tuple[int, int]] = []

    def count(tasks, size, told):
        told(1, 2, "segnet_single")
        calls.append(size)
        row = {"family": "segnet", "smallest": 1_000_000, "flops": "1.5", "paper": "A et al., B 2020 (arXiv 1)"}
        return [{**row, "name": "segnet_single", "parameters": 3_000_000},
                {**row, "name": "segnet_split_with_a_long_name", "parameters": 123_456_789}]  # fmt: skip

    monkeypatch.setattr(listing, "_count", count)
    listing.show("models", None, load)
    first, progress = capsys.readouterr()
    assert re.search(r"counting, once for this code .* 1/2 .*segnet_single", progress)
    assert "│ 123.46 M " in first
    assert "│ 123.46 │" in first.replace("  ", " ")
    assert "for segmentation, depth, normals, an image of 32x32" in " ".join(first.split())
    listing.show("models", None, load)
    assert capsys.readouterr().out == first
    assert calls == [(32, 32)]
    kept = next(places.counts("x").parent.iterdir())
    kept.write_text("{")
    listing.show("models", None, load)
    monkeypatch.setattr(listing, "source_digest", lambda folder=None: "other")
    listing.show("models", None, load)
    assert len(calls) == 3
    assert len(list(kept.parent.iterdir())) == 1, "counts of another source are dropped"


def test_counted_models_are_shown_without_torch(project) -> None:
    """Which takes seconds to start."""
    code = (
        "import sys; from mtlbench import listing; from mtlbench.plan.params import load; "
        "listing._count = lambda *what: []; listing.show('models', None, load); assert 'torch' not in sys.modules"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


@pytest.mark.slow
def test_models_that_predict_something_else_are_not_listed(project, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    listing.show("models", None, load)
    shown = capsys.readouterr().out
    assert "segnet_mtan" in shown
    assert "mtan_vgg16" not in shown


def test_only_entries_have_options(project) -> None:
    with pytest.raises(ParamsError, match=r"--options belongs to .*weightings.*found 'cells'"):
        listing.show("cells", None, load, options=True)


@pytest.mark.parametrize(
    ("search", "problem"),
    [
        (Search(1.0, 1.0), "'low' below 'high', 1 is not below 1"),
        (Search(2.0, 1.0), "'low' below 'high'"),
        (Search(0.0, 1.0, log=True), "above 0 for a logarithmic range"),
        (Search(1.0), "'low' and 'high', or 'values'"),
        (Search(), "'low' and 'high', or 'values'"),
        (Search(values=()), "at least one of 'values'"),
        (Search(1.0, 2.0, values=(1.0,)), "either 'values' or 'low' and 'high'"),
    ],
)
def test_ranges_from_which_nothing_can_be_drawn(search: Search, problem: str) -> None:
    assert problem in (search.problem() or "")
