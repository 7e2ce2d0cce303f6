"""What is shown to a person at a terminal: tables, and bars of progress."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console

#: Columns of a table in a pipe or a file, which have no edge to fit.
WIDE = 160


class Show(Protocol):
    """Moves a bar."""

    def __call__(self, done: float, total: float | None, text: str = "") -> None:
        """Show ``done`` of ``total`` (None or 0: unknown) and a text beside it."""


def console() -> Console:
    """The terminal, or something wide when the output is not one."""
    found = Console()
    if not found.is_terminal:
        found.width = max(found.width, WIDE)
    return found


@contextmanager
def progress_bar(title: str, unit: str = "") -> Iterator[Show]:
    """A bar on the error output, for a terminal; ``unit`` "bytes" shows sizes instead of counts."""
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    amount = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
    text = TextColumn("{task.fields[text]}")
    columns = (TextColumn("{task.description}"), BarColumn(), amount, TimeRemainingColumn(), text)
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=None, text="")

        def show(done: float, total: float | None, text: str = "") -> None:
            bar.update(task, completed=done, total=total or None, text=text)

        yield show
