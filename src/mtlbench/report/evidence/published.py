"""Numbers that papers and repositories printed: beside ours, and checked against their own rows."""

import importlib.resources
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from mtlbench.metrics.delta_m import delta_m
from mtlbench.metrics.metric import Metric
from mtlbench.report.rows.grid import Column, Grid, Row, mean

#: Column of the table -> (task, metric name). On CityScapes the "depth" of the published tables is an inverse depth.
_NYUV2 = {
    "miou": ("segmentation", "miou"),
    "pix_acc": ("segmentation", "pixel_accuracy"),
    "abs_err": ("depth", "abs_error"),
    "rel_err": ("depth", "rel_error"),
    "angle_mean": ("normals", "angle_mean"),
    "angle_median": ("normals", "angle_median"),
    "within_11_25": ("normals", "within_11_25"),
    "within_22_5": ("normals", "within_22_5"),
    "within_30": ("normals", "within_30"),
}
_CITYSCAPES = {name: _NYUV2[name] for name in ("miou", "pix_acc")} | {
    "abs_err": ("inverse_depth", "abs_error"),
    "rel_err": ("inverse_depth", "rel_error"),
}
_COLUMNS = {"nyuv2": _NYUV2} | {f"cityscapes{classes}": _CITYSCAPES for classes in (2, 7, 19)}
#: What each source did, by the beginning of its name in the table.
PROTOCOLS = {
    "NTKMTL": (
        "200 epochs, Adam 1e-4 halved once, augmented; tested after every epoch, mean of the last 10; depth and "
        "normals are means of per-batch values, the median a mean of medians; Δm flat (printed as lower is better)"
    ),
    "LibMTL repository, examples/nyu/results/segnet": "SegNet, augmented; best epoch on the test set; true median",
    "LibMTL repository, examples/nyu/results/resnet": (
        "ResNet-50 from ImageNet, batch 8, no augmentation, one seed; best epoch on the test set; true median"
    ),
    "Auto-Lambda": (
        "SGD 0.1 with cosine, batch 4, augmented; best epoch on the test set; batch means; Δm of one metric per task"
    ),
}
#: What must be known beside any published row of a weighting.
CAVEATS = {
    "nash_mtl": "with cvxpy 1.6 and newer the authors' solver call fails silently; what is trained is equal weighting"
}


@dataclass(frozen=True)
class CheckedRow:
    """One published Delta_m, in the direction "higher is better", and the one that its own row gives."""

    dataset: str
    source: str
    weighting: str
    published: float
    recomputed: float
    rounding: float
    note: str

    @property
    def agrees(self) -> bool:
        """Within 0.1 percentage points, or within what the rounding of the printed metrics can explain if more."""
        return abs(self.published - self.recomputed) <= max(0.1, self.rounding)


def load() -> pd.DataFrame:
    """The shipped table in the units of our tables (percent, metres, degrees); absent values are NaN."""
    text = importlib.resources.files("mtlbench.report.evidence").joinpath("published_results.csv")
    with importlib.resources.as_file(text) as path:
        frame = pd.read_csv(path, dtype={"note": str}).fillna({"note": ""})
    centimetres = frame["source"].str.contains(r"\(cm\)")
    frame.loc[centimetres, "abs_err"] /= 100
    return frame


def check() -> list[CheckedRow]:
    """Every published Delta_m with the one recomputed from the published metrics of the same table."""
    found = []
    for (dataset, source, _), group in load().groupby(["dataset", "source", "architecture"], sort=False):
        baseline = group[group["weighting"] == "stl"]
        if baseline.empty:
            continue
        # Auto-Lambda prints gains, all others losses; it also averages one metric per task.
        primary = source.startswith("Auto-Lambda")
        for _, row in group[group["delta_m_published"].notna()].iterrows():
            value = float(row["delta_m_published"]) * (1 if primary else -1)
            names = [name for name in _COLUMNS[dataset] if pd.notna(row[name]) and pd.notna(baseline.iloc[0][name])]
            recomputed = _flat(row, baseline.iloc[0], names)
            rounding = _rounding(row, baseline.iloc[0], names, dataset)
            found.append(CheckedRow(dataset, source, row["weighting"], value, recomputed, rounding, row["note"]))
    return found


