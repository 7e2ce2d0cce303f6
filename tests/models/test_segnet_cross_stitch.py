"""The cross-stitched SegNets against their formulas and their published size and cost."""

import pytest
import torch
import torch.nn.functional as F

from mtlbench.models.segnet_cross_stitch import SegNetCrossStitch

TASKS = {"segmentation": 13, "depth": 1, "normals": 3}


def mixed(plain, name: str, features: dict):
    """y_t = sum of a[t, s] x_s."""
    return {
        target: sum(
            plain.tensors[f"{name}.by_source.{target}"][number].view(1, -1, 1, 1) * x
            for number, x in enumerate(features.values())
        )
        for target in features
    }


@pytest.mark.parametrize("unit", ["channel", "layer"])
def test_agrees_with_the_formulas(agrees, unit: str) -> None:
    def forward(plain, image):
        x, positions = dict.fromkeys(("segmentation", "depth"), image), []
        for stage in range(5):
            x = mixed(plain, f"encoder_units.{stage - 1}", x) if stage else x
            pooled = {
                task: F.max_pool2d(plain.units(f"encoders.{task}", x[task], stage)[-1], 2, 2, return_indices=True)
                for task in x
            }
            x = {task: values for task, (values, _) in pooled.items()}
            positions.append({task: position for task, (_, position) in pooled.items()})
        for stage in reversed(range(5)):
            for task, y in mixed(plain, f"decoder_units.{stage}", x).items():
                unpooled = F.max_unpool2d(y, positions[stage][task], 2, 2)
                x[task] = plain.units(f"decoders.{task}", unpooled, stage)[-1]
        return {task: plain.segnet_head(f"heads.{task}", x[task]) for task in x}

    model = SegNetCrossStitch({"segmentation": 5, "depth": 1}, width=1 / 16, unit=unit)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "by_source" in name:
                parameter.uniform_(-1, 1)
    agrees(model, forward)


def test_units_start_near_the_own_features() -> None:
    model = SegNetCrossStitch(TASKS, width=1 / 16)
    for unit in [*model.encoder_units, *model.decoder_units]:
        matrix = torch.stack([unit.by_source[task] for task in TASKS])
        torch.testing.assert_close(matrix, (0.1 + 0.8 * torch.eye(3))[..., None].expand_as(matrix))


def test_costs_what_the_reference_costs(count, gflop) -> None:
    networks = 24_981_069 + 24_980_289 + 24_980_419
    channels = (64 + 128 + 256 + 512) + (64 + 128 + 256 + 512 + 512)
    assert count(SegNetCrossStitch, TASKS) == networks + 9 * channels
    parameters = count(SegNetCrossStitch, TASKS, unit="layer")
    # The reference has 3 weights in each of its 9 units, one per source; a matrix has 9. It counts 3 log-variances.
    assert parameters - 9 * 9 + 9 * 3 + 3 == 74_941_807
    assert gflop(SegNetCrossStitch, TASKS, unit="layer") == pytest.approx(362.2, rel=0.01)
    assert count(SegNetCrossStitch, {"depth": 1, "normals": 3}) == 24_980_289 + 24_980_419 + 4 * channels
