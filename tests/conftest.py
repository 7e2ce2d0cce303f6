"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest
import torch

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session", autouse=True)
def _threads() -> None:
    """Two threads per test process at most: xdist runs several of them."""
    torch.set_num_threads(min(2, torch.get_num_threads()))


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout that is tested."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real raw files beside the checkout; tests that need it skip without it."""
    folder = Path(os.environ.get("MTLBENCH_SHARED", REPOSITORY.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no real raw files at {folder} (set MTLBENCH_SHARED to their folder)")
    return folder
