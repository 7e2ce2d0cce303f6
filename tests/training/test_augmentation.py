"""Augmentation: equal to rendering the zoomed or mirrored room, and equal to the published code where it says so."""

import functools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mtlbench.datasets.geometry.camera import NYUV2_CAMERA, NYUV2_SIZE, Camera
from mtlbench.datasets.prepared.layout import maps_of
from mtlbench.datasets.scenes.draw import Draw
from mtlbench.datasets.scenes.render import View, render
from mtlbench.datasets.scenes.room import Room, furnish
from mtlbench.maps import Values
from mtlbench.training import augmentation
from mtlbench.training.augmentation import Geometry, draw

SIZE = (96, 128)
MAPS = maps_of({
    "segmentation": {"classes": 13, "class_names": [str(number) for number in range(13)]},
    "depth": {}, "inverse_depth": {}, "normals": {},
})  # fmt: skip
augment = functools.partial(augmentation.augment, maps=MAPS)
transform = functools.partial(augmentation.transform, maps=MAPS)
CAMERA = NYUV2_CAMERA.resized(NYUV2_SIZE, SIZE)
SCALES = (1.0, 1.2, 1.5)


def as_batch(views: list[View]) -> dict[str, Tensor]:
    depth = torch.tensor(np.stack([view.depth for view in views]), dtype=torch.float32)[:, None]
    return {
        "image": torch.tensor(np.stack([view.radiance for view in views]), dtype=torch.float32).clamp(0, 1),
        "segmentation": torch.tensor(np.stack([view.label for view in views])).long(),
        "depth": depth,
        "inverse_depth": 1 / depth,
        "normals": torch.tensor(np.stack([view.normals for view in views]), dtype=torch.float32),
    }


@pytest.fixture(scope="module")
def rooms() -> list[Room]:
    return [furnish(Draw(11, number)) for number in range(4)]


@pytest.fixture(scope="module")
def batch(rooms: list[Room]) -> dict[str, Tensor]:
    return as_batch([render(room, CAMERA, *SIZE) for room in rooms])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def geometry(scale: float, top: float, left: float, flip: bool, count: int = 4) -> Geometry:
    full = [torch.full((count,), value, dtype=torch.float64) for value in (scale, top, left)]
    return Geometry(*full, torch.full((count,), flip))


def seen_camera(where: Geometry, index: int) -> Camera:
    """The camera that sees exactly what the augmented image shows."""
    scale = float(where.scale[index])
    inner = (SIZE[0] / scale, SIZE[1] / scale)
    camera = CAMERA.cropped(float(where.top[index]), float(where.left[index])).resized(inner, SIZE)
    return camera.mirrored(SIZE[1]) if where.flip[index] else camera


def inside(view: View) -> np.ndarray:
    """Pixels whose 5x5 neighbourhood lies on one plane or smooth surface: the same label, steady normals and depth."""
    flat = np.ones(view.label.shape, bool)
    for i in range(-2, 3):
        for j in range(-2, 3):
            moved = [np.roll(a, (i, j), (-2, -1)) for a in (view.label, view.normals, view.depth)]
            flat &= (moved[0] == view.label) & ((moved[1] * view.normals).sum(0) > 0.999)
            flat &= np.abs(moved[2] / view.depth - 1) < 0.2
    flat[:2], flat[-2:], flat[:, :2], flat[:, -2:] = False, False, False, False
    return flat


@pytest.mark.parametrize("where", [geometry(1.5, 13.3, 21.7, False), geometry(1.2, 5.0, 0.0, True),
                                   geometry(1.0, 0.0, 0.0, True)])  # fmt: skip
