"""Every number of the shipped results is what the shipped cells hold: nothing is typed by hand, nothing outdated."""

import csv
import json
import re
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from mtlbench.plan import grid, places
from mtlbench.plan.grid import Cell
from mtlbench.plan.params import load

EXPERIMENTS = ("nyuv2_small", "rooms_tuned")
#: Where the tables of their pages are committed.
SHIPPED = places.SHIPPED_CELLS.parent
#: Column of the table: (task, metric, factor).
COLUMNS = {
    "Segmentation: mIoU [%] ↑": ("segmentation", "miou", 100),
    "Segmentation: Pix. acc. [%] ↑": ("segmentation", "pixel_accuracy", 100),
    "Depth: Abs. err. [m] ↓": ("depth", "abs_error", 1),
    "Depth: Rel. err. ↓": ("depth", "rel_error", 1),
    "Normals: Mean [°] ↓": ("normals", "angle_mean", 1),
    "Normals: Median [°] ↓": ("normals", "angle_median", 1),
    "Normals: <11.25° [%] ↑": ("normals", "within_11_25", 100),
    "Normals: <22.5° [%] ↑": ("normals", "within_22_5", 100),
    "Normals: <30° [%] ↑": ("normals", "within_30", 100),
}


def rows_of(repository: Path, experiment: str) -> list[dict[str, str]]:
    """The rows of its table that have numbers."""
    with (repository / SHIPPED / experiment / "table.csv").open(newline="") as file:
        rows = [{" ".join(name.split()): value for name, value in row.items()} for row in csv.DictReader(file)]
    return [row for row in rows if row["n"]]


def values_of(repository: Path, cells: list[Cell], row: dict[str, str], task: str, metric: str) -> list[float]:
    """The reported metric of every shipped cell of the row."""
    found = []
    for cell in cells:
        path = repository / places.shipped(cell.key) / "metrics.json"
        ours = row["Weighting"] in (cell.weighting, "single-task") and task in cell.tasks
        if cell.model == row["Model"] and ours and path.exists():
            found.append(json.loads(path.read_text())["reported"][task][metric])
    return found


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_the_table_is_mean_and_deviation_of_the_shipped_cells(repository: Path, experiment: str) -> None:
    table, cells = rows_of(repository, experiment), grid.cells(load(repository / "params.yaml"), experiment)
    assert {row["Model"] for row in table} >= {"segnet_single", "segnet_split"}
    for row in table:
        for column, (task, metric, factor) in COLUMNS.items():
            values = [factor * value for value in values_of(repository, cells, row, task, metric)]
            assert len(values) == int(row["n"]), (row["Model"], row["Weighting"], column)
            if not values:
                continue
            places_ = len(row[column].split(" ")[0].partition(".")[2])
            wanted = f"{statistics.fmean(values):.{places_}f} ± {statistics.stdev(values):.{places_}f}"
            assert row[column] == wanted, (row["Model"], row["Weighting"], column)


@pytest.mark.parametrize("page", [Path("README.md"), SHIPPED / "README.md"], ids=str)
def test_the_tables_in_the_text_are_those_of_the_shipped_pages(repository: Path, page: Path) -> None:
    tables = [row for experiment in EXPERIMENTS for row in rows_of(repository, experiment)]
    numbers = {" ".join(value.split()) for row in tables for value in row.values()}
    rows = re.findall(r"^\| (?:SegNet|Split|MTAN|Cross-Stitch)[^\n]*", (repository / page).read_text(), re.M)
    found = [number for row in rows for number in re.findall(r"−?[\d.]+ ± [\d.]+", row)]
    assert len(found) >= 8
    assert [number for number in found if number not in numbers] == []


@pytest.mark.parametrize(
    ("page", "experiments", "count"),
    [("rooms_zoom", ["rooms_zoom", "rooms_zoom_compat"], 7), ("nyuv2_small", ["nyuv2_small", "nyuv2_small_compat"], 5)],
)
def test_two_augmentations_side_by_side_are_computed_from_the_shipped_cells(
    repository: Path, tmp_path: Path, page: str, experiments: list[str], count: int
) -> None:
    (tmp_path / SHIPPED).parent.mkdir()
    for name in ("params.yaml", SHIPPED, places.sources("").parent):  # sources: digests of raw files that are not here
        (tmp_path / name).symlink_to(repository / name)
    command = [sys.executable, str(repository / "benchmarks" / "protocols.py"), *experiments, "--csv", "made.csv"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    committed = repository / SHIPPED / page / "protocols.csv"
    assert (tmp_path / "made.csv").read_bytes() == committed.read_bytes()
    with committed.open(newline="") as file:
        lines = [
            " | ".join(" ".join(value.split()) for name, value in row.items() if name not in ("row", "seeds"))
            for row in csv.DictReader(file)
        ]
    text = (repository / SHIPPED / "README.md").read_text()
    assert len(lines) == count
    assert [line for line in lines if f"| {line} |\n" not in text] == []
