"""The first layer of backbones that may begin with weights from ImageNet."""

import torch
from torch import Tensor, nn


class Normalize(nn.Module):
    """An image with values in [0, 1] minus the ImageNet mean, divided by its standard deviation, by channel."""

    def __init__(self) -> None:
        super().__init__()
        for name, values in {"mean": (0.485, 0.456, 0.406), "deviation": (0.229, 0.224, 0.225)}.items():
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        return (image - self.mean) / self.deviation
