"""What the verbs around training do: download, prepare, aggregate, report."""

import csv
import json
import logging
from pathlib import Path
from typing import Any

from mtlbench.plan import grid, keys
from mtlbench.plan.grid import Cell, PreparedDataset
from mtlbench.plan.params import Params
from mtlbench.runs import store
from mtlbench.system.errors import DataError
from mtlbench.system.files import read_json, write_json, write_text

logger = logging.getLogger(__name__)


def download(params: Params, name: str) -> None:
    """Fetch the raw files of a dataset into ``data/raw/<name>``; the manifest comes last."""
    from dataclasses import replace

    from mtlbench.datasets.raw.download import download as fetch

    data = grid.dataset(params, name)
    manifest = grid.raw_manifest(params, name)
    if manifest is None:
        place = f"they are used where they lie: {data.source}" if data.source else "the data is generated"
        logger.info("%s: nothing to download, %s", name, place)
        return
    if manifest.exists():
        logger.info("%s: already downloaded (%s)", name, manifest)
        return
    files = data.build().raw_files()
    if data.source is not None:
        files = [replace(file, urls=(f"{data.source.rstrip('/')}/{file.name}",)) for file in files]
    folder = grid.raw_folder(data)
    fetch(files, folder)
    keys.write_manifest(folder, grid.raw_spec(data), {
        file.name: folder / file.name for file in files if (folder / file.name).exists()
    })  # fmt: skip


def prepare(params: Params, name: str, key: str | None = None) -> Path:
    """Make the arrays of a dataset; returns the manifest's path."""
    from mtlbench.datasets.prepared.prepare import prepare as make

    data = grid.dataset(params, name)
    grid.check_key(f"dataset {name}", data.key, key)
    raw = grid.raw_folder(data)
    if data.spec["raw"] and not raw.is_dir():
        raise DataError(
            f"{name}: the folder of its raw files, {raw}, does not exist. Run `mtlbench download {name}`, or set "
            f"datasets.{name}.source in params.yaml to the folder that holds {', '.join(data.spec['raw'])}."
        )
    return make(name, data.build(), raw, data.folder, data.spec, jobs=params.runtime.workers)


def inspect(params: Params, name: str) -> None:
    """Print what a prepared dataset holds."""
    from mtlbench.datasets.prepared.inspect import describe

    data = grid.dataset(params, name)
    if not data.manifest.exists():
        raise DataError(f"{name}: not prepared yet. Run `mtlbench prepare {name}`.")
    print(describe(data.folder))


def aggregate(params: Params, name: str, key: str | None = None) -> Path:
    """Write the tidy tables of an experiment; returns the manifest's path."""
    from mtlbench.report.build import write_summary

    spec = grid.report_spec(params, name)
    grid.check_key(f"summary of {name}", keys.key(spec), key)
    folder = grid.summary_folder(name)
    _forget(folder)
    outputs = write_summary(report_input(params, name, partial=False), folder)
    return keys.write_manifest(folder, spec, outputs)


