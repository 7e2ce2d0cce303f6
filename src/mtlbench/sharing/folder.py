"""`mtlbench share`: everything of a finished experiment in one folder or zip file that a person can publish."""

import hashlib
import os
import shutil
import uuid
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from mtlbench import listing
from mtlbench.inference.card import card
from mtlbench.inference.find import find
from mtlbench.plan import grid, places
from mtlbench.plan.grid import Cell
from mtlbench.plan.params import Params
from mtlbench.runs import pages, store
from mtlbench.runs.manifest import Manifest, read_cell
from mtlbench.runs.shipped import withheld
from mtlbench.sharing.facts import Shared, of_experiment
from mtlbench.system.errors import DamagedError, DataError, ParamsError
from mtlbench.system.files import digest, link_or_copy, write_json, write_text
from mtlbench.system.words import be, many

#: The files by which a shared folder is known, and those that `sha256sum -c` reads.
FACTS, SUMS = "share.json", "SHA256SUMS"
_REPORT, _CARDS, _CHECKPOINTS = "report", "cards", "checkpoints"


def share(params: Params, name: str, out: Path, say: Callable[[str], None], pictures: bool = False) -> Path:
    """Write the experiment ``name`` into the folder ``out``, or into one file when it ends with .zip.

    Its report, tables, a card and the weights of every network by key, the experiment as YAML, citations, checksums.
    Figures with test images are left out unless the images are rendered or ``pictures`` says that they may be
    published. Raises DataError when the report is not made or a file is not that of its manifest, ParamsError when
    ``out`` is something else than an earlier share.
    """
    _check_place(out)
    report = pages.report_manifest(params, name)
    if not report.exists():
        raise DataError(f"{name}: its report is not made; `snakemake --profile workflow/profiles/local {name}` first")
    cells = grid.cells(params, name)
    _check_outputs(Manifest.read(report), cells)
    beside = out.with_name(f".{out.name}.{uuid.uuid4().hex}")
    try:
        left = _fill(params, name, beside, cells, pictures)
        _install(beside, out)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    size = sum(path.stat().st_size for path in ([out] if out.is_file() else out.rglob("*")) if path.is_file())
    said = (
        f"; {many(left, 'figure')} with test images {be(left)} left out (--pictures if you may publish them)"
        if left
        else ""
    )
    say(f"{out}: {many(len(cells), 'run')}, {size / 1e6:.1f} MB{said}")
    return out


def _check_place(out: Path) -> None:
    earlier = out.is_file() if out.suffix == ".zip" else (out / FACTS).is_file()
    if out.exists() and not earlier and not (out.is_dir() and not any(out.iterdir())):
        raise ParamsError(f"--out: expected a new folder, a new .zip file or an earlier share, found '{out}'")


def _check_outputs(report: Manifest, cells: Sequence[Cell]) -> None:
    wrong = dict(report.problems())
    for cell in cells:
        away = withheld(cell)  # of a cell that was shipped: what stayed with the others
        found = read_cell(cell).problems(store.place_of(cell))
        wrong |= {path: why for path, why in found.items() if path.name not in away}
    for path, why in wrong.items():
        raise DamagedError(path, why)


def _fill(params: Params, name: str, folder: Path, cells: Sequence[Cell], pictures: bool) -> int:
    """Write everything; returns the number of figures that were left out."""
    shutil.copytree(places.report(name), folder / _REPORT)
    facts = of_experiment(params, name)
    left = 0 if pictures or cells[0].dataset.rendered else _cover_pictures(folder / _REPORT / "figures")
    for cell in cells:
        if read_cell(cell).status == "complete" and not withheld(cell) & set(store.WEIGHTS):
            _add_network(cell, folder)
    if Path("CITATION.cff").is_file():
        shutil.copyfile("CITATION.cff", folder / "CITATION.cff")
    write_text(folder / "experiment.yaml", listing.alone(params, name))
    write_json(folder / FACTS, facts.model_dump(mode="json"))
    write_text(folder / "README.md", _readme(facts))
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    write_text(folder / SUMS, "".join(f"{digest(path)}  {path.relative_to(folder).as_posix()}\n" for path in files))
    return left


def _add_network(cell: Cell, folder: Path) -> None:
    found = find(cell.folder)
    weights = folder / _CHECKPOINTS / f"{cell.key}.safetensors"
    link_or_copy(found.weights, weights, link=False)
    text = card(found.description, read_cell(cell), f"mtlbench train {cell.path}")
    write_text(folder / _CARDS / f"{cell.key}.md", text)


def _cover_pictures(figures: Path) -> int:
    """Replace the figures that show test images: photographs are those without a drawing of the same name."""
    found = [path for path in sorted(figures.glob("*.png")) if not path.with_suffix(".svg").exists()]
    for path in found:
        with Image.open(path) as image:
            size = image.size
        cover = Image.new("RGB", size, "#f5f7f9")
        ImageDraw.Draw(cover).text(
            (size[0] // 2, size[1] // 2), "left out: it shows test images", "#57606a", anchor="mm"
        )
        cover.save(path)
    return len(found)


def _readme(facts: Shared) -> str:
    rows = "\n".join(
        f"| {row.model_title} | {row.weighting_title} | {', '.join(f'`{key}`' for key in row.keys)} |"
        for row in facts.rows
    )
    data = facts.dataset
    note = f" {data.note}" if data.note else ""
    return f"""# {facts.title}

Results of mtlbench on the data `{data.kind}` (key `{data.key}`).{note}

- `report/index.html`: the page; beside it tables (CSV, Markdown, LaTeX), figures and `citations.bib`
- `cards/KEY.md` says what the network `checkpoints/KEY.safetensors` is, how good it is, and how it was trained
- `experiment.yaml`: the experiment and its data set as params.yaml holds them, every value in its place
- `share.json`: the rows with their numbers, for `mtlbench leaderboard`
- `sha256sum -c {SUMS}` checks that nothing was changed

```
mtlbench predict checkpoints/KEY.safetensors photo.jpg --out seen
mtlbench leaderboard THIS_FOLDER OTHER_FOLDER ... --out leaderboard.html
```

The weights are subject to the terms of the data that they were trained on.

| model | weighting | keys |
|---|---|---|
{rows}
"""


def _install(folder: Path, out: Path) -> None:
    """Put the finished folder, or its zip file, in the place of ``out``."""
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".zip":
        part = folder.with_name(f"{folder.name}.part")
        try:
            _pack(folder, part, out.stem)
            os.replace(part, out)
        finally:
            part.unlink(missing_ok=True)
        return
    if out.exists():
        shutil.rmtree(out)
    os.rename(folder, out)


def _pack(folder: Path, target: Path, root: str) -> None:
    """A zip file with the same bytes for the same content: sorted, no times."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(f"{root}/{path.relative_to(folder).as_posix()}")
            entry.external_attr, entry.compress_type = 0o644 << 16, zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())


def checksum(content: bytes) -> str:
    """The SHA-256 of a file's content, as it stands in the list."""
    return hashlib.sha256(content).hexdigest()
