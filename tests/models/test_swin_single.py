"""The single-task Swin-T is the shared one with one head."""

import torch

from mtlbench.models.swin_single import SwinSingle
from mtlbench.models.swin_split import SwinSplit


def test_is_the_split_network_of_one_task(randomise) -> None:
    split = randomise(SwinSplit({"depth": 1}, width=1 / 8)).eval()
    single = SwinSingle({"depth": 1}, width=1 / 8).eval()
    single.load_state_dict({key.replace("heads.depth.", "head."): value for key, value in split.state_dict().items()})
    image = torch.rand(2, 3, 32, 64)
    assert torch.equal(single(image)["depth"], split(image)["depth"])


def test_costs_its_backbone_and_one_head(count) -> None:
    assert count(SwinSingle, {"segmentation": 13}) == 27_520_698 + 1440 * 256 + 256 + 2 * 256 + 13 * 257
