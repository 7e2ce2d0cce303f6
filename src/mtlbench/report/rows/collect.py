"""What a report is made from, collected from the files of the cells of its experiment and from nothing else."""

from collections.abc import Mapping, Sequence
from typing import Any

from mtlbench.plan import frozen, grid, prepared, summaries, task_options
from mtlbench.plan.grid import Cell
from mtlbench.plan.params import Params
from mtlbench.plan.recipe import ChosenEntry
from mtlbench.plan.registry import entry
from mtlbench.report.rows.inputs import CellInput, ReportInput
from mtlbench.runs import derived
from mtlbench.runs.dataset import DatasetFacts
from mtlbench.runs.derived import SELECTION
from mtlbench.runs.manifest import Manifest, read_cell, unequal_data
from mtlbench.runs.shipped import withheld
from mtlbench.runs.status import failure_reason
from mtlbench.system.errors import DamagedError, DataError
from mtlbench.system.files import read_json
from mtlbench.system.words import be, many


def report_input(params: Params, name: str, partial: bool) -> ReportInput:
    """Everything that the report of an experiment is a function of; DataError when cells are missing or damaged.

    Size, tasks, note and constant baseline come from the first readable cell, so no prepared data is needed. With
    ``partial`` a missing or damaged cell is a missing result.
    """
    experiment = grid.experiment(params, name)
    cells = grid.cells(params, name)
    missing = [cell.path for cell in cells if not cell.manifest.exists()]
    if missing and not partial:
        raise DataError(
            f"{name}: {len(missing)} of {many(len(cells), 'cell')} {be(len(missing))} not there, the first is "
            f"{missing[0]}. Run `snakemake --profile workflow/profiles/local {name}`; `mtlbench report {name} "
            "--partial` reports on the others."
        )
    found = {cell.path: _finished(cell) for cell in cells}
    if not partial:
        _check_numbers(name, [(cell, found[cell.path]) for cell in cells])
    manifests = {path: one for path, one in found.items() if isinstance(one, Manifest)}
    data = _dataset(params, name, manifests)
    selection, damage = _selection(params, name)
    sources = {label: frozen.of(block) for label, block in experiment.weightings.items()}
    titles = _weighting_titles(cells, sources)
    return ReportInput(
        name=name,
        title=experiment.title,
        dataset=data.name,
        note=data.note,
        size=data.size,
        protocol=experiment.protocol.model_dump(),
        training=experiment.training.model_dump(),
        tasks=task_options.arguments(data.tasks, experiment.tasks, experiment.task_options),
        cells=tuple(_cell_input(cell, found[cell.path], titles, sources) for cell in cells),
        baseline=experiment.baseline,
        baseline_errors=experiment.baseline_errors,
        constant=_constant(experiment.tasks, data, [cell for cell in cells if cell.path in manifests]),
        command=f"snakemake --profile workflow/profiles/local {name}",
        published=data.published,
        published_batch=data.published_batch,
        papers=_papers(cells),
        searched=experiment.search is not None,
        search=experiment.search.model_dump() if experiment.search else {},
        selection=selection,
        trials={} if selection is None else _trials(grid.trials(params, name), titles, sources),
        remarks=(
            *unequal_data({path: one.data for path, one in manifests.items()}),
            *damage,
            *(
                f"{path}: {other}"
                for cell in cells
                if (path := cell.path) in manifests and (other := derived.stale(cell, manifests[path]))
            ),
        ),
    )


def _finished(cell: Cell) -> Manifest | str:
    """The manifest of a cell, or why there is no result."""
    try:
        manifest = read_cell(cell)
        DatasetFacts.of_cell(manifest)
        return manifest
    except FileNotFoundError:
        return failure_reason(cell) or "not trained yet"
    except DamagedError as error:
        return str(error)


def _check_numbers(name: str, found: Sequence[tuple[Cell, Manifest | str]]) -> None:
    """DataError unless the numbers of every cell are those of its run: a finished page is not looked at again."""
    damaged = [text for cell, one in found if (text := _damage(cell, one))]
    if damaged:
        raise DataError(
            f"{name}: {len(damaged)} of {many(len(found), 'cell')} cannot be used, the first: {damaged[0]}; "
            f"`mtlbench report {name} --partial` reports on the others."
        )


def _damage(cell: Cell, found: Manifest | str) -> str:
    """What is wrong with a cell's numbers and what to do, "" when they are its run's."""
    if isinstance(found, str):
        return f"{cell.path}: {found}"
    metrics = found.outputs.get("metrics.json")
    wrong = metrics.problem(cell.folder / "metrics.json") if metrics else None
    remedy = f"`dvc checkout`, or delete {cell.manifest} and run again"
    return f"{cell.folder / 'metrics.json'}: {wrong}; {remedy}" if wrong else ""


