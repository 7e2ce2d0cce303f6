"""Normals from depth beside the published maps of NYU Depth V2 and beside the exact normals of rendered rooms.

    python benchmarks/normals.py [--published ../shared/data/nyuv2_normals] [--rooms 20] [--seed 21]

The folder of published maps holds `NNNN.depth.npy` (480x640, metres) and `NNNN.normal_mask.png` (red = x, green = z,
blue = -y; white = invalid); without it only the rooms are measured. Every depth map is taken as it is, rounded to 8 bit
as in the rebuilt data and, for rooms, to float16 and as the first Kinect would see it. `cover` is the share of the
pixels with a known true normal that get one; angles are in degrees; edges are pixels within 3 of a 5 % jump in depth.

Run by hand (or `mtlbench bench normals`); tests/datasets/geometry/test_normals.py holds it to its goals.
"""

import argparse
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from rich.table import Table
from scipy.ndimage import binary_dilation, maximum_filter, minimum_filter

from mtlbench.datasets.geometry.camera import NYUV2_CAMERA, NYUV2_SIZE
from mtlbench.datasets.geometry.normals import normals_from_depth
from mtlbench.datasets.scenes.draw import Draw
from mtlbench.datasets.scenes.render import render
from mtlbench.datasets.scenes.room import furnish
from mtlbench.system.console import console


@dataclass(frozen=True)
class View:
    """A depth map (H, W) in metres, its true normals (3, H, W) and where they are known (H, W)."""

    name: str
    depth: np.ndarray
    normals: np.ndarray
    known: np.ndarray


@dataclass(frozen=True)
class Errors:
    """Angles in degrees and covered shares: of all known pixels, and of those at jumps in depth."""

    angles: np.ndarray
    cover: float
    edge_angles: np.ndarray
    edge_cover: float
    seconds: float


def as_it_is(depth: np.ndarray) -> np.ndarray:
    """The depth itself."""
    return depth


def float16(depth: np.ndarray) -> np.ndarray:
    """Depth rounded to half precision."""
    return depth.astype(np.float16)


def kinect(depth: np.ndarray) -> np.ndarray:
    """The first Kinect (7.5 cm, focal length 580): disparity with half a step of noise, in steps of 1/8 pixel."""
    steps = 580 * 0.075 * 8
    noise = np.random.default_rng(0).normal(0, 0.5, depth.shape)
    return (steps / np.rint(steps / depth + noise)).astype(np.float32)


def eight_bit(depth: np.ndarray) -> np.ndarray:
    """256 steps over 10 metres, like the rebuilt data."""
    step = 9.99547 / 255
    return ((np.clip(np.floor(depth / step), 0, 255) + 0.5) * step).astype(np.float32)


def published_views(folder: Path) -> Iterator[View]:
    """The published maps in a folder, turned into camera axes; white and grey pixels are not known."""
    for path in sorted(folder.glob("*.depth.npy")):
        name = path.name.removesuffix(".depth.npy")
        with Image.open(folder / f"{name}.normal_mask.png") as file:
            pixels = np.asarray(file.convert("RGB")).astype(np.float64)
        stored = (pixels - 127) / 127.5
        normals = np.stack([stored[..., 0], -stored[..., 2], stored[..., 1]])
        length = np.linalg.norm(normals, axis=0)
        known = ~(pixels >= 250).all(-1) & (length > 0.5)
        yield View(name, np.load(path), normals / np.maximum(length, 1e-6), known)


def room_views(count: int, seed: int = 21) -> Iterator[View]:
    """Rendered rooms at NYUv2's size with NYUv2's camera; every normal is known."""
    for number in range(count):
        view = render(furnish(Draw(seed, number)), NYUV2_CAMERA, *NYUV2_SIZE)
        yield View(f"room {number}", view.depth, view.normals, np.ones(NYUV2_SIZE, bool))


def errors(views: Iterable[View], sensor: Callable[[np.ndarray], np.ndarray]) -> Errors:
    """What `normals_from_depth` makes of the views' depth as a sensor gives it."""
    angles, cover, edge_angles, edge_cover, seconds = [], [], [], [], 0.0
    for view in views:
        seen = sensor(view.depth)
        start = time.process_time()
        normals = normals_from_depth(seen, NYUV2_CAMERA)
        seconds += time.process_time() - start
        given = (normals != 0).any(0)
        angle = np.degrees(np.arccos(np.clip((normals * view.normals).sum(0), -1, 1)))
        jump = maximum_filter(view.depth, 3) > 1.05 * minimum_filter(view.depth, 3)
        edge = binary_dilation(jump, np.ones((5, 5))) & view.known
        angles.append(angle[given & view.known])
        cover.append(given[view.known])
        edge_angles.append(angle[given & edge])
        edge_cover.append(given[edge])
    joined = [np.concatenate(parts) for parts in (angles, cover, edge_angles, edge_cover)]
    return Errors(joined[0], float(joined[1].mean()), joined[2], float(joined[3].mean()), seconds / len(angles))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--published", type=Path, default=Path("../shared/data/nyuv2_normals"), help="folder of maps")
    parser.add_argument("--rooms", type=int, default=20, help="number of rendered rooms")
    parser.add_argument("--seed", type=int, default=21, help="seed of the rooms")
    chosen = parser.parse_args()
    table = Table(title="normals from depth, degrees", title_justify="left")
    for column in ("truth", "depth", "cover", "mean", "median", "< 11.25", "edges: cover", "edges: > 30", "s/image"):
        table.add_column(column, justify="left" if column in ("truth", "depth") else "right")
    published = list(published_views(chosen.published))
    rooms = list(room_views(chosen.rooms, chosen.seed))
    cases = [([view], sensor) for view in published for sensor in (as_it_is, eight_bit)]
    cases += [(rooms, sensor) for sensor in (as_it_is, float16, kinect, eight_bit)]
    for views, sensor in cases:
        found = errors(views, sensor)
        table.add_row(
            views[0].name if len(views) == 1 else f"{len(views)} rooms", sensor.__name__.replace("_", " "),
            f"{found.cover:.1%}", f"{found.angles.mean():.2f}", f"{np.median(found.angles):.2f}",
            f"{np.mean(found.angles < 11.25):.1%}", f"{found.edge_cover:.1%}", f"{np.mean(found.edge_angles > 30):.1%}",
            f"{found.seconds:.2f}",
        )  # fmt: skip
    console().print(table)


if __name__ == "__main__":
    main()
