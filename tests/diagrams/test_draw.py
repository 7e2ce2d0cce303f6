"""Diagrams: drawn from the real modules, well formed, the same each time, and right about who shares what."""

import xml.etree.ElementTree as ET

import pytest
import torch

from mtlbench.diagrams.draw import SHARED_COLOUR, draw_svg
from mtlbench.diagrams.layout import SHARED, arrange
from mtlbench.plan.registry import entries
from mtlbench.system.colours import COLOURS
from mtlbench.system.errors import ParamsError

SVG = "{http://www.w3.org/2000/svg}"
TASKS = {"segmentation": 7, "inverse_depth": 1}


def small(name: str, tasks: dict[str, int] = TASKS) -> tuple[dict[str, int], dict[str, float]]:
    """The tasks and options of a small instance."""
    entry = entries("models")[name]
    quick = {"width": 1 / 8} if "width" in entry.options.model_fields else {"depth": 18}
    chosen = dict(list(tasks.items())[:1]) if entry.constants.get("single_task") else tasks
    return chosen, quick


def drawn(name: str, tasks: dict[str, int] = TASKS, **options) -> ET.Element:
    chosen, quick = small(name, tasks)
    return ET.fromstring(draw_svg(name, chosen, **quick, **options))


def in_training_only(name: str) -> int:
    """Parameters that no final output depends on, found by gradients."""
    chosen, quick = small(name)
    model = entries("models")[name].load()(chosen, **quick).eval()
    if not model.auxiliary:
        return 0
    sum(output.sum() for output in model(torch.rand(1, 3, 64, 64)).values()).backward()
    return sum(p.numel() for p in model.parameters() if p.grad is None)


@pytest.mark.parametrize("name", [name for name, found in entries("models").items() if found.shipped])
def test_every_model_has_a_diagram_with_all_its_parameters(name: str) -> None:
    root = drawn(name)
    total = int(root.find(f"{SVG}title").text.split(", ")[-1].split()[0].replace(",", ""))
    hints = [group.find(f"{SVG}title").text.split("\n") for group in root.iter(f"{SVG}g")]
    parts = {lines[0]: int(lines[2].split()[0].replace(",", "")) for lines in hints if len(lines) == 3}
    # A part that runs once for each task counts once; a folded part is named after its first step.
    hidden = in_training_only(name)
    assert sum(parts.values()) == total - hidden
    assert (f"({hidden:,} of auxiliary outputs that are not drawn)" in root.find(f"{SVG}title").text) == bool(hidden)


@pytest.mark.parametrize("name", ["segnet_mtan", "resnet_mmoe"])
def test_nothing_stands_outside_the_picture_or_on_another_box(name: str) -> None:
    root = drawn(name)
    width, height = float(root.get("width")), float(root.get("height"))
    boxes = []
    for group in root.iter(f"{SVG}g"):
        for shape in group.findall(f"{SVG}rect"):
            x, y, w, h = (float(shape.get(key)) for key in ("x", "y", "width", "height"))
            assert 0 <= x <= x + w <= width
            assert 0 <= y <= y + h <= height
            boxes.append((x, y, w, h))
    apart = [
        a[0] + a[2] <= b[0] or b[0] + b[2] <= a[0] or a[1] + a[3] <= b[1] or b[1] + b[3] <= a[1]
        for number, a in enumerate(boxes)
        for b in boxes[:number]
    ]
    assert len(boxes) > 5
    assert all(apart)


@pytest.mark.parametrize("name", ["segnet_single", "wrn_mtan"])
def test_the_legend_fits_into_the_picture(name: str) -> None:
    root = drawn(name)
    words = [text for text in root.findall(f"{SVG}text") if text.get("font-size") == "8.5"]
    assert len(words) > 5
    assert all(float(text.get("x")) + 5 * len(text.text) <= float(root.get("width")) for text in words)


def test_the_same_model_gives_the_same_bytes() -> None:
    assert draw_svg("segnet_split", TASKS, width=0.125) == draw_svg("segnet_split", TASKS, width=0.125)


def test_colours_say_whose_weights_they_are() -> None:
    root = drawn("segnet_split")
    fills = {}
    for group in root.iter(f"{SVG}g"):
        lines = group.find(f"{SVG}title").text.split("\n")
        if len(lines) == 3:
            fills[lines[0]] = (group.find(f"{SVG}rect").get("fill"), lines[2].split("the loss of ")[1])
    assert fills.pop("heads.segmentation") == (COLOURS[0], "segmentation")
    assert fills.pop("heads.inverse_depth") == (COLOURS[1], "inverse_depth")
    assert set(fills.values()) == {(SHARED_COLOUR, "inverse_depth, segmentation")}


def test_names_are_escaped_and_there_are_no_identifiers() -> None:
    text = draw_svg("segnet_split", {"a<b": 1, "c&d": 2}, width=0.125)
    assert ET.fromstring(text) is not None
    assert "a&lt;b" in text
    assert " id=" not in text
    assert "href" not in text


def test_options_change_the_picture_and_weights_are_not_read() -> None:
    three = drawn("resnet_mmoe", experts=3, weights="no/such/file.pth")
    two = drawn("resnet_mmoe", experts=2)
    assert len(list(three.iter(f"{SVG}g"))) > len(list(two.iter(f"{SVG}g")))


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(ParamsError, match="Did you mean 'segnet_split'"):
        draw_svg("segnet_splitt", TASKS)


def test_towers_stand_in_their_task_s_lane_and_units_across() -> None:
    from mtlbench.diagrams.trace import fold, trace
    from mtlbench.models._cost import blueprint

    model = blueprint("segnet_cross_stitch", TASKS, {"width": 1 / 8})
    layout = arrange(fold(trace(model, (64, 64))), list(TASKS))
    assert SHARED not in layout.lanes
    assert {box.across for box in layout.boxes if box.node.kind == "mix"} == {True}
    for box in layout.boxes:
        assert all(box.x > layout.boxes[source].x for source in box.node.inputs)
