from pathlib import Path

import pytest

from mtlbench import reproduce
from mtlbench.plan import grid
from mtlbench.plan.params import load


@pytest.mark.parametrize("place", ["state.pth", "weights/state.pth", "../state.pth", "../../beside/state.pth"])
def test_a_relative_weights_file_is_found_where_a_cell_is_trained_again(
    project, edit, tmp_path_factory: pytest.TempPathFactory, place: str
) -> None:
    file = (project / place).resolve()
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"weights")
    edit("segnet_split: {width: 0.0625}", f"resnet_split: {{depth: 18, weights: {place}}}")
    cell = grid.cells(load(), "tiny")[-1]
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    with reproduce._elsewhere(elsewhere, cell):
        assert Path.cwd() != project
        assert Path.cwd().is_relative_to(elsewhere)
        assert Path(cell.recipe.model.options["weights"]).read_bytes() == b"weights"
    assert Path.cwd() == project
