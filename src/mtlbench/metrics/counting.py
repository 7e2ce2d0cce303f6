"""Counting pixels into bins, image by image, on any device."""

import torch
from torch import Tensor


def count_per_image(index: Tensor, valid: Tensor, bins: int) -> Tensor:
    """How often each bin occurs among the valid pixels of each image: int64 (N, bins).

    ``index`` (N, ...) holds integers below ``bins`` where ``valid`` (N, ...) is true and anything elsewhere; a
    negative one (NaN of a diverged network becomes that) counts nowhere.
    Integer addition has no order, so the result is the same bits every time, on CUDA too; the host never waits.
    """
    images = index.shape[0]
    offsets = torch.arange(images, device=index.device).view(images, *[1] * (index.dim() - 1)) * bins
    spare = images * bins  # pixels that do not count go into one more bin, which is cut off
    flat = torch.where(valid & (index >= 0), index.long() + offsets, spare).flatten()
    if flat.is_cuda:  # bincount would ask the device for the largest value; histc on integers takes the range as given
        counts = torch.histc(flat, bins=spare + 1, min=0, max=spare + 1).long()
    else:
        counts = torch.bincount(flat, minlength=spare + 1)
    return counts[:spare].view(images, bins)
