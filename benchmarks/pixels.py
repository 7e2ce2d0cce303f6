"""Logistic regression on the pixels of each domain: what a network must beat (docs/datasets.md).

    python benchmarks/pixels.py small_images [--project .]

Reads the prepared arrays of a data set of domains, so it sees the images that the networks see.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

from mtlbench.plan import places


def accuracies(folder: Path) -> Iterator[tuple[str, int, int, float, float]]:
    """(domain, training images, test images, accuracy of the commonest class, of logistic regression) in 0..1."""
    images = {split: np.load(folder / split / "image.npy") for split in ("train", "test")}
    for path in sorted((folder / "train").glob("*.npy")):
        if path.stem in ("image", "group"):
            continue
        parts = []
        for split in ("train", "test"):
            labels = np.load(folder / split / path.name)
            own = labels >= 0
            parts.append((images[split][own].reshape(own.sum(), -1) / 255.0, labels[own]))
        (x, y), (x_test, y_test) = parts
        # L2 as the library sets it: no choice was made on these data.
        model = LogisticRegression(max_iter=2000).fit(x, y)
        commonest = float(np.mean(y_test == np.bincount(y).argmax()))
        yield path.stem, len(y), len(y_test), commonest, float(model.score(x_test, y_test))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("dataset", help="a data set of params.yaml that is prepared")
    parser.add_argument("--project", type=Path, default=Path(), help="the folder of params.yaml")
    chosen = parser.parse_args()
    print("| domain | train | test | commonest class | logistic regression |\n|---|---:|---:|---:|---:|")
    for name, train, test, commonest, score in accuracies(chosen.project / places.prepared(chosen.dataset)):
        print(f"| {name} | {train} | {test} | {commonest:.1%} | {score:.1%} |")


if __name__ == "__main__":
    main()
