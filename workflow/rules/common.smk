"""Parameters and small functions for the rule files; no rules. Paths come from mtlbench.plan.places."""

import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import suppress

from snakemake.exceptions import WorkflowError

from mtlbench.system import cluster
from mtlbench.plan import grid, keys, names, places, prepared, summaries
from mtlbench.system.errors import MtlbenchError, nearest
from mtlbench.system.files import read_json
from mtlbench.plan.params import load
from mtlbench.runs import pages

try:
    PARAMS = load("params.yaml")
    CELLS = {name: grid.every_cell(PARAMS, name) for name in PARAMS.experiments}
    # {manifest of a cell: those of the results from which it takes its setting, its first weights or its reference}.
    NEEDS = {
        str(cell.manifest): [
            str(path) for path in (cell.needs, *cell.starts.values(), *cell.references.values()) if path is not None
        ]
        for cells in CELLS.values()
        for cell in cells
    }
    # Which dataset to name when a download is wanted: several may be made from the same raw files.
    RAW = {str(prepared.raw_manifest(PARAMS, name)): name for name in PARAMS.datasets}
except MtlbenchError as error:
    raise WorkflowError(str(error)) from None


# When this process began to read the workflow; what is older is of an earlier run.
STARTED = time.time()


wildcard_constraints:
    dataset="[a-z][a-z0-9_]*",
    folder="[a-z][a-z0-9_]*",
    experiment="[a-z][a-z0-9_]*",
    model="[a-z][a-z0-9_]*",
    weighting="[a-z][a-z0-9_]*",
    run="seed[0-9]+|trial[0-9]+(_rung[0-9]+)?",
    rung="[0-9]+",
    key="[0-9a-f]{16}",


def manifest_in(folder):
    """The pattern of the manifests in a folder (of a pattern): the output that decides whether work is done."""
    return str(folder / keys.manifest_name("{key}"))


def key_of(manifest):
    """The key in a manifest's name."""
    return manifest.name.split(".")[1]


def log_of(verb, name):
    """Where a job of that verb prints; ``name`` may hold wildcards."""
    return str(places.log(verb, name))


def benchmark_of(name):
    """Where Snakemake notes the time and memory of a training job, as its own tools see them."""
    return str(places.benchmark(name))


def dataset_of(experiment):
    """The dataset of an experiment."""
    return prepared.dataset(PARAMS, PARAMS.experiments[experiment].dataset)


def cell_manifests(experiment):
    """The manifests of all cells of an experiment."""
    return [str(cell.manifest) for cell in CELLS[experiment]]


def raw_of(wildcards):
    """The manifest of the downloaded files; nothing for generated data and for files used where they lie."""
    manifest = prepared.raw_manifest(PARAMS, wildcards.dataset)
    made = manifest_in(places.prepared("{dataset}")).format(**wildcards)
    return unless_made([made], manifest) if manifest else []


def prepared_of(experiment, manifests):
    """The data that cells with these manifests are trained on."""
    return unless_made(manifests, dataset_of(experiment).manifest)


def unless_made(manifests, needed):
    """What making these manifests needs; nothing when it is absent and they are all there.

    Snakemake runs a finished job again when another one makes its input, and asks ancient() only where the input is
    there at planning. So one new cell would bring back all others of a checkout without prepared data.
    """
    finished = all(os.path.exists(path) for path in manifests)
    return [] if finished and not os.path.exists(needed) else [ancient(str(needed))]


def resource_of(name):
    """A function of the wildcards: what params.yaml says that a run of the experiment needs."""
    return lambda wildcards: getattr(PARAMS.experiments[wildcards.experiment].resources, name)


def bundles():
    """(experiment, number, cells) of every job that trains several cells; neighbours in the grid's order."""
    for name, experiment in PARAMS.experiments.items():
        size = experiment.resources.cells_per_job
        if size > 1:
            groups = [
                group[start : start + size]
                for group in grid.stages(PARAMS, name)
                for start in range(0, len(group), size)
            ]
            for number, group in enumerate(groups):
                yield name, number, group


