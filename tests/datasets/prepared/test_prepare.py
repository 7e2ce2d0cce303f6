"""Preparing: complete or absent, the same bytes however it was interrupted, clear errors."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mtlbench.datasets import Split
from mtlbench.datasets.prepared import fill as _fill
from mtlbench.datasets.prepared import prepare as _prepare
from mtlbench.datasets.prepared.images import read_images, write_images
from mtlbench.datasets.prepared.inspect import describe
from mtlbench.datasets.prepared.layout import check_image, maps_of
from mtlbench.datasets.prepared.prepare import check_prepared, prepare
from mtlbench.datasets.rooms import Rooms
from mtlbench.plan.keys import key
from mtlbench.system import disk
from mtlbench.system.errors import DataError

SPEC = {"dataset": "rooms", "seed": 1}


#: Rendered images by (seed, number), made once for all tests.
IMAGES: dict[tuple[int, int], Mapping[str, np.ndarray]] = {}


@dataclass(frozen=True)
class Watched:
    """A split's load that counts its calls and fails at one image."""

    rooms: Rooms
    calls: list[int]
    fail_at: int | None

    def __call__(self, index: int) -> Mapping[str, np.ndarray]:
        self.calls.append(index)
        if index == self.fail_at:
            raise RuntimeError("stopped here")
        key_ = (self.rooms.seed, index)
        if key_ not in IMAGES:
            IMAGES[key_] = Rooms.splits(self.rooms, Path())["train"].load(index)
        return IMAGES[key_]


class WatchedRooms(Rooms):
    """Rooms of 16x16 pixels, 20 training and 3 test images, that record which images were loaded."""

    def __init__(self, fail_at: int | None = None, seed: int = 1) -> None:
        super().__init__(height=16, width=16, train=20, test=3, seed=seed)
        self.calls: list[int] = []
        self.fail_at = fail_at

    def splits(self, raw: Path) -> Mapping[str, Split]:
        found = super().splits(raw)
        watched = Watched(self, self.calls, self.fail_at)
        train = Split(20, watched, found["train"].groups, found["train"].names)
        return {"train": train, "test": found["test"]}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of an undisturbed run."""
    out = tmp_path_factory.mktemp("reference") / "rooms"
    prepare("rooms", WatchedRooms(), Path("/none"), out, SPEC, progress=lambda done, total: None)
    return contents(out)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The same with the rooms as they are, as SCRIPT prepares them; the manifest names the module of the class."""
    out = tmp_path_factory.mktemp("shipped") / "rooms"
    dataset = Rooms(height=16, width=16, train=20, test=3, seed=1)
    prepare("rooms", dataset, Path("/none"), out, SPEC, progress=lambda done, total: None)
    return contents(out)


def silent(done: int, total: int) -> None:
    """No progress output."""