def _rounding(row: pd.Series, baseline: pd.Series, names: list[str], dataset: str) -> float:
    """By how much Delta_m can be off because the metrics of both rows were printed with few decimals."""
    errors = []
    for name in names:
        decimals = 4 if name == "abs_err" or (name == "rel_err" and dataset == "nyuv2") else 2
        half, base = 0.5 * 10.0**-decimals, float(baseline[name])
        errors.append(100 * half / base * (1 + float(row[name]) / base))
    return sum(errors) / len(errors)


def _flat(row: pd.Series, baseline: pd.Series, names: list[str]) -> float:
    """Flat Delta_m over the named columns; with one metric per task this is the "primary" definition."""
    metrics = {"all": tuple(Metric(n, n, "", not n.startswith(("abs", "rel", "angle"))) for n in names)}
    values, base = ({"all": {n: float(table[n]) for n in names}} for table in (row, baseline))
    return delta_m(values, base, metrics, "flat")


def _parts(architecture: str) -> frozenset[str]:
    """ "mtan_segnet" and "segnet_mtan" are one; so are resnet and resnet50, stl and single."""
    return frozenset(architecture.replace("resnet50", "resnet").split("_"))


def matching(frame: pd.DataFrame, row: Row) -> pd.DataFrame:
    """The published rows of the same architecture and weighting as one of ours."""
    kinds = {cell.cell.model_kind or row.model for cell in row.cells}
    ours = _parts(next(iter(kinds)))
    if row.single_task:
        backbone = ours - {"single"}
        same = [weighting == "stl" and backbone <= _parts(name) for name, weighting in
                zip(frame["architecture"], frame["weighting"], strict=True)]  # fmt: skip
    else:
        same = [_parts(name) == ours and weighting == row.weighting for name, weighting in
                zip(frame["architecture"], frame["weighting"], strict=True)]  # fmt: skip
    return frame[same]


@dataclass(frozen=True)
class Comparison:
    """One of our rows and the published rows that correspond to it: {column name: text-ready value}."""

    row: Row
    ours: Mapping[str, float]
    published: tuple[tuple[str, Mapping[str, float]], ...]


def beside(grid: Grid) -> tuple[list[Column], list[Comparison]]:
    """The columns that papers print, and our rows that have a published counterpart, values in displayed units."""
    name, frame = grid.input.published, load()
    if name is None or name not in set(frame["dataset"]):
        return [], []
    frame = frame[frame["dataset"] == name]
    known = {pair: csv for csv, pair in _COLUMNS[name].items()}
    columns = [column for column in grid.columns if (column.task, column.metric.name) in known]
    found = []
    for row in grid.rows:
        published = tuple(
            (str(line["source"]), {c.name: float(line[known[(c.task, c.metric.name)]]) for c in columns})
            for _, line in matching(frame, row).iterrows()
        )
        if published:
            ours = {c.name: mean(grid.reported[row.slug][c.name]) * c.metric.scale for c in columns}
            found.append(Comparison(row, ours, published))
    return columns, found


def protocol_of(source: str) -> str:
    """What a source did, in one line; "" when nothing is known."""
    return next((text for start, text in PROTOCOLS.items() if source.startswith(start)), "")


def caveats(compared: Sequence[Comparison], checked: Sequence[CheckedRow]) -> list[tuple[str, str]]:
    """(weighting, what must be known of its published rows) for those that are shown."""
    shown = {comparison.row.weighting for comparison in compared} | {row.weighting for row in checked}
    return [(weighting, text) for weighting, text in CAVEATS.items() if weighting in shown]


def metric_names() -> dict[str, dict[str, tuple[str, str]]]:
    """{dataset: {column of the table: (task, metric)}}, checked by a test against the tasks themselves."""
    return {name: dict(columns) for name, columns in _COLUMNS.items()}