def test_augmented_maps_equal_the_rendered_zoomed_and_mirrored_room(
    rooms: list[Room], batch: dict[str, Tensor], where: Geometry
) -> None:
    result = transform(batch, where)
    for index, room in enumerate(rooms):
        scale = float(where.scale[index])
        view = render(room, seen_camera(where, index), *SIZE, mirrored=bool(where.flip[index]))
        middle = inside(view)
        assert middle.mean() > 0.3
        label = result["segmentation"][index].numpy()
        # Labels are nearest: a pixel within half a source pixel of a border may fall on its other side.
        assert (label[middle] == view.label[middle]).all()
        assert (label == view.label).mean() > 0.94
        depth = result["depth"][index, 0].numpy()
        off = np.abs(depth * scale / view.depth - 1)[middle]
        # Exact on planes up to float32; 0.2 % covers curved solids, where 1/z bends between pixels.
        assert np.mean(off < 2e-3) > 0.995
        assert np.median(off) < 1e-6
        np.testing.assert_allclose(result["inverse_depth"][index, 0].numpy() * depth, 1, rtol=1e-5)
        expected = view.normals * np.array([1, 1, scale])[:, None, None]
        expected /= np.linalg.norm(expected, axis=0)
        angle = np.degrees(np.arccos(np.clip((result["normals"][index].numpy() * expected).sum(0), -1, 1)))[middle]
        assert np.median(angle) < 0.05  # float32 arc cosine near 1
        assert np.mean(angle < 1.5) > 0.995


def test_normals_of_the_augmented_depth_are_the_augmented_normals(batch: dict[str, Tensor]) -> None:
    where = geometry(1.5, 9.1, 30.4, True)
    result = transform(batch, where)
    for index in range(4):
        zoomed = seen_camera(where, index)
        # Depth was divided by the scale, so the focal length is the original one at the crop's principal point.
        camera = Camera(CAMERA.fx, CAMERA.fy, zoomed.cx, zoomed.cy)
        inverse = 1 / result["depth"][index, 0].double().numpy()
        normals = result["normals"][index].double().numpy()
        x, y = camera.directions(*SIZE)
        a, b = np.gradient(inverse, axis=1) * camera.fx, np.gradient(inverse, axis=0) * camera.fy
        computed = -np.stack([a, b, inverse - a * x - b * y])
        computed /= np.linalg.norm(computed, axis=0)
        offset = (normals * np.stack([x, y, np.ones_like(x)])).sum(0) / inverse
        steady = np.ones(SIZE, bool)
        for i in (-2, -1, 1, 2):
            for axis in (1, 2):
                steady &= (np.roll(normals, i, axis) * normals).sum(0) > 0.99999
                # The same plane, not a parallel one (a picture hangs 2 cm before its wall).
                steady &= np.abs(np.roll(offset, i, axis - 1) / offset - 1) < 5e-4
        steady[:2], steady[-2:], steady[:, :2], steady[:, -2:] = False, False, False, False
        assert steady.mean() > 0.3
        angle = np.degrees(np.arccos(np.clip((computed * normals).sum(0), -1, 1)))[steady]
        # float32 inverse depths (6e-8 relative) differ by about 1e-3 per pixel: errors of some 1e-4, 0.01 degrees.
        assert np.median(angle) < 0.1
        assert np.mean(angle < 1) > 0.995


def test_invalid_pixels_never_mix_in(batch: dict[str, Tensor]) -> None:
    holes = torch.rand((4, 1, *SIZE), generator=generator(3)) < 0.3
    pierced = {name: torch.where(holes, 0.0, batch[name]) for name in ("depth", "inverse_depth", "normals")}
    pierced |= {"image": batch["image"], "segmentation": torch.where(holes[:, 0], -1, batch["segmentation"])}
    where = geometry(1.5, 10.2, 20.3, False)
    result, whole = transform(pierced, where), transform(batch, where)
    void = result["segmentation"] < 0
    assert 0.2 < void.float().mean() < 0.4
    for name in ("depth", "inverse_depth"):
        # Invalid exactly where the nearest pixel is, like the labels.
        assert torch.equal(result[name][:, 0] == 0, void)
        ratio = (result[name] / whole[name])[:, 0][~void]
        # A value is taken from the nearest valid pixel or from four valid ones of one surface.
        assert ((ratio - 1).abs() < 0.06).float().mean() > 0.97
    length = result["normals"].norm(dim=1)
    assert torch.equal(length == 0, void)
    assert torch.allclose(length[~void], torch.ones(()), atol=1e-6)


def test_edges_make_no_new_surface() -> None:
    near = torch.ones(1, 1, 8, 8)
    near[..., 4:] = 5.0
    normals = torch.zeros(1, 3, 8, 8)
    normals[:, 2, :, :4], normals[:, 0, :, 4:] = -1, 1
    batch = {"image": torch.zeros(1, 3, 8, 8), "depth": near, "normals": normals}
    result = transform(batch, geometry(1.5, 1.3, 1.1, False, 1))
    depths = result["depth"] * 1.5  # the division rounds
    assert torch.logical_or((depths - 1).abs() < 1e-6, (depths - 5).abs() < 1e-6).all()
    assert depths.min() < 2 < depths.max()
    assert set(result["normals"][:, 2].unique().tolist()) == {-1.0, 0.0}