def test_layout_and_manifest(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    out, dataset = tmp_path / "rooms", WatchedRooms()
    manifest = prepare("rooms", dataset, Path("/none"), out, SPEC, progress=lambda *step: seen.append(step))
    assert manifest == out / f"manifest.{key(SPEC)}.json"
    assert seen[0] == (0, 23)
    assert seen[-1] == (23, 23)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rooms"]  # no lock, nothing unfinished
    record = json.loads(manifest.read_text())
    assert record["counts"] == {"train": 20, "test": 3}
    expected = {"image": ("uint8", [20, 3, 16, 16]), "segmentation": ("int8", [20, 16, 16]), "group": ("int32", [20]),
                "depth": ("float16", [20, 1, 16, 16]), "normals": ("float16", [20, 3, 16, 16])}  # fmt: skip
    for name, (dtype, shape) in expected.items():
        assert record["arrays"][f"train/{name}.npy"] == {"dtype": dtype, "shape": shape}
    for index in (0, 7, 8, 19):
        image = dict(Rooms(height=16, width=16, train=20, seed=1).splits(tmp_path)["train"].load(index))
        for name, array in image.items():
            assert np.array_equal(np.load(out / "train" / f"{name}.npy")[index], array)


def test_statistics_are_those_of_the_arrays(tmp_path: Path) -> None:
    out = tmp_path / "rooms"
    prepare("rooms", WatchedRooms(), Path("/none"), out, SPEC, progress=silent)
    statistics = check_prepared(out).facts["statistics"]["train"]
    image = np.load(out / "train/image.npy").astype(np.float64)
    np.testing.assert_allclose(statistics["image"]["mean"], image.mean((0, 2, 3)))
    np.testing.assert_allclose(statistics["image"]["std"], image.std((0, 2, 3)))
    labels = np.load(out / "train/segmentation.npy")
    shares = [np.mean(labels == c) for c in range(13)]
    np.testing.assert_allclose(list(statistics["segmentation"]["class_shares"].values()), shares)
    depth = np.load(out / "train/depth.npy").astype(np.float64)
    assert statistics["depth"]["min"] == depth.min()
    assert statistics["depth"]["max"] == depth.max()
    np.testing.assert_allclose(statistics["depth"]["mean"], [depth.mean()])
    assert statistics["depth"]["invalid_share"] == 0


def test_a_complete_dataset_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "rooms"
    manifest = prepare("rooms", WatchedRooms(), Path("/none"), out, SPEC, progress=silent)
    before = manifest.stat().st_mtime_ns
    again = WatchedRooms()
    assert prepare("rooms", again, Path("/none"), out, SPEC, progress=silent) == manifest
    assert again.calls == []
    assert manifest.stat().st_mtime_ns == before


def test_the_number_of_processes_changes_no_byte(tmp_path: Path) -> None:
    dataset = Rooms(height=16, width=16, train=20, test=3, seed=1)
    for jobs in (1, 2):
        prepare("rooms", dataset, Path("/none"), tmp_path / str(jobs), SPEC, jobs=jobs, progress=silent)
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


@pytest.mark.parametrize("fail_at", [0, 9, 19])
def test_an_interrupted_run_continues_to_the_same_bytes(
    tmp_path: Path, reference: dict[str, bytes], fail_at: int
) -> None:
    out = tmp_path / "rooms"
    with pytest.raises(RuntimeError, match="stopped here"):
        prepare("rooms", WatchedRooms(fail_at), Path("/none"), out, SPEC, progress=silent)
    assert not out.exists()
    second = WatchedRooms()
    prepare("rooms", second, Path("/none"), out, SPEC, progress=silent)
    assert contents(out) == reference
    assert second.calls[0] == fail_at // _fill.CHUNK * _fill.CHUNK  # whole chunks before it are kept
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rooms"]


def test_a_half_written_log_line_is_ignored(tmp_path: Path, reference: dict[str, bytes]) -> None:
    out = tmp_path / "rooms"
    with pytest.raises(RuntimeError):
        prepare("rooms", WatchedRooms(17), Path("/none"), out, SPEC, progress=silent)
    log = next(tmp_path.glob(".rooms.*.unfinished")) / "chunks.jsonl"
    log.write_text(log.read_text()[:-20])
    prepare("rooms", WatchedRooms(), Path("/none"), out, SPEC, progress=silent)
    assert contents(out) == reference


def test_a_failure_between_renaming_and_the_manifest_is_recovered(
    tmp_path: Path, reference: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "rooms"

    def broken(*_: object, **__: object) -> Path:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_prepare.manifests, "draft", broken)
        with pytest.raises(KeyboardInterrupt):
            prepare("rooms", WatchedRooms(), Path("/none"), out, SPEC, progress=silent)
    with pytest.raises(DataError, match="no manifest"):
        check_prepared(out)
    second = WatchedRooms()
    prepare("rooms", second, Path("/none"), out, SPEC, progress=silent)
    assert second.calls == []  # everything was on disk
    assert contents(out) == reference


def test_the_old_result_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    out, other = tmp_path / "rooms", {**SPEC, "seed": 2}
    old = prepare("rooms", WatchedRooms(), Path("/none"), out, SPEC, progress=silent)
    with pytest.raises(RuntimeError):
        prepare("rooms", WatchedRooms(12, seed=2), Path("/none"), out, other, progress=silent)
    assert check_prepared(out).key == key(SPEC)
    new = prepare("rooms", WatchedRooms(seed=2), Path("/none"), out, other, progress=silent)
    assert not old.exists()
    assert check_prepared(out).key == key(other)
    assert new.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rooms"]


def test_a_full_disk_is_reported_and_leaves_the_old_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, other = tmp_path / "rooms", {**SPEC, "seed": 2}
    prepare("rooms", WatchedRooms(), Path("/none"), out, SPEC, progress=silent)
    before = contents(out)
    real, written = _fill.write_rows, []

    def full(path: Path, start: int, rows: np.ndarray) -> None:
        written.append(path)
        if len(written) > 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, start, rows)

    with monkeypatch.context() as patch:
        patch.setattr(_fill, "write_rows", full)
        with pytest.raises(DataError, match=r"disk or quota is full.*run the same command again"):
            prepare("rooms", WatchedRooms(seed=2), Path("/none"), out, other, progress=silent)
    assert contents(out) == before
    second = WatchedRooms(seed=2)
    prepare("rooms", second, Path("/none"), out, other, progress=silent)
    assert second.calls[0] == _fill.CHUNK  # the chunk written before the disk was full was kept


