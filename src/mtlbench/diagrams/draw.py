"""Diagrams of the architectures, drawn from the modules themselves.

A model is built without data, its forward pass is recorded, and every step is drawn: what is in the picture is what
runs. Colours say whose losses reach a part's weights, as :func:`mtlbench.models._base.parameter_owners` finds it.
"""

import sys
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from mtlbench.diagrams.layout import LANE, LIGHT, NARROW, SHARED, WIDE, Box, Layout, arrange
from mtlbench.diagrams.trace import Node, fold, trace
from mtlbench.models._cost import blueprint, parameter_count
from mtlbench.plan.registry import Entry, entries
from mtlbench.system.colours import COLOURS, as_text, text_on
from mtlbench.system.files import write_text

INK, LINE, SHARED_COLOUR = "#1B1F24", "#9AA3AD", "#5B6B7B"
#: Kinds of nodes in the order of the legend: the sign on the box and what it says.
KINDS = {
    "image": ("", "image"),
    "stem": ("S", "stem"),
    "conv": ("", "conv, norm, ReLU"),
    "norm": ("N", "norm, ReLU"),
    "block": ("", "residual block"),
    "layer_norm": ("L", "LayerNorm"),
    "window": ("W", "attention in windows, MLP"),
    "merge": ("M", "patch merging"),
    "mask": ("σ", "attention mask"),
    "mix": ("X", "mixture of features"),
    "linear": ("G", "gate"),
    "head": ("H", "head"),
    "pool": ("", "max-pool"),
    "unpool": ("", "unpool"),
    "upsample": ("", "bilinear × 2"),
    "times": ("×", "product"),
    "plus": ("+", "sum"),
    "concat": ("‖", "concatenation"),
}
#: The tasks of the diagrams in the documentation, and for classifiers three domains of the Visual Decathlon.
EXAMPLE = {"segmentation": 13, "depth": 1, "normals": 3}
DOMAINS = {"aircraft": 100, "dtd": 47, "svhn": 10}
ROUND = ("times", "plus", "concat")
LEGEND = 58.0


def draw_svg(model_name: str, tasks: Mapping[str, int], **options: Any) -> str:
    """The architecture of a model for ``tasks`` = {name: output channels}, as one SVG element.

    Left to right is the data flow; a bar's height is the resolution, the number above it the channels where they
    change, the number below how many equal steps it stands for. The same model gives the same bytes; there are no
    identifiers, so several diagrams can stand in one page. Raises ParamsError as the model's constructor does.
    """
    model = blueprint(model_name, tasks, options)
    nodes = trace(model, (256, 256))
    hidden = parameter_count(model) - sum({node.name: node.parameters for node in nodes}.values())
    layout = arrange(fold(nodes), list(tasks))
    colours = {task: COLOURS[number % len(COLOURS)] for number, task in enumerate(tasks)}
    width, height = max(layout.width + 70, 640, _legend_width(layout, colours)), layout.height + LEGEND
    title = f"{model_name}: {len(tasks)} task{'s' * (len(tasks) > 1)}, {parameter_count(model):,} parameters"
    title += f" ({hidden:,} of auxiliary outputs that are not drawn)" if hidden else ""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" role="img" font-family="DejaVu Sans, Helvetica, Arial, sans-serif" fill="{INK}">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#FFFFFF"/>',
        *_lanes(layout, colours, width),
        *(line for box in layout.boxes for line in _edges(box, layout.boxes)),
        *(line for box in layout.boxes for line in _box(box, layout.boxes, colours)),
        *_legend(layout, colours),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _lanes(layout: Layout, colours: Mapping[str, str], width: float) -> list[str]:
    lines = []
    for name, (top, bottom) in layout.lanes.items():
        colour = colours.get(name, SHARED_COLOUR)
        area = f'x="4" y="{top + 1:.1f}" width="{width - 8:.1f}" height="{bottom - top - 2:.1f}"'
        lines.append(f'<rect {area} rx="4" fill="{colour}" fill-opacity="0.07"/>')
        label = "backbone" if name == SHARED and len(colours) == 1 else name
        lines.append(_text(12, (top + bottom) / 2 + 3, label, 10, as_text(colour), anchor="start", weight="bold"))
    return lines


def _edges(box: Box, boxes: Sequence[Box]) -> list[str]:
    lines = []
    for number in box.node.inputs:
        source = boxes[number]
        start, end = source.x + source.width / 2, box.x - box.width / 2
        y1 = box.y if source.across else source.y
        y2 = y1 if box.across else box.y
        only_positions = number in box.node.positions
        style = f'stroke="{LINE}" fill="none" stroke-width="1"' + ' stroke-dasharray="2 2"' * only_positions
        bend, rise = min(30, (end - start) / 2), 0.0
        if y1 == y2 and any(start < other.x < end and _covers(other, y1) for other in boxes):  # over what is between
            bend, rise = 10, 1.3 * min(LANE / 2 - 6, 22 + 1.2 * (box.column - source.column))
        curve = f"{start + bend:.1f} {y1 - rise:.1f} {end - bend:.1f} {y2 - rise:.1f} {end:.1f} {y2:.1f}"
        path = f"M{start:.1f} {y1:.1f}C{curve}"
        lines.append(f'<path d="{path}" {style}/>')
    return lines


def _covers(box: Box, y: float) -> bool:
    return abs(box.y - y) < box.height / 2