def test_shapes_types_and_input_stay(batch: dict[str, Tensor]) -> None:
    given = {**batch, "image": batch["image"].contiguous(memory_format=torch.channels_last)}
    before = {name: values.clone() for name, values in given.items()}
    result = augment(given, generator(), scales=SCALES, flip=True)
    assert list(result) == list(given)
    for name, values in given.items():
        assert torch.equal(values, before[name])
        assert result[name].shape == values.shape
        assert result[name].dtype == values.dtype
    assert result["image"].is_contiguous(memory_format=torch.channels_last)
    assert result["image"].min() >= 0
    assert result["image"].max() <= 1


@pytest.mark.parametrize("compat", ["none", "mtan", "nash", "auto_lambda"])
def test_scale_one_without_mirroring_changes_nothing(batch: dict[str, Tensor], compat: str) -> None:
    result = augment(batch, generator(), scales=[1.0], flip=False, compat=compat)  # type: ignore[arg-type]
    for name, values in batch.items():
        if name in ("normals", "depth", "inverse_depth"):
            assert torch.allclose(result[name], values, rtol=3e-7, atol=1e-7)  # one or two float32 roundings
        else:
            assert torch.equal(result[name], values)


def test_same_seed_same_batch_and_each_image_by_itself(batch: dict[str, Tensor]) -> None:
    one = augment(batch, generator(5), scales=SCALES, flip=True)
    again = augment(batch, generator(5), scales=SCALES, flip=True)
    other = augment(batch, generator(6), scales=SCALES, flip=True)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["image"], other["image"])
    where = draw(4, SIZE, generator(5), SCALES, True, "none")
    for index in range(4):
        single = Geometry(*(getattr(where, n)[index : index + 1] for n in ("scale", "top", "left", "flip")))
        alone = transform({name: values[index : index + 1] for name, values in batch.items()}, single)
        assert torch.equal(alone["normals"][0], one["normals"][index])


@pytest.mark.parametrize("compat", ["none", "mtan", "auto_lambda"])
def test_draws_are_uniform_and_stay_inside(compat: str) -> None:
    where = draw(6000, (50, 70), generator(), SCALES, True, compat)  # type: ignore[arg-type]
    for scale in SCALES:
        # Three sigma of a share of 1/3 in 6000 draws is 0.018.
        assert abs((where.scale == scale).double().mean() - 1 / 3) < 0.02
    assert abs(where.flip.double().mean() - 0.5) < 0.02
    zoomed = where.scale == 1.5
    most = {"none": (50 - 50 / 1.5, 70 - 70 / 1.5), "mtan": (17, 24), "auto_lambda": (25, 35)}[compat]
    for start, end in zip((where.top, where.left), most, strict=True):
        assert start.min() >= 0
        assert start[zoomed].max() <= end
        assert start[zoomed].max() > 0.97 * end
        assert abs(start[zoomed].mean() - end / 2) < 0.04 * end


def published_mtan(batch: dict[str, Tensor], where: Geometry) -> dict[str, Tensor]:
    """The published crop for one image, by torch's interpolation: an independent computation of the same formula."""
    scale, top, left = float(where.scale[0]), int(where.top[0]), int(where.left[0])
    h, w = int(SIZE[0] / scale), int(SIZE[1] / scale)
    crop = {name: m[..., top : top + h, left : left + w].float() for name, m in batch.items()}
    smooth = {n: F.interpolate(crop[n], SIZE, mode="bilinear", align_corners=True) for n in ("image", "normals")}
    near = {n: F.interpolate(crop[n], SIZE, mode="nearest") / scale for n in ("depth", "inverse_depth")}
    label = F.interpolate(crop["segmentation"][:, None], SIZE, mode="nearest")[:, 0].long()
    return {**smooth, **near, "segmentation": label}


