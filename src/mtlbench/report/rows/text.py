"""Numbers and sentences as a reader sees them."""

import math
from collections.abc import Mapping
from typing import Any

from mtlbench.report.rows.grid import Column

#: A value that is not there.
DASH = "–"
MINUS = "−"


def number(value: float, decimals: int) -> str:
    """A fixed number of decimals with a true minus sign; a dash for NaN."""
    if not math.isfinite(value):
        return DASH
    text = f"{value:.{decimals}f}"
    return text.replace("-", MINUS) if float(text) else text.removeprefix("-")


def cell_text(column: Column, mean: float, std: float) -> str:
    """ "mean ± std" in the column's scale; without the ± when there is one seed."""
    metric = column.metric
    text = number(mean * metric.scale, metric.decimals)
    if not math.isfinite(std) or text == DASH:
        return text
    return f"{text} ± {number(std * metric.scale, metric.decimals)}"


def heading(column: Column) -> str:
    """Display name, unit in brackets and arrow; the last two stay together."""
    return f"{column.metric.display} {unit_and_arrow(column)}"


def unit_and_arrow(column: Column) -> str:
    """ "[%] ↑", or the arrow alone where the name already says the unit."""
    unit = column.metric.unit
    return f"[{unit}]\N{NO-BREAK SPACE}{column.arrow}" if unit and unit not in column.metric.display else column.arrow


def task_title(name: str) -> str:
    """A task's name for people."""
    return name.replace("_", " ").capitalize()


def count(value: float | None, unit: str = "") -> str:
    """A large count with a metric prefix: 44.2 M; a dash for None."""
    if value is None or not math.isfinite(value):
        return DASH
    for factor, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.3g} {prefix}{unit}"
    return f"{value:.3g}{' ' + unit if unit else ''}"


def seconds(value: float | None) -> str:
    """A duration in the unit that suits it; a dash for None."""
    if value is None or not math.isfinite(value):
        return DASH
    if value < 1:
        return f"{value * 1e3:.3g} ms"
    if value < 120:
        return f"{value:.3g} s"
    return f"{value / 60:.3g} min" if value < 7200 else f"{value / 3600:.3g} h"


def protocol_text(protocol: Mapping[str, Any]) -> str:
    """One sentence on which epoch's numbers are reported."""
    if protocol.get("name") == "held_out":
        return (
            f"held_out: the epoch is selected on {100 * float(protocol['share']):g} % of the training set, held out; "
            "the test set is evaluated once, with the selected network."
        )
    last = protocol.get("last_epochs")
    reported = "the last epoch's" if last == 1 else f"the mean over the last {last} epochs"
    share = protocol.get("share")
    held_out = f" From every row {100 * float(share):g} % of the training set is held out." if share else ""
    return (
        f"paper: the test set is evaluated after every epoch; a number is {reported}. No selection on the test set."
        + held_out
    )


def schedule_text(schedule: Mapping[str, Any]) -> str:
    """A schedule of the learning rate in a few words."""
    if schedule.get("name") == "step":
        return f"× {schedule.get('factor'):g} every {schedule.get('every')} epochs"
    return f"{schedule.get('name')} schedule"


def training_text(training: Mapping[str, Any], searched: bool = False, search: Mapping[str, Any] | None = None) -> str:
    """One line of training settings: epochs, batch, optimiser, schedule, augmentation.

    ``searched``: each row has an optimiser of its own, and a schedule where the block ``search`` names some.
    """
    optimizer, schedule = training.get("optimizer") or {}, training.get("schedule") or {}
    parts = [f"{training.get('epochs')} epochs", f"batch {training.get('batch_size')}"]
    if searched:
        parts.append(f"{optimizer.get('name')} as chosen for each row")
    elif optimizer:
        parts.append(f"{optimizer.get('name')} {float(optimizer.get('learning_rate', 0)):g}")
    if (search or {}).get("space", {}).get("schedule"):
        parts.append("schedule as chosen for each row")
    elif schedule:
        parts.append(schedule_text(schedule))
    if phase := training.get("second_phase"):
        rest = f" without {', '.join(phase['without'])}" if phase["without"] else ""
        parts.append(f"the last {phase['epochs']}{rest} at {float(phase['learning_rate']):g}")
    parts.append("augmented" if training.get("augmentation") else "no augmentation")
    parts.append(str(training.get("precision", "")))
    return ", ".join(part for part in parts if part)
