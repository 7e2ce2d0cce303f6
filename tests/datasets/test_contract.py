"""What every dataset that needs no raw files must do: those of the package and those of a folder of one's own."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from mtlbench.datasets import Dataset
from mtlbench.datasets.prepared.layout import check_image, maps_of
from mtlbench.plan.registry import entries
from mtlbench.system.errors import ParamsError

SMALL = {"height": 32, "width": 32, "train": 3, "test": 2, "seed": 1, "note": ""}


def made(name: str) -> Dataset:
    """The dataset at a small size, as far as it has these options."""
    entry = entries("datasets")[name]
    return entry.load()(**{key: value for key, value in SMALL.items() if key in entry.options.model_fields})


@pytest.fixture(params=list(entries("datasets")))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def dataset(name: str) -> Dataset:
    try:
        found = made(name)
    except (TypeError, ParamsError) as error:
        pytest.skip(f"it needs options that have no default ({error})")
    if found.raw_files():
        pytest.skip("it needs raw files: its own tests make some")
    return found


def test_every_image_has_the_form_of_its_tasks(dataset: Dataset) -> None:
    maps = maps_of(dataset.tasks)
    splits = dataset.splits(Path("nowhere"))
    assert set(splits) == {"train", "test"}
    for split in splits.values():
        assert split.count > 0
        for index in range(split.count):
            arrays = {key: value for key, value in split.load(index).items() if key != "remarks"}
            check_image(arrays, maps, dataset.size, f"image {index}")
        assert len(split.names) in (0, split.count)
        assert split.groups is None or len(split.groups) == split.count


def test_an_image_is_a_function_of_its_index_in_any_process(dataset: Dataset) -> None:
    for split in dataset.splits(Path("nowhere")).values():
        first = split.load(0)
        again = pickle.loads(pickle.dumps(split.load))(0)
        for key, value in first.items():
            np.testing.assert_array_equal(value, again[key])


def test_training_and_test_images_differ(dataset: Dataset) -> None:
    splits = dataset.splits(Path("nowhere"))
    seen = {splits["train"].load(i)["image"].tobytes() for i in range(splits["train"].count)}
    assert not seen & {splits["test"].load(i)["image"].tobytes() for i in range(splits["test"].count)}


def test_it_has_a_version(dataset: Dataset) -> None:
    assert isinstance(dataset.version, int)
