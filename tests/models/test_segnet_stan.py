"""The single-task attention network: MTAN with one task, so its formulas are in test_segnet_mtan.py."""

import pytest
import torch

from mtlbench.models.segnet_mtan import SegNetMTAN
from mtlbench.models.segnet_stan import SegNetSTAN


def test_is_mtan_with_one_task(randomise) -> None:
    stan = randomise(SegNetSTAN({"depth": 1}, width=1 / 16))
    mtan = SegNetMTAN({"depth": 1}, width=1 / 16)
    mtan.load_state_dict(stan.state_dict())
    image = torch.rand(2, 3, 32, 64)
    assert torch.equal(stan(image)["depth"], mtan(image)["depth"])


def test_costs_what_the_reference_costs(count, gflop) -> None:
    parameters = count(SegNetSTAN, {"segmentation": 13})
    assert parameters == 38_185_805
    assert gflop(SegNetSTAN, {"segmentation": 13}) == pytest.approx(219.1, rel=0.01)
