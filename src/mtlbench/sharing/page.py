"""The leaderboard as one HTML file that needs nothing else."""

import importlib.resources
from collections.abc import Callable, Sequence
from pathlib import Path

import jinja2
from markupsafe import Markup

from mtlbench.plan.params import Params
from mtlbench.report.rows import text
from mtlbench.sharing.board import Board, boards
from mtlbench.sharing.read import read_all
from mtlbench.system.files import write_text
from mtlbench.system.words import many


def leaderboard(names: Sequence[str], params: Callable[[], Params], out: Path, say: Callable[[str], None]) -> None:
    """Write the page of these sources (shared folders, zip files, experiments)."""
    found = boards(read_all(names, params))
    write_text(out, render(found))
    rows = sum(len(board.entries) for board in found)
    say(f"{out}: {many(rows, 'row')} of {many(len(names), 'source')} in {many(len(found), 'ranking')}")


def render(found: Sequence[Board]) -> str:
    """The page; everything that comes from a source is escaped."""
    ours, report = (importlib.resources.files(f"mtlbench.{room}") for room in ("sharing", "report.page"))
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: ours.joinpath(name).read_text(encoding="utf-8")),
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    return environment.get_template("leaderboard.html.jinja").render(
        css=Markup(report.joinpath("report.css").read_text(encoding="utf-8")),
        js=Markup(ours.joinpath("leaderboard.js").read_text(encoding="utf-8")),
        boards=found,
        text=text,
    )