def at_once(experiment, cells):
    """How many of a job's cells train at the same time."""
    return min(PARAMS.experiments[experiment].resources.cells_at_once, len(cells))


def settings_of(manifests):
    """The results from which cells with these manifests take something: a selection, or runs of other rows."""
    found = sorted({need for path in manifests for need in NEEDS.get(path, ())})
    return [need for path in found for need in unless_made(manifests, path)]


def trials_of(experiment, rung=None):
    """The manifests of the trials of an experiment's search, at their end or as they stand at a rung."""
    return [str(cell.manifest) for cell in CELLS[experiment] if cell.trial is not None and cell.rung == rung]


def promotions_of(experiment):
    """Which trials went on from the rungs of an experiment's search."""
    return [str(summaries.selection_manifest(PARAMS, experiment, rung)) for rung in summaries.rungs(PARAMS, experiment)]


def selection_of(experiment):
    """What the page of a search shows beside its cells; nothing where there is no search."""
    manifest = summaries.selection_manifest(PARAMS, experiment)
    return [] if manifest is None else unless_made([pages.report_manifest(PARAMS, experiment)], manifest)


def report_targets(experiment):
    """What a finished experiment is: its cells, what stopped some of them, and the report on them."""
    return [*cell_manifests(experiment), *promotions_of(experiment), str(pages.report_manifest(PARAMS, experiment))]


def captions_of(experiment):
    """{figure: caption} of a built report as reStructuredText; {} before."""
    captions = {}
    with suppress(OSError, MtlbenchError):
        captions = read_json(places.report(experiment) / "captions.json")
    if not isinstance(captions, dict):
        return {}
    return {name: re.sub(r"([\\*_`|])", r"\\\1", str(text)) for name, text in captions.items()}


def print_partial_reports():
    """Build the reports of the experiments of which this run trained some, and not all, cells."""
    logs = places.LOGS / "train"
    trained = {log.relative_to(logs).parts[0] for log in logs.rglob("*.log") if log.stat().st_mtime >= STARTED}
    for name in (name for name in PARAMS.experiments if name in trained):
        found = [cell.manifest.exists() for cell in CELLS[name]]
        if any(found) and not all(found):
            subprocess.run(["mtlbench", "report", name, "--partial"], stdout=sys.stderr, check=False)


def no_such_experiment(wildcards):
    """Names the nearest experiment for a target that is none."""
    raise WorkflowError(f"unknown experiment '{wildcards.word}'. {nearest(wildcards.word, PARAMS.experiments)}")


def print_failed_logs():
    """The ends of the logs of this run's jobs that failed, so that a quiet run says why."""
    for path in sorted(places.LOGS.rglob("*.log"), key=os.path.getmtime):
        lines = path.read_text(errors="replace").splitlines() if path.stat().st_mtime >= STARTED else []
        if any(line.startswith(("error: ", "Traceback ")) for line in lines):
            print("\n".join([f"{path}:", *(f"  {line}" for line in lines[-20:])]), file=sys.stderr)


def claim_checkout():
    """On a cluster: refuse beside another Snakemake of this checkout, and end the jobs of a killed one."""
    if workflow.local_exec:
        return
    try:
        cluster.claim_checkout(places.checkout_lease(), lambda text: print(text, file=sys.stderr, flush=True))
    except MtlbenchError as error:
        raise WorkflowError(str(error)) from None


def forget_backups():
    """Remove what a killed Snakemake kept of outputs that it was updating: reports are replaced whole or not at all."""
    shutil.rmtree(places.SNAKEMAKE_BACKUPS, ignore_errors=True)


# Where the captions of `snakemake --report` find them (workflow/report/*.rst); nothing else uses Snakemake's config.
config["captions"] = {name: captions_of(name) for name in PARAMS.experiments}

if os.path.exists("dvc.lock") and not places.CELLS.exists():
    print("note: dvc.lock records results that are not here; `dvc pull` may save the training.", file=sys.stderr)
