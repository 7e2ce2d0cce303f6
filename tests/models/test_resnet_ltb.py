"""Learning to Branch on DeepLabv3, the search and the network that it found, against their formulas and their sizes."""

import pytest
import torch

from mtlbench.models.blocks.branching import Choice, paths
from mtlbench.models.resnet_ltb import ResNetLTB
from mtlbench.plan.registry import check_options
from mtlbench.system.errors import ParamsError

TASKS = {"segmentation": 5, "depth": 1}
#: Two tasks that share the stem and layer1, a third one that leaves them after the stem.
TREE = {"segmentation": [0, 0, 0, 0, 0], "depth": [0, 0, 1, 1, 1], "normals": [0, 1, 2, 2, 2]}


def level(plain, name: str, number: int, x):
    return plain.stem(name, x) if number == 0 else plain.layer(name, x, number - 1, 18)[-1]


@pytest.mark.slow
def test_the_search_agrees_with_the_formulas(agrees) -> None:
    model = ResNetLTB(TASKS, depth=18, dropout=0.0)
    model.begin_epoch(3, 40)  # temperature 40 / 20 / sqrt(4) = 1
    model.begin_epoch(15, 40)  # 0.5
    with torch.no_grad():  # layer1 and 3 read their own nodes, layer2 those of segmentation, layer4 those of depth
        for number, favourite in enumerate((None, 0, None, 1, None)):
            for own, logits in enumerate(model.choices[number].by_source[task] for task in TASKS):
                logits[own if favourite is None else favourite] = 0.3

    assert model.found() == {"branching": {"segmentation": [0, 0, 0, 0, 0], "depth": [0, 0, 0, 0, 1]}}

    def forward(plain, image):
        state = torch.get_rng_state()
        seen = [image, image]
        for number in range(5):
            nodes = zip(TASKS, seen, strict=True)
            outputs = torch.stack([level(plain, f"nodes.{number}.{task}", number, x) for task, x in nodes])
            seen = []
            for task in TASKS:
                logits = plain.tensors[f"choices.{number}.by_source.{task}"][:, 0]
                weights = torch.eye(2, dtype=logits.dtype)[int(logits.argmax())]
                if plain.training:
                    noise = -torch.log(torch.empty(2, 1, dtype=logits.dtype).exponential_())[:, 0]
                    soft = torch.softmax((logits + noise) / 0.5, 0)
                    weights = torch.eye(2, dtype=logits.dtype)[int(soft.argmax())] + soft - soft.detach()
                seen.append(torch.einsum("t,tnchw->nchw", weights, outputs))
        torch.set_rng_state(state)  # the model draws the same noise
        return {
            task: plain.deeplab_head(f"heads.{task}", x, image.shape[-2:]) for task, x in zip(TASKS, seen, strict=True)
        }

    agrees(model, forward, (32, 32))


@pytest.mark.slow
def test_the_found_network_agrees_with_the_formulas(agrees) -> None:
    def forward(plain, image):
        stem = level(plain, "nodes.0.segmentation", 0, image)
        shared = level(plain, "nodes.1.segmentation", 1, stem)
        seen = {"segmentation": shared, "depth": shared, "normals": level(plain, "nodes.1.normals", 1, stem)}
        for number in (2, 3, 4):
            seen = {task: level(plain, f"nodes.{number}.{task}", number, x) for task, x in seen.items()}
        return {task: plain.deeplab_head(f"heads.{task}", x, image.shape[-2:]) for task, x in seen.items()}

    model = ResNetLTB({**TASKS, "normals": 3}, depth=18, dropout=0.0, branching=TREE)
    assert model.found() == {}
    agrees(model, forward, (32, 32))


def test_the_search_is_three_networks_and_its_choices_and_the_found_one_what_it_needs(count) -> None:
    tasks = {"segmentation": 13, "depth": 1, "normals": 3}
    apart = 39_636_813 + 39_633_729 + 39_634_243
    assert count(ResNetLTB, tasks) == apart + 5 * 3 * 3 == 118_904_830
    assert count(ResNetLTB, tasks, branching={task: [n] * 5 for n, task in enumerate(tasks)}) == apart
    assert count(ResNetLTB, tasks, branching={task: [0] * 5 for task in tasks}) == 71_888_721  # resnet_split
    stem, layer1 = 9_536, 215_808
    assert count(ResNetLTB, tasks, branching=TREE) == apart - 2 * stem - layer1


def test_what_is_found_is_the_path_of_each_head() -> None:
    # Head 2 reads node 1 of the last level, that node 0 of the level before: where node 0 of the first is read.
    assert paths([[2, 1, 0], [0, 0, 1], [0, 2, 1]]) == [[0, 0, 0], [1, 1, 1], [0, 0, 2]]
    assert paths([[0, 0, 0], [0, 1, 2]]) == [[0, 0], [0, 1], [0, 2]]


def test_a_choice_is_drawn_by_its_logits_in_training_and_the_largest_otherwise() -> None:
    choice = Choice(("a", "b", "c"))
    assert choice.chosen() == [0, 1, 2]  # nothing learned: everyone reads its own
    with torch.no_grad():
        choice.by_source["b"].copy_(torch.tensor([[2.0], [0.0], [1.0]]))
    assert choice.chosen() == [0, 0, 2]
    features = [torch.full((1, 1, 1, 1), float(number)) for number in range(3)]
    torch.manual_seed(0)
    with torch.no_grad():
        drawn = torch.tensor([round(choice(features)[1].item()) for _ in range(3000)])
    wanted = torch.tensor([2.0, 0.0, 1.0]).softmax(0)  # at any temperature, by the Gumbel-max theorem
    found = torch.bincount(drawn, minlength=3) / len(drawn)
    assert (found - wanted).abs().max() < 4 * (0.25 / len(drawn)) ** 0.5  # four standard errors
    assert {round(float(choice.eval()(features)[1])) for _ in range(20)} == {0}


def test_tasks_that_part_cannot_meet_again() -> None:
    wrong = {"segmentation": [0, 0, 0, 0, 0], "depth": [0, 1, 0, 0, 0], "normals": [0, 0, 0, 0, 0]}
    with pytest.raises(ParamsError, match="'segmentation' and 'depth' part at one level and meet at a later one"):
        check_options("models", "resnet_ltb", {"branching": wrong}, "models.resnet_ltb")
    with pytest.raises(ParamsError, match="at least 5"):
        check_options("models", "resnet_ltb", {"branching": {"depth": [0]}}, "models.resnet_ltb")
