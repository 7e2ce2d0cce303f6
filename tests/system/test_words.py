"""Numbers with their words."""

import pytest

from mtlbench.system.words import be, many


@pytest.mark.parametrize(("count", "says"), [(0, "0 cells are"), (1, "1 cell is"), (2, "2 cells are")])
def test_one_is_not_several(count: int, says: str) -> None:
    assert f"{many(count, 'cell')} {be(count)}" == says