def test_too_small_a_disk_is_refused_before_anything_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("usage", (), {"free": 1000})
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: usage)
    dataset = WatchedRooms()
    with pytest.raises(DataError, match="disk or quota is full"):
        prepare("rooms", dataset, Path("/none"), tmp_path / "rooms", SPEC, progress=silent)
    assert dataset.calls == []


def test_damage_is_found(tmp_path: Path) -> None:
    out = tmp_path / "rooms"
    prepare("rooms", WatchedRooms(), Path("/none"), out, SPEC, progress=silent)
    depth = out / "train/depth.npy"
    content = bytearray(depth.read_bytes())
    content[-1] ^= 1
    depth.write_bytes(bytes(content))
    (out / "test/normals.npy").unlink()
    with pytest.raises(DataError, match=r"test/normals.npy: missing; train/depth.npy: its content changed"):
        check_prepared(out)


def test_no_training_images(tmp_path: Path) -> None:
    dataset = Rooms(height=16, width=16, train=1)
    dataset.counts["train"] = 0
    with pytest.raises(DataError, match="at least one train image, found 0"):
        prepare("rooms", dataset, Path("/none"), tmp_path / "rooms", SPEC, progress=silent)
    assert not (tmp_path / "rooms").exists()


def good() -> dict[str, np.ndarray]:
    return dict(Rooms(height=8, width=8).splits(Path())["train"].load(0))


BROKEN = [
    ({"depth": np.full((1, 8, 8), np.nan, np.float16)}, "depth holds 64 values that are NaN"),
    ({"depth": np.full((1, 8, 8), -1, np.float16)}, "depth must not be negative, found -1"),
    ({"depth": np.ones((1, 8, 9), np.float16)}, r"expected depth as float16 \(1, 8, 8\), found float16 \(1, 8, 9\)"),
    ({"image": np.zeros((3, 8, 8), np.float32)}, r"expected image as uint8 .* found float32"),
    ({"segmentation": np.full((8, 8), 13, np.int8)}, r"segmentation must lie in -1\.\.12, found 13\.\.13"),
    ({"segmentation": np.full((8, 8), -2, np.int8)}, r"segmentation must lie in -1\.\.12"),
    ({"normals": np.full((3, 8, 8), 0.5, np.float16)}, "normals must be unit vectors or 0"),
    ({"extra": np.zeros(3)}, "expected the arrays"),
]


@pytest.mark.parametrize(("change", "message"), BROKEN)
def test_images_that_break_the_layout_are_named(change: dict[str, np.ndarray], message: str) -> None:
    maps = maps_of(Rooms().tasks)
    check_image(good(), maps, (8, 8), "train image 4")
    with pytest.raises(DataError, match=f"train image 4.*{message}"):
        check_image({**good(), **change}, maps, (8, 8), "train image 4")


def test_the_contact_sheet_shows_both_splits(tmp_path: Path) -> None:
    out = tmp_path / "rooms"
    prepare("rooms", WatchedRooms(), Path("/none"), out, SPEC, progress=silent)
    with Image.open(out / "contact_sheet.png") as sheet:
        colours = sheet.convert("RGB").getcolors(1 << 24)
        # Four columns of 300 pixels and seven rows (four training, all three test images) of 300, a legend below.
        assert 1200 < sheet.width < 1300
        assert 7 * 300 < sheet.height < 7 * 340 + 200
    assert colours is not None
    assert len(colours) > 500


