"""What the tests of whole runs share."""

import shutil

from mtlbench.plan import grid, places
from mtlbench.plan.places import work_folder

CELL = "tiny/segnet_split/dwa/seed0"
OUTPUTS = ("metrics.json", "history.csv", "per_image.npz", "samples.npz", "model.safetensors")


def contents(cell: grid.Cell) -> dict[str, bytes]:
    """The bytes of a complete cell's outputs, which must be exactly those that a cell has."""
    folders = (cell.folder, cell.checkpoint_folder)
    found = {
        path.name: path.read_bytes()
        for folder in folders
        for path in folder.iterdir()
        if not path.name.startswith("manifest")
    }
    assert set(found) == set(OUTPUTS)
    return found


def forget(cell: grid.Cell) -> None:
    """Remove a cell's results and its entry in the store."""
    for folder in (cell.folder, cell.checkpoint_folder, places.store(), work_folder(cell.key)):
        shutil.rmtree(folder)
