"""Random zoom and mirroring of a batch on its device, the same geometry for the image and all its maps.

Zooming by s shows the scene as if it were squeezed to 1/s of its depth: with depth divided by s, a pixel's point
becomes diag(1, 1, 1/s) of itself (the crop's principal point moves with the crop, the focal length stays). So depth
is divided by s, inverse depth multiplied by s, and a normal becomes (n_x, n_y, s n_z), normalised. Mirroring
negates n_x.

Values between pixels: images bilinear; labels nearest; inverse depth bilinear, which is exact on planes (1/z is
linear in the image), so depth is interpolated as 1/z; normals bilinear and normalised. Where the four neighbours
are not all valid or lie on different surfaces, maps take the nearest pixel's value, so invalid values never mix in
and no surface appears between two others.

Published code does parts of this in other ways; ``compat`` reproduces them, defects included:

- ``mtan`` (the 2020 update of MTAN's code) and ``nash`` (CAGrad's, Nash-MTL's and most later papers' copy of it): crop
  of int(H / s) x int(W / s) pixels resized with aligned corners; normals bilinear, neither normalised nor turned and
  bleeding into invalid zeros; inverse depth DIVIDED by s.
- ``auto_lambda`` (Auto-Lambda's code): resized to int(H s) x int(W s), then cropped; all maps nearest; normals not
  turned; inverse depth multiplied.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from mtlbench.maps import Classes, Directions, Distances, InverseDistances, Labels, Maps, Values

Compat = Literal["none", "mtan", "nash", "auto_lambda"]

#: Two pixels lie on one surface when 1/z changes between them as it does before or after them, up to this share of it.
_JUMP = 0.02
#: Normals lie on one surface when their cosine is larger (20 degrees).
_TURN = 0.93969


@dataclass(frozen=True)
class Geometry:
    """What happens to each of N images: float64 (N,) tensors ``scale``, ``top``, ``left`` (source pixels that the crop
    leaves out, for auto_lambda pixels of the enlarged image) and bool (N,) ``flip``."""

    scale: Tensor
    top: Tensor
    left: Tensor
    flip: Tensor

    def to(self, device: torch.device) -> "Geometry":
        """The same on ``device`` in one small copy that does not wait."""
        packed = torch.stack([self.scale, self.top, self.left, self.flip.double()])
        if device.type == "cuda":
            packed = packed.pin_memory().to(device, non_blocking=True)
        scale, top, left, flip = packed.to(device)
        return Geometry(scale, top, left, flip > 0.5)


def augment(
    batch: dict[str, Tensor],
    generator: torch.Generator,
    *,
    maps: Mapping[str, Maps],
    scales: Sequence[float] = (1.0, 1.2, 1.5),
    flip: bool = True,
    compat: Compat = "none",
) -> dict[str, Tensor]:
    """A new batch in which each image is zoomed by one of ``scales``, cropped at random and mirrored half of the time.

    Keys: image (N, 3, H, W), and tasks: labels (N, H, W) or other maps (N, C, H, W), which are what ``maps`` says.
    Shapes, types and device stay; the input is not changed. ``generator`` is a CPU generator, so the draws are the same
    on every device; the host never waits for the device.
    """
    image = batch["image"]
    geometry = draw(len(image), image.shape[-2:], generator, scales, flip, compat)
    return transform(batch, geometry, compat, maps=maps)


def draw(
    count: int, size: Sequence[int], generator: torch.Generator, scales: Sequence[float], flip: bool, compat: Compat
) -> Geometry:
    """Scale, place of the crop and mirroring of ``count`` images of ``size`` (H, W), all uniform."""
    chance = torch.rand((4, count), generator=generator, dtype=torch.float64)
    options = torch.tensor(list(scales), dtype=torch.float64)
    scale = options[(chance[0] * len(options)).long()]
    room = []
    for extent in size:
        if compat == "none":
            room.append(extent - extent / scale)
        elif compat == "auto_lambda":
            room.append((extent * scale).floor() - extent)
        else:
            room.append(extent - (extent / scale).floor())
    if compat == "none":
        top, left = chance[1] * room[0], chance[2] * room[1]
    else:  # whole pixels, both ends included
        top, left = (chance[1] * (room[0] + 1)).floor(), (chance[2] * (room[1] + 1)).floor()
    return Geometry(scale, top, left, (chance[3] < 0.5) if flip else torch.zeros(count, dtype=torch.bool))


@torch.no_grad()
def transform(
    batch: dict[str, Tensor], geometry: Geometry, compat: Compat = "none", *, maps: Mapping[str, Maps]
) -> dict[str, Tensor]:
    """The batch under a given geometry (on the CPU)."""
    image = batch["image"]
    geometry = geometry.to(image.device)
    smooth, near = _sources(image.shape[-2:], geometry, compat)
    result = {"image": _bilinear(image, *smooth)}
    scale = geometry.scale.to(torch.float32)[:, None, None, None]
    for name, map_ in batch.items():
        match maps.get(name):
            case Classes():
                result[name] = map_
            case Labels():
                result[name] = _pick(map_[:, None], *near)[:, 0].contiguous()
            case Distances() as form:
                result[name] = _distances(map_, isinstance(form, InverseDistances), smooth, near, scale, compat)
            case Directions():
                result[name] = _directions(map_, smooth, near, scale, geometry.flip, compat)
            case Values(invalid=invalid):
                result[name] = _values(map_, invalid, smooth, near, compat)
    kept = torch.channels_last if image.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format
    return {name: result[name].contiguous(memory_format=kept if map_.dim() == 4 else torch.contiguous_format)
            for name, map_ in batch.items()}  # fmt: skip


Places = tuple[Tensor, Tensor]


def _sources(size: Sequence[int], geometry: Geometry, compat: Compat) -> tuple[Places, Places]:
    """Source rows (N, H) and columns (N, W) of the output pixels: fractions for mixing, and the nearest as integers."""
    smooth, near = [], []
    for extent, start in zip(size, (geometry.top, geometry.left), strict=True):
        place = torch.arange(extent, dtype=torch.float64, device=geometry.scale.device).expand(len(geometry.scale), -1)
        if start is geometry.left:
            place = torch.where(geometry.flip[:, None], extent - 1 - place, place)
        mixed, nearest = _along(place, extent, geometry.scale[:, None], start[:, None], compat)
        smooth.append(mixed.clamp(0, extent - 1))
        near.append(nearest.long().clamp(0, extent - 1))
    return (smooth[0], smooth[1]), (near[0], near[1])


def _along(place: Tensor, extent: int, scale: Tensor, start: Tensor, compat: Compat) -> tuple[Tensor, Tensor]:
    if compat == "none":
        mixed = (place + 0.5) / scale + (start - 0.5)
        return mixed, (mixed + 0.5).floor()
    if compat == "auto_lambda":
        ratio = (extent / (extent * scale).floor()).float()
        position = (place + start).float()
        return (position.double() + 0.5) * ratio.double() - 0.5, (position * ratio).floor()
    inner = (extent / scale).floor()
    # Single precision as in torch's "nearest": it decides on which side of a whole number a product falls.
    ratio = inner.float() / extent
    return start + place * (inner - 1) / max(1, extent - 1), start + (place.float() * ratio).floor()


def _pick(map_: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Values (N, C, H, W) at integer rows (N, H) and columns (N, W) of each image."""
    number = torch.arange(len(map_), device=map_.device)[:, None, None]
    return map_.permute(0, 2, 3, 1)[number, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _corners(map_: Tensor, rows: Tensor, columns: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """The four pixels around each place, and their weights (N, 1, H, W)."""
    values, weights = [], []
    top, left = rows.floor(), columns.floor()
    down, right = (rows - top).to(torch.float32), (columns - left).to(torch.float32)
    last_row, last_column = map_.shape[-2] - 1, map_.shape[-1] - 1
    for lower in (0, 1):
        for further in (0, 1):
            place = (top.long() + lower).clamp(max=last_row), (left.long() + further).clamp(max=last_column)
            values.append(_pick(map_, *place))
            weight = (down if lower else 1 - down)[:, :, None] * (right if further else 1 - right)[:, None, :]
            weights.append(weight[:, None])
    return values, weights


def _bilinear(map_: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    values, weights = _corners(map_, rows, columns)
    return _mix(values, weights).to(map_.dtype)


def _mix(values: list[Tensor], weights: list[Tensor]) -> Tensor:
    return values[0] * weights[0] + values[1] * weights[1] + values[2] * weights[2] + values[3] * weights[3]


def _values(map_: Tensor, invalid: float | None, smooth: Places, near: Places, compat: Compat) -> Tensor:
    """Published codes have no such maps; what they do with all but normals, the nearest pixel, is done for them."""
    if compat != "none":
        return _pick(map_, *near)
    values, weights = _corners(map_, *smooth)
    mixed = _mix(values, weights).to(map_.dtype)
    if invalid is None:
        return mixed
    valid = torch.stack([(value != invalid).any(1, keepdim=True) for value in values]).all(0)
    return torch.where(valid, mixed, _pick(map_, *near))


def _distances(map_: Tensor, inverses: bool, smooth: Places, near: Places, scale: Tensor, compat: Compat) -> Tensor:
    nearest = _pick(map_, *near)
    if compat == "none":
        inverse = map_ if inverses else torch.where(map_ > 0, 1 / map_, 0.0)
        values, weights = _corners(inverse, *smooth)
        mixed = _mix(values, weights)
        mixed = mixed if inverses else 1 / mixed
        cells = _pick(_smooth_cells(inverse), smooth[0].long(), smooth[1].long())
        one_surface = cells & (torch.stack(values).amin(0) > 0) & (nearest > 0)
        nearest = torch.where(one_surface, mixed.to(map_.dtype), nearest)
    multiply = inverses and compat in ("none", "auto_lambda")
    return (nearest * scale if multiply else nearest / scale).to(map_.dtype)


def _smooth_cells(inverse: Tensor) -> Tensor:
    """Whether the four pixels from (r, c) to (r + 1, c + 1) lie on one surface: bool (N, 1, H, W)."""
    across = _smooth_links(inverse)
    down = _smooth_links(inverse.transpose(-1, -2)).transpose(-1, -2)
    below = torch.cat([across[..., 1:, :], across[..., -1:, :]], -2)
    beside = torch.cat([down[..., 1:], down[..., -1:]], -1)
    return across & below & down & beside


def _smooth_links(inverse: Tensor) -> Tensor:
    """Whether no edge lies between columns c and c + 1: bool, like ``inverse``.

    On a plane 1/z is linear, however steep, so an edge shows as a bend on both sides of the step; a crease of a
    continuous surface bends on one side only.
    """
    bend = (inverse[..., :-2] - 2 * inverse[..., 1:-1] + inverse[..., 2:]).abs()
    bend = torch.nn.functional.pad(bend, (1, 1), value=float("inf"))
    after = torch.nn.functional.pad(bend[..., 1:], (0, 1), value=float("inf"))
    return torch.minimum(bend, after) < _JUMP * inverse


def _directions(map_: Tensor, smooth: Places, near: Places, scale: Tensor, flip: Tensor, compat: Compat) -> Tensor:
    sign = torch.ones((len(map_), 3, 1, 1), dtype=torch.float32, device=map_.device)
    sign[:, 0, 0, 0] = torch.where(flip, -1.0, 1.0)
    if compat in ("mtan", "nash"):
        return (_bilinear(map_, *smooth) * sign).to(map_.dtype)
    nearest = _pick(map_, *near)
    if compat == "auto_lambda":
        return (nearest * sign).to(map_.dtype)
    values, weights = _corners(map_, *smooth)
    alike = [(value * nearest).sum(1, keepdim=True) > _TURN for value in values]
    one_surface = alike[0] & alike[1] & alike[2] & alike[3]
    n = torch.where(one_surface, _mix(values, weights), nearest) * sign
    n = torch.cat([n[:, :2], n[:, 2:] * scale], 1)
    length = n.square().sum(1, keepdim=True).sqrt()
    return (n / length.clamp(min=1e-12)).to(map_.dtype)