def _box(box: Box, boxes: Sequence[Box], colours: Mapping[str, str]) -> list[str]:
    node = box.node
    if node.kind == "output":
        words = f"{node.shape[0]} {'ch' if len(node.shape) == 3 else 'classes'}"
        return [_text(box.x - box.width / 2, box.y + 3, words, 9, as_text(colours[node.name]), anchor="start")]
    fill = _fill(node, colours)
    mark, _ = KINDS.get(node.kind, ("", ""))
    shape = _shape(node.kind, box.x, box.y, box.width, box.height, fill)
    lines = [f"<g><title>{escape(_hint(node))}</title>{shape}"]
    if mark:
        lines.append(_text(box.x, box.y + 3, mark, 9, text_on(fill), weight="bold"))
    sources = [boxes[number].node for number in node.inputs]
    if node.parameters and not box.across and all(source.shape[:1] != node.shape[:1] for source in sources):
        lines.append(_text(box.x, box.y - box.height / 2 - 3, str(node.shape[0]), 7, INK))
    if node.repeats > 1:
        lines.append(_text(box.x, box.y + box.height / 2 + 8, f"×{node.repeats}", 7, INK))
    return [*lines, "</g>"]


def _shape(kind: str, x: float, y: float, width: float, height: float, fill: str) -> str:
    left, right, half = x - width / 2, x + width / 2, height / 2
    style = f'fill="{fill}" stroke="{SHARED_COLOUR if fill == "#FFFFFF" else fill}" stroke-width="0.8"'
    if kind in ROUND:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{width / 2 + 0.5:.1f}" {style}/>'
    if kind in ("pool", "unpool", "upsample"):
        one, other = (half + 3.5, half) if kind == "pool" else (half - 3.5, half)
        dash = ' stroke-dasharray="2 1.5"' if kind == "upsample" else ""
        corners = [(left, y - one), (right, y - other), (right, y + other), (left, y + one)]
        points = " ".join(f"{one:.1f},{other:.1f}" for one, other in corners)
        return f'<polygon points="{points}" {style}{dash}/>'
    area = f'x="{left:.1f}" y="{y - half:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect {area} rx="{5 if kind == "head" else 1.5}" {style}/>'


def _fill(node: Node, colours: Mapping[str, str]) -> str:
    if not node.owners:
        return "#FFFFFF"
    return colours[next(iter(node.owners))] if len(node.owners) == 1 else SHARED_COLOUR


def _hint(node: Node) -> str:
    lines = [node.name + (f" and {node.repeats - 1} more" if node.repeats > 1 else "")]
    lines.append(" × ".join(map(str, node.shape)) + " for an image of 256 × 256")
    if node.parameters:
        lines.append(f"{node.parameters:,} parameters, reached by the loss of {', '.join(sorted(node.owners))}")
    return "\n".join(lines)


def _signs(layout: Layout) -> list[tuple[str, float]]:
    """The kinds of nodes in the picture and how wide each is in the legend."""
    kinds = {box.node.kind for box in layout.boxes}
    return [(kind, 28 + 5.0 * len(words)) for kind, (_, words) in KINDS.items() if kind in kinds]


def _owners(layout: Layout, colours: Mapping[str, str]) -> list[tuple[str, str, float]]:
    """Colour, words and width of each kind of weights in the picture."""
    owned = {box.node.owners for box in layout.boxes}
    names = {SHARED_COLOUR: "weights of several tasks"} if any(len(owners) > 1 for owners in owned) else {}
    names |= {colours[task]: f"weights of {task}" for task in colours if frozenset([task]) in owned}
    return [(colour, words, 30 + 5.0 * len(words)) for colour, words in names.items()]


def _legend_width(layout: Layout, colours: Mapping[str, str]) -> float:
    lines = ([width for *_, width in found] for found in (_signs(layout), _owners(layout, colours)))
    return 12 + max(map(sum, lines))


def _legend(layout: Layout, colours: Mapping[str, str]) -> list[str]:
    x, y = 12.0, layout.height + 18
    lines = []
    for kind, wide in _signs(layout):
        mark, words = KINDS[kind]
        light = kind in LIGHT
        shape = _shape(kind, x + 6, y, NARROW if light else WIDE, 14, "#FFFFFF" if light else SHARED_COLOUR)
        lines += [shape, _text(x + 6, y + 3, mark, 9, text_on("#FFFFFF" if light else SHARED_COLOUR), weight="bold")]
        lines.append(_text(x + 16, y + 3, words, 8.5, INK, anchor="start"))
        x += wide
    x, y = 12.0, y + 22
    for colour, words, wide in _owners(layout, colours):
        lines.append(f'<rect x="{x:.1f}" y="{y - 5:.1f}" width="10" height="10" rx="1.5" fill="{colour}"/>')
        lines.append(_text(x + 15, y + 3, words, 8.5, INK, anchor="start"))
        x += wide
    return lines


def _text(
    x: float, y: float, words: str, size: float, colour: str, anchor: str = "middle", weight: str = "normal"
) -> str:
    style = f'font-size="{size}" fill="{colour}" text-anchor="{anchor}"' + ' font-weight="bold"' * (weight == "bold")
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(words)}</text>'


def example(found: Entry) -> dict[str, int]:
    """The tasks of a model's diagram in the documentation; one task for a single-task model."""
    tasks = DOMAINS if found.constants.get("predicts") == "classes" else EXAMPLE
    return dict(list(tasks.items())[:1]) if found.constants.get("single_task") else tasks


def main() -> None:
    """Write the diagram of every model into the folder given on the command line: ``docs/models``, as a rule."""
    for name, found in entries("models").items():
        write_text(Path(sys.argv[1]) / f"{name}.svg", draw_svg(name, example(found)))


if __name__ == "__main__":
    main()
