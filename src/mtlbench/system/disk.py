"""A full disk or quota: noticed and told in one way."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mtlbench.system.errors import DataError


def is_full(error: BaseException) -> bool:
    """Whether an error says that no space is left on the disk or in the user's quota."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def advice(error: BaseException) -> str:
    """What to do about such an error, with what the system said."""
    return (
        f"the disk or quota is full ({error}); free some space and run the same command again, it continues where it "
        "stopped"
    )


def require_space(folder: Path, needed: int) -> None:
    """Raise the error of a full disk, before it is full, when ``needed`` bytes do not fit into a folder."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        said = f"{os.strerror(errno.ENOSPC)}: {needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free"
        raise OSError(errno.ENOSPC, said)


@contextmanager
def tell_full_disk(path: Path) -> Iterator[None]:
    """Turn the error of a full disk, met while ``path`` is made, into a DataError that says what to do."""
    try:
        yield
    except OSError as error:
        if not is_full(error):
            raise
        raise DataError(f"{path}: {advice(error)}") from error
