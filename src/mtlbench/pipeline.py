"""What the verbs around training do: download, prepare, select, aggregate, report."""

import csv
import importlib.util
import io
import logging
from contextlib import suppress
from pathlib import Path
from typing import Any

from mtlbench.plan import grid, keys, places, prepared, summaries
from mtlbench.plan.content import compare, content, record
from mtlbench.plan.params import Params
from mtlbench.plan.sources import is_address
from mtlbench.runs import pages, shipped
from mtlbench.runs.derived import SELECTION
from mtlbench.runs.manifest import Manifest
from mtlbench.runs.manifest import write as write_manifest
from mtlbench.runs.replace import replacing
from mtlbench.system.errors import BusyError, DataError, ParamsError
from mtlbench.system.files import read_json, write_json, write_text
from mtlbench.system.lease import lease
from mtlbench.system.words import be, many

logger = logging.getLogger(__name__)


def download(params: Params, name: str) -> None:
    """Fetch the raw files of a dataset into its folder; the manifest comes last."""
    from dataclasses import replace

    from mtlbench.datasets.raw.download import download as fetch

    data = prepared.dataset(params, name)
    manifest = prepared.raw_manifest(params, name)
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
    folder = prepared.raw_folder(data)
    fetch(files, folder)
    write_manifest(folder, prepared.raw_spec(data), {
        file.name: folder / file.name for file in files if (folder / file.name).exists()
    })  # fmt: skip


def prepare(params: Params, name: str, key: str | None = None, again: bool = False) -> Path:
    """Make the arrays of a dataset, with ``again`` also when they are there; returns the manifest's path."""
    from mtlbench.datasets.prepared.prepare import prepare as make

    data = prepared.dataset(params, name)
    keys.check_planned(f"dataset {name}", data.key, key)
    raw = prepared.raw_folder(data)
    if data.raw and not raw.is_dir():
        raise DataError(
            f"{name}: the folder of its raw files, {raw}, does not exist. Run `mtlbench download {name}`, or set "
            f"datasets.{name}.source in params.yaml to the folder that holds {', '.join(data.raw)}."
        )

    def constant(manifest: Manifest) -> dict[str, Any]:
        from mtlbench.training.constant import constant_baseline

        return {"constant": constant_baseline(manifest)}

    if again:
        data.manifest.unlink(missing_ok=True)
    if data.source is None or is_address(data.source):
        compare(raw.name, content(raw.name, raw, prepared.unpublished(data, needed=True)), data.source)
    else:
        record(name, data.content, data.source)
    return make(name, data.build(), raw, data.folder, data.spec, jobs=params.runtime.workers, more=constant)


def inspect(params: Params, name: str) -> None:
    """Print what a prepared dataset holds."""
    from mtlbench.datasets.prepared.inspect import describe

    data = prepared.dataset(params, name)
    if not data.manifest.exists():
        raise DataError(f"{name}: not prepared yet. Run `mtlbench prepare {name}`.")
    print(describe(data.folder))


def select(params: Params, name: str, key: str | None = None, rung: int | None = None) -> Path:
    """Choose the setting of every row from the trials of an experiment's search; returns the manifest's path.

    With ``rung`` (from 1): which trials of every row go on from there.
    """
    from mtlbench.training.choice import choice

    if rung is not None and rung not in (rungs := summaries.rungs(params, name)):
        known = f"1 to {len(rungs)}" if rungs else "none"
        raise ParamsError(f"--rung: expected {known}, the rungs of experiments.{name}.search, found {rung}")
    spec = summaries.selection_spec(params, name, rung)
    if spec is None:
        raise ParamsError(f"experiments.{name}: expected a search: block, without which there is nothing to choose")
    keys.check_planned(f"selection of {name}", keys.key(spec), key)
    trials = grid.trials(params, name, rung)
    missing = [cell.path for cell in trials if not cell.manifest.exists()]
    if missing:
        raise DataError(
            f"{name}: {len(missing)} of {many(len(trials), 'trial')} {be(len(missing))} not there, the first is "
            f"{missing[0]}. Run `snakemake --profile workflow/profiles/local {name}`."
        )
    chosen = choice(params, name, rung)
    folder = places.selection(name, rung)
    with replacing(folder, f"selection of {name}") as made:
        write_json(made / SELECTION, chosen)
        return folder / write_manifest(made, spec, {SELECTION: made / SELECTION}).name


