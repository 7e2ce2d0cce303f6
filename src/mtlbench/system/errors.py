"""The errors that a user can cause or mend; the command line prints them without a traceback."""

import difflib
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any


class MtlbenchError(Exception):
    """What was expected, what was found and what to do, in plain words."""

    exit_code = 1


class ParamsError(MtlbenchError):
    """params.yaml (or a value taken from it) is wrong."""

    exit_code = 2


class DataError(MtlbenchError):
    """Raw or prepared data is missing, damaged or of the wrong form."""

    exit_code = 3


class DamagedError(DataError):
    """A file of the project's own is not what the project writes; ``path`` is the file, ``why`` the finding."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path}: damaged ({why}); `dvc checkout`, or delete it")
        self.path, self.why = Path(path), why

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path, self.why)


class DivergedError(MtlbenchError):
    """Training met NaN or Inf: the same cell will always meet it, so a retry does not help."""

    exit_code = 4


class BusyError(MtlbenchError):
    """Another process is working on the same thing."""

    exit_code = 5


class Interrupted(MtlbenchError):
    """A signal asked the process to stop; its progress is saved and the same command continues."""

    exit_code = 143


#: What brings the packages that a small installation lacks.
_EXTRAS = (
    "`pip install '.[workflow,report]'` in the checkout brings what commands need, `make env` the whole environment"
)


def exit_code(work: Callable[[], object]) -> int:
    """Do the work; the code for the process to end with. What a user can mend is printed without a traceback."""
    try:
        work()
    except MtlbenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "mtlbench":
            raise
        print(f"error: the package '{error.name}' is not installed; {_EXTRAS}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {_why(error)}", file=sys.stderr)
        return 1
    return 0


def _why(error: OSError) -> str:
    if isinstance(error, shutil.Error) and isinstance(error.args[0], list):  # every file of a folder, at length
        (*_, first), *others = error.args[0]
        return f"{first}" + (f", and {len(others)} more" if others else "")
    return f"{error.strerror or error}: {error.filename2 or error.filename or 'while writing'}"


def nearest(name: str, known: Iterable[str]) -> str:
    """A sentence that names the known word nearest to ``name``, or lists the known words."""
    known = sorted(known)
    match = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if match:
        return f"Did you mean '{match[0]}'? (known: {', '.join(known)})"
    return f"Known: {', '.join(known)}."
