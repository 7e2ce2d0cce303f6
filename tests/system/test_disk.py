"""A full disk is told in one way, by whatever meets it."""

import errno
from pathlib import Path

import pytest

from mtlbench.system.disk import advice, is_full, require_space, tell_full_disk
from mtlbench.system.errors import DataError


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_or_quota_becomes_one_sentence(tmp_path: Path, number: int) -> None:
    error = OSError(number, "no space")
    assert is_full(error)
    with pytest.raises(DataError) as told, tell_full_disk(tmp_path / "file"):
        raise error
    assert str(told.value) == f"{tmp_path / 'file'}: {advice(error)}"
    assert "free some space and run the same command again" in advice(error)


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    assert not is_full(OSError(errno.EACCES, "no"))
    assert not is_full(ValueError())
    with pytest.raises(PermissionError), tell_full_disk(tmp_path):
        raise PermissionError(errno.EACCES, "no")


def test_space_is_asked_for_before_it_is_used(tmp_path: Path) -> None:
    require_space(tmp_path, 1)
    with pytest.raises(OSError, match=r"1000000000\.0 GB are needed, .* GB are free") as error:
        require_space(tmp_path, 10**18)
    assert is_full(error.value)
