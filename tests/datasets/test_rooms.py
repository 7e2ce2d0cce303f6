"""The rooms dataset: types, determinism, and independence of the images."""

import hashlib
import pickle
from pathlib import Path

import numpy as np

from mtlbench.datasets.prepared.layout import check_image, maps_of
from mtlbench.datasets.rooms import Rooms


def load(rooms: Rooms, split: str, index: int) -> dict[str, np.ndarray]:
    return dict(rooms.splits(Path())[split].load(index))


def test_images_have_the_prepared_layout() -> None:
    rooms = Rooms(height=24, width=40, train=2, test=1)
    for split, data in rooms.splits(Path()).items():
        for index in range(data.count):
            check_image(load(rooms, split, index), maps_of(rooms.tasks), (24, 40), split)
        assert data.groups is not None
        assert len(data.groups) == data.count


def test_same_seed_same_bytes_and_each_image_on_its_own() -> None:
    one, other = Rooms(height=24, width=32, train=9, seed=5), Rooms(height=24, width=32, train=3, seed=5)
    first, again = load(one, "train", 2), load(other, "train", 2)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    for changed in (load(one, "train", 1), load(one, "test", 2), load(Rooms(height=24, width=32, seed=6), "train", 2)):
        assert not np.array_equal(first["segmentation"], changed["segmentation"])


def test_a_split_can_be_sent_to_another_process() -> None:
    split = Rooms(height=16, width=16).splits(Path())["train"]
    copy = pickle.loads(pickle.dumps(split))
    assert np.array_equal(copy.load(1)["image"], split.load(1)["image"])


def test_the_rendered_rooms_are_those_of_version_1() -> None:
    # Golden: labels are the coarsest array, so another machine's last digits cannot move them. When this changes on
    # purpose, raise Rooms.version.
    rooms = Rooms(height=32, width=48, seed=0)
    total = hashlib.sha256()
    for index in range(3):
        total.update(load(rooms, "train", index)["segmentation"].tobytes())
    assert Rooms.version == 1
    assert total.hexdigest() == "691686116dd666806c327947da8e1bd6c1229f38112b2d5496adbd4f268f0554"


def test_inverse_depth_is_one_over_depth_of_the_same_pictures() -> None:
    depth, inverse = (Rooms(height=32, width=48, distance=name) for name in ("depth", "inverse_depth"))
    one, other = load(depth, "train", 1), load(inverse, "train", 1)
    check_image(other, maps_of(inverse.tasks), (32, 48), "train")
    product = one.pop("depth").astype(np.float64) * other.pop("inverse_depth").astype(np.float64)
    assert np.abs(product - 1).max() < 2**-10  # each is rounded to 11 bits
    assert one.keys() == other.keys()
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_noise_is_in_the_image_only() -> None:
    clean, noisy = Rooms(height=32, width=48, noise=0.0), Rooms(height=32, width=48, noise=10.0)
    a, b = load(clean, "train", 0), load(noisy, "train", 0)
    assert np.array_equal(a["depth"], b["depth"])
    difference = b["image"].astype(float) - a["image"].astype(float)
    middle = (a["image"] > 60) & (a["image"] < 195)  # away from the ends, where the noise is cut off
    assert abs(difference[middle].mean()) < 0.6  # standard error 10 / sqrt(n), n > 1000
    assert 9 < difference[middle].std() < 11