def report(params: Params, name: str, key: str | None = None, partial: bool = False) -> Path:
    """Render the report of an experiment; returns the page's path.

    Without ``partial`` every cell must be there; with it the holes are shown with their reasons and no manifest is
    written, so that the whole report stays pending.
    """
    from mtlbench.report.build import build_report

    spec = grid.report_spec(params, name)
    grid.check_key(f"report of {name}", keys.key(spec), key)
    folder = grid.report_folder(name)
    _forget(folder)
    build_report(report_input(params, name, partial), folder, params.runtime.workers)
    if not partial:
        outputs = {p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*")) if p.is_file()}
        keys.write_manifest(folder, spec, outputs)
    return folder / "index.html"


def join(params: Params) -> None:
    """The summaries of the experiments under run: in two files of fixed names, for DVC's metrics and plots."""
    metrics: dict[str, Any] = {}
    curves: list[dict[str, str]] = []
    for name in params.run:
        folder = grid.summary_folder(name)
        if not grid.summary_manifest(params, name).exists():
            raise DataError(f"{name}: its summary is missing. Run `mtlbench aggregate {name}`, or let Snakemake do it.")
        metrics[name] = read_json(folder / "metrics.json")
        with open(folder / "curves.csv", encoding="utf-8", newline="") as file:
            curves += [{"experiment": name, **row} for row in csv.DictReader(file)]
    write_json(Path("results/metrics.json"), metrics)
    lines = [",".join(curves[0])] + [",".join(row.values()) for row in curves] if curves else []
    write_text(Path("results/curves.csv"), "\n".join(lines) + "\n")


def report_input(params: Params, name: str, partial: bool) -> Any:
    """Everything that the report of an experiment is a function of."""
    from mtlbench.report.build import CellInput, ReportInput

    experiment = grid.experiment(params, name)
    data = grid.dataset(params, experiment.dataset)
    cells = grid.cells(params, name)
    missing = [cell.path for cell in cells if not cell.manifest.exists()]
    if missing and not partial:
        raise DataError(
            f"{name}: {len(missing)} of {len(cells)} cells are not there, the first is {missing[0]}. Run "
            f"`snakemake --profile workflow/profiles/local {name}`, or add --partial for a report with holes."
        )
    if not data.manifest.exists():
        raise DataError(f"{name}: its dataset '{data.name}' is not prepared. Run `mtlbench prepare {data.name}`.")
    manifest = read_json(data.manifest)
    build = data.build()
    return ReportInput(
        name=name,
        title=experiment.title,
        dataset=data.name,
        note=build.note,
        size=tuple(manifest["size"]),
        protocol=experiment.protocol.model_dump(),
        training=experiment.training.model_dump(),
        tasks={task: manifest["tasks"][task] for task in experiment.tasks},
        cells=tuple(CellInput(**_cell_input(cell)) for cell in cells),
        baseline=experiment.baseline,
        constant=constant_baseline(data, experiment.tasks),
        command=f"snakemake --profile workflow/profiles/local {name}",
    )


def constant_baseline(data: PreparedDataset, tasks: list[str]) -> dict[str, dict[str, float]]:
    """{task: {metric: value}} of the best constant prediction, computed once for each prepared dataset."""
    cache = Path("work/constant") / f"{data.key}.json"
    if cache.exists() and set(tasks) <= set(read_json(cache)):
        return {task: read_json(cache)[task] for task in tasks}
    import torch

    from mtlbench.tasks._base import make_tasks
    from mtlbench.training.data import Split
    from mtlbench.training.evaluate import constant_baseline as compute
    from mtlbench.training.history import without_nan

    cpu = torch.device("cpu")
    made = make_tasks({task: read_json(data.manifest)["tasks"][task] for task in tasks})
    train, test = (Split(data.folder / split, tasks, cpu) for split in ("train", "test"))
    found = without_nan(compute(made, train, test))
    write_json(cache, found)
    return found


def _cell_input(cell: Cell) -> dict[str, Any]:
    reason: str | None = "not trained yet"
    if cell.manifest.exists():
        manifest = store.read_manifest(cell.manifest)
        reason = manifest.get("reason") if manifest["status"] != "complete" else None
    else:
        failure = Path("work/cells") / cell.key / "failure.json"
        if failure.exists():
            reason = read_json(failure)["reason"]
    return {
        "path": cell.path,
        "model": cell.model,
        "model_kind": cell.spec["model"]["kind"],
        "model_options": json.loads(json.dumps(cell.spec["model"]["options"])),
        "weighting": cell.weighting,
        "seed": cell.seed,
        "tasks": cell.tasks,
        "key": cell.key,
        "folder": cell.folder if cell.manifest.exists() else None,
        "hole": reason,
    }


def _forget(folder: Path) -> None:
    """Remove old manifests before anything in the folder changes."""
    for old in folder.glob("manifest.*.json"):
        old.unlink()