def published_auto_lambda(batch: dict[str, Tensor], where: Geometry) -> dict[str, Tensor]:
    scale, top, left = float(where.scale[0]), int(where.top[0]), int(where.left[0])
    size = (int(SIZE[0] * scale), int(SIZE[1] * scale))
    large = {name: F.interpolate(m if m.dim() == 4 else m[:, None].float(), size, mode="nearest")
             for name, m in batch.items()}  # fmt: skip
    large["image"] = F.interpolate(batch["image"], size, mode="bilinear", align_corners=False)
    crop = {name: m[..., top : top + SIZE[0], left : left + SIZE[1]] for name, m in large.items()}
    crop["segmentation"] = crop["segmentation"][:, 0].long()
    return {**crop, "depth": crop["depth"] / scale, "inverse_depth": crop["inverse_depth"] * scale}


@pytest.mark.parametrize("scale", [1.0, 1.2, 1.5])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("compat", ["mtan", "nash", "auto_lambda"])
def test_compatible_forms_equal_the_published_formulas(
    batch: dict[str, Tensor], compat: str, scale: float, flip: bool
) -> None:
    one = {name: values[:1] for name, values in batch.items()}
    places = draw(50, SIZE, generator(2), [scale], True, compat)  # type: ignore[arg-type]
    where = Geometry(places.scale[:1], places.top[7:8], places.left[7:8], torch.tensor([flip]))
    expected = (published_auto_lambda if compat == "auto_lambda" else published_mtan)(one, where)
    if flip:
        expected = {name: values.flip(-1) for name, values in expected.items()}
        expected["normals"] = expected["normals"] * torch.tensor([-1.0, 1.0, 1.0])[:, None, None]
    result = transform(one, where, compat)  # type: ignore[arg-type]
    for name, values in expected.items():
        # torch places bilinear samples in single precision: 1e-5 pixels, times steps of at most 2 between pixels.
        tolerance = 2e-4 if name in ("image", "normals") else 0.0
        assert torch.allclose(result[name].double(), values.double(), rtol=1e-6, atol=tolerance), name


def test_the_published_defects_are_those_described(batch: dict[str, Tensor]) -> None:
    where = geometry(1.5, 8.0, 8.0, False)
    ours, theirs = transform(batch, where), transform(batch, where, "nash")
    # Inverse depth is divided instead of multiplied: 2.25 times too small.
    ratio = (ours["inverse_depth"] / theirs["inverse_depth"]).median()
    assert abs(ratio - 2.25) < 0.05
    assert theirs["normals"].norm(dim=1).min() < 0.9  # not normalised
    assert torch.allclose(ours["normals"].norm(dim=1), torch.ones(()), atol=1e-6)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_cuda_equal_to_the_cpu_without_waiting(batch: dict[str, Tensor]) -> None:
    moved = {name: values.cuda() for name, values in batch.items()}
    torch.use_deterministic_algorithms(True)
    try:
        for compat in ("none", "mtan", "auto_lambda"):
            expected = augment(batch, generator(1), compat=compat)
            torch.cuda.synchronize()
            torch.cuda.set_sync_debug_mode("error")
            result = augment(moved, generator(1), compat=compat)
            torch.cuda.set_sync_debug_mode("default")
            for name, values in expected.items():
                assert torch.allclose(result[name].cpu().double(), values.double(), rtol=1e-5, atol=1e-6), name
    finally:
        torch.cuda.set_sync_debug_mode("default")
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("compat", ["none", "mtan", "nash", "auto_lambda"])
def test_values_of_a_surface_are_moved_like_the_image(batch: dict[str, Tensor], compat: str) -> None:
    given = {"image": batch["image"], "own": batch["image"].clone()}
    where = draw(4, SIZE, generator(3), SCALES, True, compat)  # type: ignore[arg-type]
    result = augmentation.transform(given, where, compat, maps={"own": Values(number=3)})  # type: ignore[arg-type]
    if compat == "none":
        assert torch.equal(result["own"], result["image"])
    else:  # the nearest pixel: no new values
        assert torch.isin(result["own"], given["own"]).all()


def test_invalid_values_never_mix_with_valid_ones(batch: dict[str, Tensor]) -> None:
    own = torch.where(torch.rand(4, 1, *SIZE, generator=generator()) < 0.2, -1.0, 0.5)
    where = draw(4, SIZE, generator(3), SCALES, True, "none")
    given = {"image": batch["image"], "own": own}
    result = augmentation.transform(given, where, maps={"own": Values(lowest=0, highest=1, invalid=-1.0)})["own"]
    assert (result == -1).any()
    assert torch.minimum((result + 1).abs(), (result - 0.5).abs()).max() < 1e-6  # the weights' sum rounds
