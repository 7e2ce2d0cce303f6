"""How all figures look, and how they are written so that the same figure is the same bytes."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import seaborn as sns
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from mtlbench.system.colours import COLOURS, text_on
from mtlbench.system.files import atomic_writer

#: The single-task baseline, in every figure.
BASELINE = "#222222"
QUIET = "#C9CDD2"
INK = "#1B1F24"
GRID = "#E6E8EB"
#: Width of a figure across the page, in inches.
WIDTH = 9.0
#: How large the page shows a figure; its text is then about as large as the page's.
PIXELS_PER_INCH = 122

_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8.5,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#8A9099",
    "axes.linewidth": 0.7,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": "#4A5058",
    "ytick.color": "#4A5058",
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "lines.solid_capstyle": "round",
    "figure.dpi": 100,
    "figure.autolayout": False,
    "figure.constrained_layout.use": False,
    "savefig.dpi": 150,
    # No dates, no random identifiers, text as outlines: the same on every machine.
    "svg.hashsalt": "mtlbench",
    "svg.fonttype": "path",
}


@contextmanager
def styled() -> Iterator[None]:
    """The project's style for everything drawn inside."""
    with sns.axes_style("ticks"), matplotlib.rc_context(_STYLE):
        yield


@dataclass(frozen=True)
class Picture:
    """One figure of the report: where it is (relative to the page), what it shows, its size in pixels.

    ``caption`` explains every mark; ``alt`` says what is to be seen, for who cannot see it.
    """

    name: str
    caption: str
    alt: str
    files: tuple[str, ...]
    width: int
    height: int

    @property
    def shown(self) -> str:
        """The file that the page shows."""
        return self.files[0]

    @property
    def vector(self) -> bool:
        """Whether it is a drawing; photographs are PNG alone."""
        return self.shown.endswith(".svg")


def save(figure: Figure, folder: Path, name: str, caption: str, alt: str, vector: bool = True) -> Picture:
    """Write figures/<name>.svg and .png; only the PNG when ``vector`` is false (photographs)."""
    kinds = ("svg", "png") if vector else ("png",)
    FigureCanvasAgg(figure)
    with styled():  # the SVG's identifiers come from the style, so a figure must not be saved outside of it
        if (engine := figure.get_layout_engine()) is not None:
            engine.execute(figure)
        # Laid out once: the same in both files. With any layout engine, "none" too, each file is drawn twice.
        figure.set_layout_engine(None)
        for kind in kinds:
            metadata = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
            with atomic_writer(folder / "figures" / f"{name}.{kind}") as file:
                figure.savefig(file, format=kind, metadata=metadata)
    width, height = (round(side * PIXELS_PER_INCH) for side in figure.get_size_inches())
    return Picture(name, caption, alt, tuple(f"figures/{name}.{kind}" for kind in kinds), width, height)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure with a layout that makes room for labels."""
    return Figure(figsize=(width, height), layout="constrained")


def tidy(axes: Any, axis: str = "y") -> None:
    """Take away the box, keep quiet grid lines."""
    sns.despine(ax=axes)
    if axis:
        axes.grid(axis=axis)


def wrapped(labels: Iterable[str]) -> list[str]:
    """Labels of the lines of a plot; long ones in several lines, so that they leave the plot its room."""
    return [textwrap.fill(label, 40) for label in labels]


def readable_cells(axes: Any) -> None:
    """Write the words in the cells of a heat map in black or white, whichever is easier to read on their colour."""
    cells = axes.collections[0]
    columns = cells.get_array().shape[1]
    for text in axes.texts:
        column, row = map(int, text.get_position())
        text.set_color(text_on(to_hex(cells.get_facecolors()[row * columns + column])))


def keep_first(axes: Any, count: int) -> None:
    """Of a grid of panels (lines, columns) empty all after the first ``count``; the lowest left show their ticks."""
    for panel in axes.flat[count:]:
        panel.axis("off")
    for panel in axes.flat[max(0, count - axes.shape[1]) : count]:
        panel.tick_params(axis="x", labelbottom=True)


def legend_above(figure: Any, handles: Sequence[Any]) -> None:
    """A legend above all panels: one line where it fits, else lines of the same length."""
    # In widths of the letter m: the line, and each handle with its gaps and name.
    room = 72 * figure.get_figwidth() / 8.5
    widths = [4.4 + 0.6 * len(str(handle.get_label())) for handle in handles]
    lines = 1 if sum(widths) <= room else -(-len(widths) // max(1, int(room / max(widths))))
    columns = -(-len(widths) // lines)
    figure.legend(handles=handles, loc="outside upper left", ncols=columns, handlelength=2.2, columnspacing=1.4)


def colours(names: Sequence[str]) -> dict[str, str]:
    """A colour for each name, in order; they repeat after seven, so figures of more lines use small multiples."""
    return {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}


def chunks(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """Consecutive parts of at most ``size``, as even as possible."""
    count = max(1, -(-len(items) // size))
    step = -(-len(items) // count) if items else 1
    return [items[i : i + step] for i in range(0, len(items), step)]
