"""A trained network that answers about pictures of any size."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from mtlbench.datasets.raw.photos import Picture, read_rgb
from mtlbench.inference.enlarge import decoded_at
from mtlbench.system.errors import DataError
from mtlbench.tasks import Task
from mtlbench.training.description import Description

#: {task: map}, in the form of prepared data: labels (H, W) int8; depth (1, H, W) float16 metres, 0 = invalid; normals
#: (3, H, W) float16 unit vectors; the class () of an image.
Prediction = dict[str, np.ndarray]


class Network:
    """A trained network with what it needs to be used: ``mtlbench.load`` makes it.

    ``forward`` gives raw maps {task: (N, channels, h, w)} of images (N, 3, h, w) in [0, 1]: the torch module itself,
    or an exported one. ``description`` says how it was trained, ``tasks`` how its maps are read and drawn.
    """

    def __init__(
        self, forward: Callable[[Tensor], Mapping[str, Tensor]], description: Description, device: torch.device
    ) -> None:
        self.forward = forward
        self.description = description
        self.device = device
        self.tasks: dict[str, Task] = description.make_tasks()

    def __repr__(self) -> str:
        height, width = self.description.size
        model = self.description.recipe.model.kind
        return f"<{model} for {', '.join(self.tasks)}, trained on {self.description.dataset['kind']} {height}x{width}>"

    def predict(self, image: Picture) -> Prediction:
        """The maps of one picture (a file, a Pillow image, or an array (H, W, 3) uint8) at the picture's own size.

        It is resized to the size that the network was trained on, as its data was (so another shape is stretched); the
        raw maps are enlarged bilinearly and then read. Computed in float32. Raises DataError for what is no picture.
        """
        return next(self.predict_all([image]))

    def predict_all(self, images: Iterable[Picture], batch_size: int = 8) -> Iterator[Prediction]:
        """The same for many pictures, one after the other, ``batch_size`` at a time through the network."""
        if batch_size < 1:
            raise DataError(f"batch_size: expected at least 1 image, found {batch_size}")
        waiting: list[np.ndarray] = []
        for image in images:
            waiting.append(read_rgb(image))
            if len(waiting) == batch_size:
                yield from self._answers(waiting)
                waiting = []
        if waiting:
            yield from self._answers(waiting)

    def _answers(self, pictures: Sequence[np.ndarray]) -> Iterator[Prediction]:
        from mtlbench.datasets.geometry.resize import resize_picture

        small = np.stack([resize_picture(picture, self.description.size) for picture in pictures])
        batch = torch.from_numpy(small).to(self.device).permute(0, 3, 1, 2)  # channels last, as in training
        with torch.no_grad():
            raw = self.forward(batch.to(torch.float32).div_(255))
        for number, picture in enumerate(pictures):
            size = (picture.shape[0], picture.shape[1])
            yield {name: decoded_at(raw[name][number], size, task) for name, task in self.tasks.items()}
