"""A network's card: what it is, what it was trained on, how good it is, what it costs, and what it is not for."""

import json
from typing import Any

from mtlbench.inference.intervals import image_intervals
from mtlbench.metrics.metric import Metric
from mtlbench.plan.recipe import Recipe
from mtlbench.plan.registry import entry
from mtlbench.runs.manifest import Manifest
from mtlbench.system.words import many
from mtlbench.training.description import Description


def card(description: Description, manifest: Manifest | None, command: str) -> str:
    """The card in Markdown. The cell's ``manifest`` adds cost and constant prediction; ``command`` made the file."""
    recipe = description.recipe
    height, width = description.size
    facts = dict(manifest.facts) if manifest else {}
    source = entry("models", recipe.model.kind)
    parts = [
        f"# {recipe.model.kind} for {', '.join(recipe.tasks)}",
        f"{source.summary} {source.constants.get('paper', '')}\n\n"
        f"- input: {description.image.replace('height, width', f'{height}, {width}')}\n"
        f"- output: {_outputs(description)}\n{_classes(description)}"
        f"- options: {_json(recipe.model.options)}\n- key: `{description.key}`",
        f"## Data\n\n{description.dataset['kind']}, {height}x{width}: {_counts(description.dataset['images'])}."
        + (f" {description.dataset['note']}" if description.dataset["note"] else ""),
        f"## Training\n\n{_training(recipe)}",
        f"## Results on the test images\n\n{_results(description, manifest)}",
        *([f"## Cost\n\n{_cost(facts)}"] if facts else []),
        "## Limits\n\n" + "\n".join(f"- {line}" for line in _limits(description)),
        f"## How it was made\n\n```\n{command}\n```\n\nThe whole recipe:\n\n```json\n"
        f"{json.dumps(description.spec, indent=2, sort_keys=True)}\n```",
    ]
    return "\n\n".join(parts) + "\n"


def _training(recipe: Recipe) -> str:
    training, weighting = recipe.training, recipe.weighting
    weighted = f"Tasks weighted by {weighting.kind} {_json(weighting.options)}; " if len(recipe.tasks) > 1 else ""
    return (
        f"{weighted}{many(training.epochs, 'epoch')} of batches of {training.batch_size}, {training.optimizer.name} "
        f"with a learning rate of {training.optimizer.learning_rate:g}, seed {recipe.seed}."
    )


def _json(value: Any) -> str:
    return f"`{json.dumps(value, sort_keys=True)}`"


def _outputs(description: Description) -> str:
    tasks = description.make_tasks()
    shown = [
        f"`{name}` (N, {task.channels}{', height, width' if task.predicts == 'maps' else ''})"
        for name, task in tasks.items()
    ]
    normals = "; normals are to be normalised" if "normals" in tasks else ""
    return "raw " + ", ".join(shown) + normals


def _classes(description: Description) -> str:
    """A line for each task with classes: their names in the order of the channels."""
    named = {name: description.tasks[name].options.get("class_names") for name in description.recipe.tasks}
    lines = [
        f"- channels of `{name}` (the largest is the class): {_counted(names)}"
        for name, names in named.items()
        if names
    ]
    return "".join(f"{line}\n" for line in lines)


def _counted(names: list[str]) -> str:
    return ", ".join(f"{index} {name}" for index, name in enumerate(names))


def _counts(images: dict[str, int]) -> str:
    words = {"train": "training images", "held_out": "held-out images", "test": "test images"}
    return ", ".join(f"{images[use]} {word}" for use, word in words.items() if images.get(use))


def _results(description: Description, manifest: Manifest | None) -> str:
    """The reported metrics in the units of the tables; their intervals and the best constant prediction where known."""
    constant = dict(manifest.facts).get("dataset", {}).get("constant", {}) if manifest else {}
    tasks = description.make_tasks()
    intervals = image_intervals(manifest, tasks, description.metrics) if manifest else {}
    columns = ["task", "metric", "this network"]
    columns += ["95 % interval"] * bool(intervals) + ["constant prediction"] * bool(constant)
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for name, task in tasks.items():
        for metric in task.metrics:
            arrow = "↑" if metric.higher_is_better else "↓"
            unit = f" [{metric.unit}]" if metric.unit else ""
            shown = [_number(metric, description.metrics[name][metric.name])]
            if intervals:
                ends = intervals.get(name, {}).get(metric.name)
                shown.append(" to ".join(_number(metric, end) for end in ends) if ends else "–")
            if constant:
                shown.append(_number(metric, constant[name].get(metric.name)))
            lines.append(f"| {name} | {metric.display}{unit} {arrow} | {' | '.join(shown)} |")
    protocol = description.recipe.protocol
    how = (
        f"{_last(protocol.last_epochs)}, on the test images"
        if protocol.name == "paper"
        else "the epoch that is best on held-out images"
    )
    drawn = " Intervals are over test images (whole scenes drawn again)." if intervals else ""
    return (
        "\n".join(lines) + f"\n\nOne training run; {how}.{drawn} Other seeds give other numbers: the report has them."
    )


def _last(epochs: int | None) -> str:
    return "after the last epoch" if epochs == 1 else f"mean over the last {epochs} epochs"


def _number(metric: Metric, value: float | None) -> str:
    return "–" if value is None else f"{value * metric.scale:.{metric.decimals}f}"


def _cost(facts: dict[str, Any]) -> str:
    return (
        f"{facts['parameters']:,} parameters, {facts['flops'] / 1e9:.2f} GFLOP an image. On {facts['device']}: trained "
        f"in {facts['seconds_total']:.0f} s, predicts an image in {facts['inference_seconds_per_image'] * 1e3:.1f} ms."
    )


def _limits(description: Description) -> list[str]:
    height, width = description.size
    camera = ["Depth is learned for the camera of the data set; another focal length scales it."]
    return [
        f"Trained for comparison of methods on one data set, on images of {height}x{width} pixels; pictures of another "
        "kind, camera or size are outside of what was measured.",
        *(camera if {"depth", "inverse_depth"} & set(description.tasks) else []),
        "No calibration, no uncertainty, no test of safety or fairness.",
        description.licence[0].upper() + description.licence[1:] + ".",
    ]
