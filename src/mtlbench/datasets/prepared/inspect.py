"""What a prepared dataset holds, as text for a person."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mtlbench.datasets.prepared.images import IMAGES, read_images
from mtlbench.datasets.prepared.prepare import check_prepared
from mtlbench.datasets.prepared.sets import remark_line
from mtlbench.runs import manifest as manifests
from mtlbench.runs.manifest import Manifest
from mtlbench.system.errors import DataError


def describe(folder: Path, verify: bool = False) -> str:
    """Counts, sizes, value ranges, class shares, sources and the contact sheet's place, from the manifest.

    ``verify`` digests every file again. Raises DataError when nothing complete is prepared in ``folder``.
    """
    folder = Path(folder)
    path = manifests.find(folder)
    if path is None:
        raise DataError(f"{folder}: nothing complete is prepared here; run `mtlbench prepare` first")
    manifest = check_prepared(folder) if verify else Manifest.read(path)
    record = manifest.facts
    height, width = record["size"]
    splits = sorted(record["counts"], reverse=True)  # train before test
    size = sum(output.bytes for output in manifest.outputs.values())
    counts = ", ".join(f"{record['counts'][name]} {name}" for name in splits)
    lines = [
        f"{folder}  key {manifest.key}",
        f"images: {counts}, {height}x{width}, {size / 1e6:.1f} MB" + (", all digests right" if verify else ""),
        f"tasks: {', '.join(record['tasks'])}",
    ]
    if record["note"]:
        lines.append(f"note: {record['note']}")
    for name, source in record["sources"].items():
        lines.append(f"source: {name}  {source['bytes']} bytes  sha256 {source['sha256']}")
    for text, found in record["remarks"].items():
        lines.append(remark_line(text, found))
    lines += ["", *_ranges(record, splits), ""]
    for array, values in record["statistics"][splits[0]].items():
        if "class_shares" in values:
            lines += [*_shares(record, array, splits), ""]
    lines += _raw_images(folder)
    lines.append(f"contact sheet: {folder / 'contact_sheet.png'}")
    return "\n".join(lines)


def _raw_images(folder: Path) -> list[str]:
    """Where the raw image of each prepared one stands, with the first of each split as an example."""
    first: dict[str, str] = {}
    for row in read_images(folder):
        if row["raw"]:
            first.setdefault(row["split"], f"{row['split']} {row['position']} is {row['raw']}")
    found = f"raw images: {folder / IMAGES} (split, position in the arrays, raw image, scene)"
    return [f"{found}; {'; '.join(first.values())}"] if first else []


def _ranges(record: Mapping[str, Any], splits: list[str]) -> list[str]:
    rows = [("array", "split", "min", "max", "mean", "std", "invalid")]
    for array in record["statistics"][splits[0]]:
        for split in splits:
            values = record["statistics"][split][array]
            mean = "  ".join(_number(v) for v in values.get("mean") or [])
            std = "  ".join(_number(v) for v in values.get("std") or [])
            ends = [_number(values.get(end)) for end in ("min", "max")]
            rows.append((array, split, *ends, mean, std, f"{100 * values['invalid_share']:.2f} %"))
    return _table(rows)


def _shares(record: Mapping[str, Any], array: str, splits: list[str]) -> list[str]:
    rows = [("class", *(f"{split} %" for split in splits))]
    for name in record["tasks"][array]["class_names"]:
        shares = [record["statistics"][split][array]["class_shares"][name] for split in splits]
        rows.append((name, *(f"{100 * share:.2f}" for share in shares)))
    return [*_table(rows), "(shares of the labelled pixels)"]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Lines of a table whose first row is its head; as wide as it needs to be, in a pipe too."""
    table = Table(box=None, pad_edge=False, show_edge=False)
    for title in rows[0]:
        table.add_column(title, no_wrap=True)
    for row in rows[1:]:
        table.add_row(*map(escape, row))
    file = io.StringIO()
    Console(file=file, width=1000, color_system=None).print(table)
    return [line.rstrip() for line in file.getvalue().splitlines()]
