"""Twelve photographs as a folder of one's own data: images/, labels/, normals/ for the dataset kind `folders`.

    python examples/photos.py data/raw/photos

The photographs ship inside scikit-image and scikit-learn (the extra `domains`), so nothing is downloaded. Their labels
are computed, not drawn by people: the class of a pixel is the name of its colour, and its normal is that of a relief
that is higher where the smoothed picture is brighter. Both can be learned from the picture, and neither says anything
about the scene.
"""

import argparse
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

PHOTOS = {
    "skimage.data": ("astronaut.png", "camera.png", "chelsea.png", "coffee.png", "coins.png", "grass.png", "gravel.png",
                     "hubble_deep_field.jpg", "motorcycle_left.png", "rocket.jpg"),
    "sklearn.datasets.images": ("china.jpg", "flower.jpg"),
}  # fmt: skip
#: In the order of their values in labels/.
CLASSES = ("dark", "grey", "light", "warm", "cool")
#: Height of the relief, in pixels of a picture that is 128 wide, between black and white.
HEIGHT = 12.0


def colour_class(picture: np.ndarray) -> np.ndarray:
    """The class (H, W) uint8 of each pixel of a picture (H, W, 3) uint8 by its brightness, saturation and hue."""
    hue, saturation, value = np.moveaxis(np.asarray(Image.fromarray(picture).convert("HSV")).astype(int), -1, 0)
    classes = np.full(hue.shape, CLASSES.index("warm"), np.uint8)
    classes[(hue >= 43) & (hue < 213)] = CLASSES.index("cool")  # of 256: yellow is 43, magenta 213
    classes[saturation < 64] = CLASSES.index("grey")
    classes[(saturation < 64) & (value >= 170)] = CLASSES.index("light")
    classes[value < 64] = CLASSES.index("dark")
    return classes


def relief(picture: np.ndarray) -> np.ndarray:
    """Normals (H, W, 3) float32 of the relief, x right, y down, z forward, so z < 0."""
    width = picture.shape[1]
    height = gaussian_filter(picture.mean(2) / 255, sigma=width / 64) * HEIGHT * width / 128
    down, right = np.gradient(height)
    n = np.stack([-right, -down, -np.ones_like(height)], -1)
    return (n / np.linalg.norm(n, axis=-1, keepdims=True)).astype(np.float32)


def main() -> None:
    """Write the folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    for part in ("images", "labels", "normals"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for package, names in PHOTOS.items():
        for name in names:
            content = files(package).joinpath(name).read_bytes()
            (folder / "images" / name).write_bytes(content)
            with Image.open(folder / "images" / name) as image:
                picture = np.asarray(image.convert("RGB"))
            stem = Path(name).stem
            Image.fromarray(colour_class(picture)).save(folder / f"labels/{stem}.png")
            colours = np.rint((relief(picture) + 1) * 127.5).astype(np.uint8)
            Image.fromarray(colours).save(folder / f"normals/{stem}.png")
    print(f"{sum(map(len, PHOTOS.values()))} photographs with labels and normals in {folder}")


if __name__ == "__main__":
    main()