def aggregate(params: Params, name: str, key: str | None = None) -> Path:
    """Write the tidy tables of an experiment; returns the manifest's path."""
    from mtlbench.report.rows.collect import report_input
    from mtlbench.report.rows.files import write_summary

    folder = places.summary(name)
    spec = pages.spec(params, name, folder, key)
    keys.check_planned(f"summary of {name}", keys.key(spec), key)
    collected = report_input(params, name, partial=False)
    with replacing(folder, f"summary of {name}") as made:
        return folder / write_manifest(made, spec, write_summary(collected, made), _made_of(params, name)).name


def report(params: Params, name: str, key: str | None = None, partial: bool = False) -> Path:
    """Render the report of an experiment; returns the page's path.

    Without ``partial`` every cell must be there; with it missing results are shown with their reasons, those that are
    committed (runs/shipped.py) are taken, and no manifest is written, so that the whole report stays pending. A failure
    leaves an earlier report whole.
    """
    from mtlbench.report.build import build_report
    from mtlbench.report.rows.collect import report_input

    folder = places.report(name)
    spec = pages.spec(params, name, folder, key)
    keys.check_planned(f"report of {name}", keys.key(spec), key)
    if partial:
        take_shipped(params, name)
    collected = report_input(params, name, partial)
    with replacing(folder, f"report of {name}") as made:
        build_report(collected, made, params.runtime.workers)
        if not partial:
            outputs = {p.relative_to(made).as_posix(): p for p in sorted(made.rglob("*")) if p.is_file()}
            write_manifest(made, spec, outputs, _made_of(params, name))
    return folder / "index.html"


def take_shipped(params: Params, name: str) -> None:
    """Put committed results of cells that are not there into their places, but for those that a process works on."""
    for cell in grid.cells(params, name):
        if not cell.manifest.exists() and shipped.shipped(cell.key) is not None:
            with suppress(BusyError), lease(places.cell_lease(cell.whole.key), cell.path, False, logger.warning):
                if not cell.manifest.exists():
                    shipped.take(cell)


def _made_of(params: Params, name: str) -> dict[str, Any]:
    """The fact of a page's manifest that says of which choices it was made; {} where nothing was chosen."""
    found = pages.outcome(params, name)
    return {pages.OUTCOME: found} if found else {}


def join(params: Params) -> None:
    """The summaries of the experiments under run: in places of fixed names, for DVC's metrics and plots.

    A file of metrics for each row of a table, so that `dvc metrics show` has a line for each. The scripts that draw the
    curves are put beside them, where Snakemake has them, so that `dvc plots show` needs no network.
    """
    metrics: dict[str, Any] = {}
    curves: list[dict[str, str]] = []
    for name in params.run:
        folder = places.summary(name)
        if not pages.summary_manifest(params, name).exists():
            raise DataError(f"{name}: its summary is missing. Run `mtlbench aggregate {name}`, or let Snakemake do it.")
        metrics[name] = read_json(folder / "metrics.json")
        with open(folder / "curves.csv", encoding="utf-8", newline="") as file:
            curves += [{"experiment": name, **row} for row in csv.DictReader(file)]
    with replacing(places.METRICS, "metrics for DVC") as made:
        for name, rows in metrics.items():
            for row, values in rows.items():
                write_json(made / name / f"{row}.json", values)
    _take_vega()
    text = io.StringIO()
    columns = list(dict.fromkeys(column for row in curves for column in row))  # experiments differ in their tasks
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(curves)
    write_text(places.CURVES, text.getvalue())


def _take_vega() -> None:
    """Copy the Vega scripts that Snakemake ships for its own reports; nothing where it ships none."""
    found = importlib.util.find_spec("snakemake")
    for place in found.submodule_search_locations or () if found else ():
        for name in ("vega", "vega-lite", "vega-embed"):
            script = Path(place) / "assets" / "data" / name / f"{name}.js"
            if script.is_file():
                write_text(places.vega() / script.name, script.read_text(encoding="utf-8"))