def _dataset(params: Params, name: str, manifests: dict[str, Manifest]) -> DatasetFacts:
    """What the cells say of their data; what the dataset's class knows when there is no cell."""
    for manifest in manifests.values():
        return DatasetFacts.of_cell(manifest)
    data = prepared.dataset(params, grid.experiment(params, name).dataset)
    made = data.build()
    return DatasetFacts(
        name=data.name, key=data.key, size=made.size, tasks=made.tasks, note=made.note, images={}, constant={},
        published=made.published, published_batch=made.published_batch,
    )  # fmt: skip


def _constant(tasks: Sequence[str], data: DatasetFacts, cells: Sequence[Cell]) -> dict[str, dict[str, float | None]]:
    """The constant baseline of the tasks; of those with options of the experiment's own, from a finished cell."""
    found = dict(data.constant)
    for cell in cells:
        own = DatasetFacts.of_cell(read_cell(cell)).constant if cell.recipe.task_options else {}
        found |= {task: own[task] for task in cell.recipe.task_options if task in own}
    return {task: found[task] for task in tasks if task in found}


def _cell_input(cell: Cell, found: Manifest | str, titles: Mapping[str, str], sources: Mapping[str, str]) -> CellInput:
    """``titles`` are the names of weightings for people, ``sources`` the labels whose mean weights others take."""
    finished = isinstance(found, Manifest)
    return CellInput(
        path=cell.path,
        model=cell.model,
        weighting=cell.weighting,
        seed=cell.seed,
        tasks=cell.tasks,
        folder=cell.folder if finished else None,
        key=cell.key,
        missing=(found.reason or None) if isinstance(found, Manifest) else found,
        model_kind=cell.recipe.model.kind,
        model_options=cell.recipe.model.options,
        withheld=withheld(cell) if finished else frozenset(),
        model_title=_title("models", cell.model, cell.recipe.model),
        model_family=str(entry("models", cell.recipe.model.kind).constants.get("family", "")),
        weighting_title=titles[cell.weighting],
        weighting_kind=cell.recipe.weighting.kind,
        mean_of=sources.get(cell.weighting, ""),
    )


def _trials(
    cells: Sequence[Cell], titles: Mapping[str, str], sources: Mapping[str, str]
) -> dict[str, tuple[CellInput, ...]]:
    """The trials of every row (``model/weighting``) by number."""
    found: dict[str, tuple[CellInput, ...]] = {}
    for cell in cells:
        name = f"{cell.model}/{cell.weighting}"
        found[name] = (*found.get(name, ()), _cell_input(cell, _finished(cell), titles, sources))
    return found


def _weighting_titles(cells: Sequence[Cell], sources: Mapping[str, str]) -> dict[str, str]:
    """{label: its name for people}; fixed weights that are the means of another row's say so, whatever their label."""
    kinds = {cell.weighting: cell.recipe.weighting for cell in cells}
    found = {label: _title("weightings", label, chosen) for label, chosen in kinds.items()}
    return found | {label: f"Frozen mean weights of {found[of]}" for label, of in sources.items() if of in found}


def _title(kind: str, label: str, chosen: ChosenEntry) -> str:
    """The name for people of an entry under its own name; a label that the user chose stays as it is."""
    return entry(kind, chosen.kind).title(chosen.options) if label == chosen.kind else label


def _selection(params: Params, name: str) -> tuple[dict[str, Any] | None, list[str]]:
    """(the content of the search's selection, what is wrong with it); None without a search or before the choice."""
    path = summaries.selection_manifest(params, name)
    if path is None or not path.exists():
        return None, []
    try:
        wrong = Manifest.read(path).outputs[SELECTION].problem(path.parent / SELECTION)
        if wrong:
            raise DamagedError(path.parent / SELECTION, wrong)
        return read_json(path.parent / SELECTION), []
    except DamagedError as error:
        return None, [f"{error}; `mtlbench select {name}` makes it anew."]


def _papers(cells: Sequence[Cell]) -> tuple[tuple[str, str], ...]:
    """(paper, title) of the models, then of the weightings of a grid, each once."""
    kinds = [("models", cell.recipe.model.kind) for cell in cells]
    kinds += [("weightings", cell.recipe.weighting.kind) for cell in cells]
    found = [entry(kind, name).constants for kind, name in dict.fromkeys(kinds)]
    declared = [(str(one.get("paper", "")), str(one.get("paper_title", ""))) for one in found]
    return tuple(dict.fromkeys(declared))
