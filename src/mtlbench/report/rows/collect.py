"""What a report is made from, collected from the cells of its experiment."""

import json
from typing import Any

from mtlbench.plan import grid
from mtlbench.plan.grid import Cell
from mtlbench.plan.params import Params
from mtlbench.report.rows.inputs import CellInput, ReportInput
from mtlbench.runs.manifest import Manifest, read_cell
from mtlbench.runs.status import failure_reason
from mtlbench.system.errors import DamagedError, DataError
from mtlbench.training.constant import constant_baseline


def report_input(params: Params, name: str, partial: bool) -> ReportInput:
    """Everything that the report of an experiment is a function of."""
    experiment = grid.experiment(params, name)
    data = grid.dataset(params, experiment.dataset)
    cells = grid.cells(params, name)
    missing = [cell.path for cell in cells if not cell.manifest.exists()]
    if missing and not partial:
        raise DataError(
            f"{name}: {len(missing)} of {len(cells)} cells are not there, the first is {missing[0]}. Run "
            f"`snakemake --profile workflow/profiles/local {name}`, or add --partial for a report with missing results."
        )
    if not data.manifest.exists():
        raise DataError(f"{name}: its dataset '{data.name}' is not prepared. Run `mtlbench prepare {data.name}`.")
    manifest = Manifest.read(data.manifest).facts
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
        published=build.published_for(manifest["counts"]),
        published_batch=build.published_batch,
        command=f"snakemake --profile workflow/profiles/local {name}",
    )


def _cell_input(cell: Cell) -> dict[str, Any]:
    try:
        reason = read_cell(cell).reason or None
    except DamagedError as error:
        reason = str(error)
    except FileNotFoundError:
        reason = failure_reason(cell) or "not trained yet"
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
        "missing": reason,
    }
