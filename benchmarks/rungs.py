"""What rungs would have stopped, saved and changed in finished searches that stopped nothing.

    python benchmarks/rungs.py EXPERIMENT EPOCHS:KEEP [EPOCHS:KEEP ...]

Replays the rule of `rungs:` (docs/tuning.md) on the held-out curves of an experiment's trials; nothing is trained.
"""

import argparse
import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mtlbench.metrics.metric import Metric
from mtlbench.plan import grid, task_options
from mtlbench.plan.names import ONLY
from mtlbench.plan.params import load
from mtlbench.runs.dataset import DatasetFacts
from mtlbench.runs.manifest import read_cell
from mtlbench.runs.select import Trial, choose, held_out, promote, read_trial
from mtlbench.tasks import make_tasks
from mtlbench.training.history import best_epoch

Metrics = dict[str, Sequence[Metric]]


def at_epoch(trial: Trial, history: Path, tasks: Sequence[str], metrics: Metrics, epochs: int) -> Trial:
    """The trial as it stood after so many epochs; one that diverged stays as it is."""
    if trial.reason:
        return trial
    own = {task: metrics[task] for task in tasks}
    with open(history, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))[:epochs]
    best = best_epoch(rows, "val", own)
    return replace(trial, values=held_out(history, best, own), epoch=best, stopped_after=epochs)


def main() -> None:
    """Print for each row which trial is chosen with and without rungs, and what is saved."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("experiment")
    parser.add_argument("rungs", nargs="+", metavar="EPOCHS:KEEP")
    arguments = parser.parse_args()
    rungs = [tuple(map(int, one.split(":"))) for one in arguments.rungs]
    params = load()
    wanted, cells = grid.experiment(params, arguments.experiment), grid.trials(params, arguments.experiment)
    stored = DatasetFacts.of_cell(read_cell(cells[0])).tasks
    made = make_tasks(task_options.arguments(stored, wanted.tasks, wanted.task_options))
    metrics: Metrics = {name: task.metrics for name, task in made.items()}
    baseline = [f"{wanted.baseline}/{ONLY}{task}" for task in wanted.tasks]
    # Frozen mean weights cannot stand beside rungs.
    place = {(f"{cell.model}/{cell.weighting}", cell.trial): cell for cell in cells if cell.source is None}
    whole: dict[str, list[Trial]] = {}
    for (row, _), cell in place.items():
        whole.setdefault(row, []).append(read_trial(cell, metrics))

    def stopped(row: str, trial: Trial, epochs: int) -> Trial:
        cell = place[row, trial.number]
        return at_epoch(trial, cell.folder / "history.csv", cell.tasks, metrics, epochs)

    now = whole
    for epochs, keep in rungs:
        there = {
            row: [one if one.stopped_after else stopped(row, one, epochs) for one in trials]
            for row, trials in now.items()
        }
        kept = {row: found["kept"] for row, found in promote(there, baseline, metrics, epochs, keep)["rows"].items()}
        now = {
            row: [whole[row][one.number] if one.number in kept[row] or one.reason else one for one in trials]
            for row, trials in there.items()
        }
    _tell(place, choose(whole, baseline, metrics)["rows"], choose(now, baseline, metrics)["rows"], now)


def _tell(place: dict, before: dict, after: dict, now: dict[str, list[Trial]]) -> None:
    spent, total = 0.0, 0.0
    for row, trials in now.items():
        for trial in trials:
            facts, training = read_cell(place[row, trial.number]).facts, place[row, trial.number].recipe.training
            total += facts["seconds_total"]
            spent += facts["seconds_total"] * (trial.stopped_after or training.epochs) / training.epochs
        one, other = before[row]["chosen"], after[row]["chosen"]
        lost = before[row]["trials"][one]["score"] - before[row]["trials"][other]["score"]
        print(f"{row:40} trial{one} -> trial{other}" + (f", score lower by {lost:.2f}" if one != other else ""))
    same = sum(before[row]["chosen"] == after[row]["chosen"] for row in before)
    print(f"the same trial for {same} of {len(before)}; {spent / 3600:.2f} of {total / 3600:.2f} hours")


if __name__ == "__main__":
    main()
