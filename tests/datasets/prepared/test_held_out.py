import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtlbench.datasets.prepared.held_out import held_out_indices
from mtlbench.system.errors import DataError


@given(
    st.lists(st.integers(0, 6), min_size=2, max_size=40).filter(lambda groups: len(set(groups)) > 1),
    st.floats(0.05, 0.95),
    st.integers(0, 3),
)
def test_both_sides_are_whole_scenes_and_nothing_is_lost(groups: list[int], share: float, seed: int) -> None:
    scenes = np.array(groups)
    train, held_out = held_out_indices(len(scenes), scenes, share, seed)
    assert sorted([*train, *held_out]) == list(range(len(scenes)))
    assert len(train) > 0
    assert len(held_out) > 0
    assert not set(scenes[train]) & set(scenes[held_out])
    again = held_out_indices(len(scenes), scenes, share, seed)
    assert np.array_equal(again[0], train)
    assert np.array_equal(again[1], held_out)


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_without_scenes_the_share_is_exact(share: float) -> None:
    _, held_out = held_out_indices(200, None, share, 0)
    assert len(held_out) == 200 * share
    assert not np.array_equal(held_out, held_out_indices(200, None, share, 1)[1]), "the seed decides"


def test_one_scene_cannot_be_split() -> None:
    with pytest.raises(DataError, match="at least two scenes"):
        held_out_indices(5, np.zeros(5, int), 0.2, 0)
