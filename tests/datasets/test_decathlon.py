"""The statistics of the Visual Decathlon: the real file, and files that mean harm."""

import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from mtlbench.datasets._decathlon import read_statistics
from mtlbench.system.errors import DataError

DOMAINS = (
    "aircraft", "cifar100", "daimlerpedcls", "dtd", "gtsrb", "imagenet12", "omniglot", "svhn", "ucf101", "vgg-flowers",
)  # fmt: skip


def test_the_real_file(shared: Path) -> None:
    path = shared / "data/decathlon/decathlon_mean_std.pickle"
    found = read_statistics(path)
    assert set(found) > set(DOMAINS)
    with path.open("rb") as file:
        plainly = pickle.load(file, encoding="latin1")
    for domain, (mean, deviation) in found.items():
        assert mean.dtype == deviation.dtype == np.float64
        assert np.array_equal(mean, plainly[f"{domain}mean"])
        assert np.array_equal(deviation, plainly[f"{domain}std"])


class Harm:
    """Creates a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_nothing_in_the_file_is_executed(tmp_path: Path, protocol: int) -> None:
    path, touched = tmp_path / "s.pickle", tmp_path / "touched"
    good = {"dtdmean": [0.5, 0.5, 0.5], "dtdstd": [0.2, 0.2, 0.2]}
    for content in ({**good, "x": Harm(touched)}, {**good, "dtdstd": np.array([Harm(touched)] * 3, object)}):
        path.write_bytes(pickle.dumps(content, protocol))
        with pytest.raises(DataError, match=r"it asks for .*only arrays of numbers"):
            read_statistics(path)
        assert not touched.exists()
    pickle.loads(path.read_bytes())
    assert touched.exists(), "this file does harm when it is loaded without care"
    path.write_bytes(pickle.dumps(good, protocol))
    assert read_statistics(path)["dtd"][1].tolist() == [0.2, 0.2, 0.2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "Ran out of input"),
        (b"not a pickle", "not the statistics"),
        (b"\x80\x02c__builtin__\neval\n.", "it asks for"),
        (pickle.dumps([1]), "found list"),
        (pickle.dumps({}), "expected arrays"),
        (pickle.dumps({"dtdmean": [0.1, 0.2, 0.3]}), "one of them for dtd"),
        (pickle.dumps({"dtdmean": [0.1, 0.2]}), "three numbers"),
        (pickle.dumps({"dtdmean": [0.1, 0.2, float("nan")]}), "three numbers"),
        (pickle.dumps({"dtdmean": "abc"}), "three numbers"),
        (pickle.dumps({7: [0.1, 0.2, 0.3]}), "<domain>mean"),
        (b"\0" * (1 << 21), "a large file"),
    ],
)
def test_other_files_are_refused_with_their_path(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "s.pickle"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as refused:
        read_statistics(path)
    assert str(path) in str(refused.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.pickle: expected .*decathlon_mean_std\.pickle"):
        read_statistics(tmp_path / "none.pickle")


def test_subclasses_and_other_numpy_functions_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.pickle"
    for content in (OrderedDict(a=1), np.random.default_rng(0), np.float64(1.0)):
        path.write_bytes(pickle.dumps({"dtdmean": content}))
        with pytest.raises(DataError, match="it asks for"):
            read_statistics(path)
