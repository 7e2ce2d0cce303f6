"""Where the parts of an architecture's diagram stand: columns by data flow, lanes by task."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mtlbench.diagrams.trace import Node

#: The lane of what serves several tasks.
SHARED = "shared"
#: Sizes in pixels.
LANE, TOP, GAP = 74.0, 10.0, 9.0
NARROW, WIDE = 9.0, 12.0
#: Kinds that change no channels: drawn narrow.
LIGHT = ("image", "times", "plus", "concat", "pool", "unpool", "upsample")


@dataclass
class Box:
    """A node of the trace with its place: centre (x, y), width and height."""

    node: Node
    lane: str
    column: int
    x: float = 0
    y: float = 0
    width: float = WIDE
    height: float = 0
    #: True when it joins several lanes and is drawn across them.
    across: bool = False


@dataclass
class Layout:
    """All boxes, in the order of the trace, the lanes {name: (top, bottom)} and the size of the whole."""

    boxes: list[Box]
    lanes: dict[str, tuple[float, float]]
    width: float
    height: float


def arrange(nodes: Sequence[Node], tasks: Sequence[str]) -> Layout:
    """Give every node a column (just before its first reader) and a lane (its task, or the shared one)."""
    boxes: list[Box] = []
    for node in nodes:
        sources = [boxes[number] for number in node.inputs]
        column = 1 + max((box.column for box in sources), default=-1)
        box = Box(node, _lane(node, sources, tasks), column, width=NARROW if node.kind in LIGHT else WIDE)
        box.across = node.kind == "image" or len({source.lane for source in sources} - {SHARED}) > 1
        boxes.append(box)
    if {box.lane for box in boxes if box.node.kind not in ("image", "output")} == {SHARED}:
        for box in boxes:  # one task and no part named after it
            box.lane = tasks[0]
    _move_late(boxes)
    width = _place_columns(boxes, left=20 + 6.6 * max(map(len, [SHARED, *tasks])))
    lanes = _place_lanes(boxes, tasks)
    return Layout(boxes, lanes, width, max(bottom for _, bottom in lanes.values()))


def _move_late(boxes: list[Box]) -> None:
    """Move every box to the column before its first reader, so that lines between lanes are short."""
    last = max(box.column for box in boxes)
    first_reader = [last + 1] * len(boxes)
    for number in reversed(range(len(boxes))):
        box = boxes[number]
        box.column = first_reader[number] - 1 if box.node.inputs else 0
        for source in box.node.inputs:
            first_reader[source] = min(first_reader[source], box.column)


def _lane(node: Node, sources: list[Box], tasks: Sequence[str]) -> str:
    """The task in the module's name; else the one task it serves; else, without weights, where its input is.

    With one task, what follows its own parts is its own.
    """
    named = [part for part in node.name.split(".") if part in tasks]
    if named:
        return named[0]
    if len(node.serves) == 1 and len(tasks) > 1:
        return next(iter(node.serves))
    lanes = {source.lane for source in sources} - {SHARED}
    return lanes.pop() if len(lanes) == 1 and (not node.parameters or len(tasks) == 1) else SHARED


def _place_columns(boxes: list[Box], left: float) -> float:
    widths: dict[int, float] = {}
    for box in boxes:
        widths[box.column] = max(widths.get(box.column, 0), box.width)
    x, centres = left, {}
    for column in sorted(widths):
        centres[column] = x + widths[column] / 2
        x += widths[column] + GAP
    for box in boxes:
        box.x = centres[box.column]
    return x


def _place_lanes(boxes: list[Box], tasks: Sequence[str]) -> dict[str, tuple[float, float]]:
    image = boxes[0].node.shape
    lanes: dict[str, tuple[float, float]] = {}
    top = TOP
    for name in (SHARED, *tasks):
        inside = [box for box in boxes if box.lane == name and not box.across]
        if not inside:
            continue
        rows = _rows(inside)
        for box, row in zip(inside, rows, strict=True):
            box.y = top + LANE * (row + 0.5)
            box.height = _height(box.node, image)
        lanes[name] = (top, top + LANE * (max(rows) + 1))
        top = lanes[name][1]
    for box in boxes:
        if box.across:
            joined = [lanes[name] for name in lanes if name in box.node.serves or box.node.kind == "image"]
            low, high = min(one for one, _ in joined), max(other for _, other in joined)
            box.y, box.height = (low + high) / 2, high - low - 12
    return lanes


def _rows(boxes: list[Box]) -> list[int]:
    """Boxes of one lane and column stand below each other."""
    taken: dict[int, int] = {}
    rows = []
    for box in boxes:
        rows.append(taken.get(box.column, 0))
        taken[box.column] = rows[-1] + 1
    return rows


def _height(node: Node, image: tuple[int, ...]) -> float:
    """Higher for larger maps: 48 pixels for the image's size, 7 less for each halving; small for vectors."""
    if len(node.shape) < 3:
        return 14
    return max(10, 48 - 7 * math.log2(image[1] / node.shape[1]))
