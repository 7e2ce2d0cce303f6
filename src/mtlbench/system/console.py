"""Where tables are printed."""

from rich.console import Console

#: Columns of a table in a pipe or a file, which have no edge to fit.
WIDE = 160


def console() -> Console:
    """The terminal, or something wide when the output is not one."""
    found = Console()
    if not found.is_terminal:
        found.width = max(found.width, WIDE)
    return found
