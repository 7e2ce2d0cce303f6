"""The single-task HRNet is the shared one with one head."""

import torch

from mtlbench.models.hrnet_single import HRNetSingle
from mtlbench.models.hrnet_split import HRNetSplit


def test_is_the_split_network_of_one_task(randomise) -> None:
    split = randomise(HRNetSplit({"depth": 1}, width=1 / 8)).eval()
    single = HRNetSingle({"depth": 1}, width=1 / 8).eval()
    single.load_state_dict({key.replace("heads.depth.", "head."): value for key, value in split.state_dict().items()})
    image = torch.rand(2, 3, 32, 64)
    assert torch.equal(single(image)["depth"], split(image)["depth"])


def test_costs_what_the_reference_costs(count) -> None:
    assert count(HRNetSingle, {"segmentation": 13}) == 3_860_720 + 270 * 270 + 270 + 2 * 270 + 13 * 271