def test_every_prepared_image_names_its_raw_image(tmp_path: Path) -> None:
    out = tmp_path / "rooms"
    prepare("rooms", WatchedRooms(), Path("/none"), out, SPEC, progress=silent)
    assert (out / "images.csv").read_text().splitlines()[:2] == [
        "split,position,raw,scene", 'train,0,"seed 1, split 0, room 0",0'
    ]  # fmt: skip
    rows = read_images(out)
    assert [(row["split"], int(row["position"])) for row in rows] == [
        *(("train", i) for i in range(20)), *(("test", i) for i in range(3))
    ]  # fmt: skip
    for split in ("train", "test"):
        scenes = [int(row["scene"]) for row in rows if row["split"] == split]
        assert scenes == np.load(out / split / "group.npy").tolist()
    assert rows[-1]["raw"] == "seed 1, split 1, room 2"
    assert "images.csv" in check_prepared(out).outputs
    assert f"{out / 'images.csv'} (split, position in the arrays, raw image, scene); train 0 is seed 1" in describe(out)
    (out / "images.csv").write_text("split,position,raw,scene\n")
    with pytest.raises(DataError, match=r"images\.csv: its content changed"):
        check_prepared(out)


def test_what_a_dataset_does_not_know_of_its_images_is_empty(tmp_path: Path) -> None:
    load = Rooms(height=8, width=8).splits(tmp_path)["train"].load
    write_images(tmp_path, {"train": Split(2, load), "test": Split(1, load, np.array([7]), ["a,b"])})
    text = 'split,position,raw,scene\ntrain,0,,\ntrain,1,,\ntest,0,"a,b",7\n'
    assert (tmp_path / "images.csv").read_text() == text
    assert read_images(tmp_path)[2] == {"split": "test", "position": "0", "raw": "a,b", "scene": "7"}
    with pytest.raises(DataError, match="train: expected a name for each of 2 images, found 1"):
        write_images(tmp_path, {"train": Split(2, load, names=["one"])})


def test_description_names_what_a_person_asks(tmp_path: Path) -> None:
    out = tmp_path / "rooms"
    prepare("rooms", WatchedRooms(), Path("/none"), out, SPEC, progress=silent)
    text = describe(out, verify=True)
    for part in ("20 train", "16x16", "all digests right", "contact_sheet.png", "window", key(SPEC)):
        assert part in text
    with pytest.raises(DataError, match="mtlbench prepare"):
        describe(tmp_path / "nothing")


SCRIPT = """
import sys, time
from pathlib import Path
from mtlbench.datasets.prepared.prepare import prepare
from mtlbench.datasets.rooms import Rooms, _Image

if __name__ == "__main__":
    load = _Image.__call__
    def slow(self, index):
        time.sleep(float(sys.argv[2]))
        return load(self, index)
    _Image.__call__ = slow
    data = Rooms(height=16, width=16, train=20, test=3, seed=1)
    def report(done, total):
        print(done, flush=True)
    prepare("rooms", data, Path("/none"), Path(sys.argv[1]), {"dataset": "rooms", "seed": 1}, progress=report)
    print("end", flush=True)
"""


def start(tmp_path: Path, out: Path, pause: float) -> subprocess.Popen:
    script = tmp_path / "run.py"
    script.write_text(SCRIPT)
    return subprocess.Popen(
        [sys.executable, str(script), str(out), str(pause)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def finish(process: subprocess.Popen) -> tuple[str, str]:
    """What the process printed; it must end well."""
    output = process.communicate(timeout=120)
    assert process.returncode == 0, output[1]
    return output


@pytest.mark.slow
@pytest.mark.parametrize("images", [0, 8, 16])
def test_kill_9_and_again_gives_the_same_bytes(tmp_path: Path, shipped: dict[str, bytes], images: int) -> None:
    out = tmp_path / "data" / "rooms"
    process = start(tmp_path, out, 0.05)
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= images:
            break
    time.sleep(0.1)  # into the next chunk
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not out.exists()
    lines = finish(start(tmp_path, out, 0.0))[0].split()
    assert int(lines[0]) >= images
    assert contents(out) == shipped


@pytest.mark.slow
def test_two_processes_at_once_prepare_it_once(tmp_path: Path, shipped: dict[str, bytes]) -> None:
    out = tmp_path / "data" / "rooms"
    first = start(tmp_path, out, 0.3)
    assert first.stdout is not None
    assert first.stdout.readline() == "0\n"
    second = start(tmp_path, out, 0.0)
    waited = finish(second)
    finish(first)
    assert waited[0] == "end\n"  # no progress of its own
    assert "another process is preparing it" in waited[1]
    assert contents(out) == shipped
    assert sorted(path.name for path in out.parent.iterdir()) == ["rooms"]
