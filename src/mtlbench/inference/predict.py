"""`mtlbench predict`: what a trained network says about a person's own pictures."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import tee
from pathlib import Path

import numpy as np
from rich.table import Table

from mtlbench.datasets.raw.photos import read_rgb
from mtlbench.inference.inputs import not_looked_into, pictures_of
from mtlbench.inference.load import load
from mtlbench.inference.results import Results
from mtlbench.system.console import console, progress_bar
from mtlbench.system.errors import DataError
from mtlbench.system.words import many

Say = Callable[[str], None]


def predict(
    source: str, pictures: Sequence[Path], out: Path, say: Say, device: str = "auto", batch_size: int = 8
) -> None:
    """Predict for pictures and folders of pictures with the network ``source``, and write the results into ``out``.

    A picture that cannot be read does not stop the others; a DataError at the end names each in one line.
    """
    paths = pictures_of(pictures)
    network = load(source, device)
    results = Results(out, network)
    problems: list[str] = []
    named, asked = tee(_readable(paths, problems))
    answers = network.predict_all((picture for _, picture in asked), batch_size)
    with progress_bar("predict") as show:
        for done, ((name, picture), answer) in enumerate(zip(named, answers, strict=True), start=1):
            results.add(name, paths[name], picture, answer)
            show(done, len(paths) - len(problems), name)
    if results.table:
        results.close()
        _tell(results, say)
    for folder in not_looked_into(pictures):
        say(f"{folder}: not looked into, it is a folder in a folder; name it too to have its pictures")
    if problems:
        left = f"{len(problems)} of {len(paths)} pictures could not be read:"
        raise DataError(problems[0] if len(paths) == 1 else "\n  ".join([left, *problems]))


def _readable(paths: Mapping[str, Path], problems: list[str]) -> Iterator[tuple[str, np.ndarray]]:
    """(name, picture) of those that can be read; what is wrong with the others is added to ``problems``."""
    for name, path in paths.items():
        try:
            yield name, read_rgb(path)
        except DataError as error:
            problems.append(str(error))


def _tell(results: Results, say: Say) -> None:
    if results.classes:
        table = Table("picture", *results.classes)
        for row in results.table:
            table.add_row(row["name"], *(row[task] for task in results.classes))
        console().print(table)
    shown = results.folder / ("contact_sheet.png" if results.maps else "predictions.csv")
    count = len(results.table)
    say(f"{many(count, 'picture')}, {', '.join(results.network.tasks)}: look at {shown}")
