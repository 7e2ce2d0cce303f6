"""MTAN on SegNet against its formulas and its published size and cost."""

import pytest
import torch
import torch.nn.functional as F

from mtlbench.models.segnet_mtan import SegNetMTAN


def attended_features(plain, task: str, encoder, decoder, inputs):
    """Section 3.2 of the paper for one task, stage by stage."""
    x = torch.empty_like(encoder[0][0][:, :0])
    for stage in range(5):
        mask = plain.mask(f"network.attention.{task}.encoder.{stage}", torch.cat([encoder[stage][0], x], 1))
        x = F.max_pool2d(plain.unit(f"network.down.{stage}", mask * encoder[stage][-1]), 2)
    for stage in reversed(range(5)):
        larger = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
        seen = torch.cat([inputs[stage], plain.unit(f"network.up.{stage}", larger)], 1)
        x = plain.mask(f"network.attention.{task}.decoder.{stage}", seen) * decoder[stage][-1]
    return x


@pytest.mark.parametrize("tasks", [{"segmentation": 5, "depth": 1}, {"normals": 3}], ids=len)
def test_agrees_with_the_formulas(agrees, tasks: dict[str, int]) -> None:
    def forward(plain, image):
        features = plain.segnet("network.backbone", image)
        attended = {task: attended_features(plain, task, *features) for task in tasks}
        return {task: plain.segnet_head(f"network.heads.{task}", x) for task, x in attended.items()}

    agrees(SegNetMTAN(tasks, width=1 / 16), forward)


def test_costs_what_the_reference_costs(count, gflop) -> None:
    parameters = count(SegNetMTAN, {"segmentation": 13, "depth": 1, "normals": 3})
    assert parameters == 44_229_076 - 3  # the log-variances belong to the weighting
    assert gflop(SegNetMTAN, {"segmentation": 13, "depth": 1, "normals": 3}) == pytest.approx(432.1, rel=0.01)
    one_task, masks, head = 38_185_805, 2_984_576, 64 * 64 * 9 + 64 + 64 + 1
    assert count(SegNetMTAN, {"segmentation": 13, "depth": 1}) == one_task + masks + head
