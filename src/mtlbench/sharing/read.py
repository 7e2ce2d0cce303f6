"""Shared folders and zip files of other people, and experiments of one's own, as what a leaderboard is made from."""

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import ValidationError

from mtlbench.plan.params import Params
from mtlbench.sharing.facts import Shared, of_experiment
from mtlbench.sharing.folder import FACTS, SUMS, checksum
from mtlbench.system.errors import DataError

#: Bytes of one file that are read; those of a thousand rows have 1 MB.
_MOST = 64 << 20
Source = tuple[str, Shared]


def read_all(names: Sequence[str], params: Callable[[], Params]) -> list[Source]:
    """(name, facts) of each source, names told apart: a shared folder, a zip file, or an experiment of params.yaml."""
    found: list[Source] = []
    for name in names:
        path = Path(name)
        facts = _read(path) if path.exists() else _experiment(params(), name)
        title = path.stem if path.suffix == ".zip" else path.name
        taken = {other for other, _ in found}
        number, unique = 2, title
        while unique in taken:
            unique, number = f"{title} ({number})", number + 1
        found.append((unique, facts))
    return found


def _experiment(params: Params, name: str) -> Shared:
    if name not in params.experiments:
        raise DataError(
            f"{name}: expected a folder or zip file that `mtlbench share` wrote, or an experiment "
            f"({', '.join(params.experiments)}), found neither"
        )
    return of_experiment(params, name)


def _read(path: Path) -> Shared:
    """The facts of a share whose checksum is right; DataError for anything else."""
    try:
        facts, sums = (_content(path, name) for name in (FACTS, SUMS))
    except (FileNotFoundError, KeyError):
        why = f"it lacks {FACTS} or {SUMS}"
        raise DataError(f"{path}: expected a folder or zip file that `mtlbench share` wrote ({why})") from None
    # zipfile: NotImplementedError for an unknown compression, RuntimeError for an encrypted member.
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{path}: expected a folder or zip file that `mtlbench share` wrote ({error})") from None
    if f"{checksum(facts)}  {FACTS}" not in sums.decode("utf-8", "replace").splitlines():
        raise DataError(f"{path}: {FACTS} is not the file whose checksum {SUMS} holds; get the share again")
    try:
        return Shared.model_validate_json(facts)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise DataError(f"{path}: {FACTS}: expected what `mtlbench share` writes, wrong at '{where}'") from None


def _content(path: Path, name: str) -> bytes:
    if path.is_dir():
        if (path / name).stat().st_size > _MOST:
            raise OSError(f"{name} is larger than {_MOST} bytes")
        return (path / name).read_bytes()
    with zipfile.ZipFile(path) as archive:
        member = next((one for one in archive.namelist() if one.count("/") == 1 and one.endswith(f"/{name}")), name)
        with archive.open(member) as file:
            content = file.read(_MOST + 1)
    if len(content) > _MOST:
        raise OSError(f"{name} is larger than {_MOST} bytes")
    return content
