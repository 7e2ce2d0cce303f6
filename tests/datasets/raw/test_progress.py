"""Progress lines in a log."""

import pytest

from mtlbench.datasets.raw.progress import reporter


def test_a_log_gets_the_first_and_the_last_line_and_few_between(capfd: pytest.CaptureFixture) -> None:
    with reporter("prepare rooms") as progress:
        for done in range(101):
            progress(done, 100)
            progress(done, 100)
    lines = capfd.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == [
        "prepare rooms: 0 images of 100 images (0 %)",
        "prepare rooms: 100 images of 100 images (100 %)",
    ]


def test_bytes_are_told_in_megabytes(capfd: pytest.CaptureFixture) -> None:
    with reporter("download a.zip", "bytes") as progress:
        progress(2_500_000, 0)  # a server that does not tell the size
    assert capfd.readouterr().err.startswith("download a.zip: 2.5 MB, ")
