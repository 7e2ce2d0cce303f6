"""The tables and sentences of the section on tuning."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mtlbench.report.evidence.analysis import Analysis
from mtlbench.report.evidence.fronts import Count, Standing, standings
from mtlbench.report.evidence.halving import Halving, halving
from mtlbench.report.evidence.oracle import Oracle, oracles
from mtlbench.report.evidence.search_cost import search_costs
from mtlbench.report.evidence.tuning import RATE, Tuned
from mtlbench.report.rows.inputs import ReportInput
from mtlbench.report.rows.text import DASH, number, task_title
from mtlbench.system.words import many


def tuning_tables(analysis: Analysis) -> dict[str, Any]:
    """What the section shows: records as text, and sentences ("length", "halving", "edge", "above", "flattery").

    Every list is empty and every sentence "" where there is nothing to show; all of them without a search.
    """
    standing, oracle = standings(analysis), oracles(analysis)
    return {
        "chosen": chosen_settings(analysis),
        "length": length_sentence(analysis.grid.input),
        "halving": halving_sentence(halving(analysis.tuned, analysis.grid.input.selection)),
        "edge": edge_sentence(analysis.tuned),
        "front": [_front(one) for one in standing],
        "above": above_sentence(standing),
        "oracle": [_oracle(analysis, one) for one in oracle if one.trial != one.row.chosen],
        "flattery": flattery_sentence(oracle),
        "cost": _costs(analysis),
    }


def chosen_settings(analysis: Analysis) -> list[dict[str, Any]]:
    """One record for every row of the search; the chosen values are a list of texts, the rest is text."""
    return [
        {
            "row": row.title,
            "trial": DASH if row.chosen is None else f"trial{row.chosen} of {len(row.scores)}",
            "values": _values(row),
            "score": DASH if row.chosen is None else number(float(row.scores[row.chosen]), 2),
            "lost": str(row.lost),
            "stopped": _parts(Counter(row.stopped.values())),
        }
        for row in analysis.tuned
    ]


def _parts(stopped: Mapping[int, int]) -> str:
    """ "5 after epoch 2, 2 after epoch 6": how many trials were stopped where; "" for none."""
    return ", ".join(f"{count} after epoch {epochs}" for epochs, count in sorted(stopped.items()))


def length_sentence(report: ReportInput) -> str:
    """How long trials and final runs were trained; "" where that is not known."""
    if not report.search:
        return ""
    trial, final = report.search["epochs"], report.training["epochs"]
    short, long = many(trial, "epoch"), many(final, "epoch")
    text = (
        f"Trials were trained for {short} with {100 * report.search['held_out']:g} % of the training images held out, "
    )
    text += f"final runs for {long}."
    return text if trial >= final else f"{text} What is best after {short} need not be best after {final}."


def halving_sentence(found: Halving | None) -> str:
    """The rule by which trials were stopped, how many were, and what that saved; "" where none can be."""
    if found is None:
        return ""
    rule = ", then ".join(f"after epoch {rung['epochs']} the best {rung['keep']} went on" for rung in found.rungs)
    count = sum(found.stopped.values())
    hours = f", about {number(found.hours, 2)} hours" if found.hours is not None else ""
    return (
        f"The worse trials were stopped early, by one rule for all rows (successive halving): {rule}, ranked as the "
        f"selection ranks, by what they had on the held-out images until then. {count} of {found.trials} trials were "
        f"stopped ({_parts(found.stopped) or 'none'}), which saved {found.saved} of {found.planned} epochs{hours}. "
        "They count as tried; only trials that ran to the end could be chosen; one that starts slowly may have been "
        "lost."
    )


def _values(row: Tuned) -> list[str]:
    if row.chosen is None:
        return ["every trial that ran to its end diverged" if row.stopped else "every trial diverged"]
    return [text for name, value in row.settings[row.chosen].items() for text in _texts(name.replace("_", " "), value)]


def _texts(name: str, value: Any) -> list[str]:
    """ "learning rate 0.002", or one text for each part of a value by task: "weights: depth 1.5"."""
    if isinstance(value, Mapping):
        return [f"{name}: {', '.join(f'{part} {_plain(one)}' for part, one in value.items())}"]
    return [f"{name} {_plain(value)}"]


def _plain(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)


def edge_sentence(rows: Sequence[Tuned]) -> str:
    """A warning where most rows chose the largest or the smallest learning rate that they tried: "" elsewhere."""
    known = [row for row in rows if row.chosen is not None and RATE in row.settings[row.chosen]]
    for name, end in (("largest", max), ("smallest", min)):
        at = [row for row in known if row.settings[row.chosen or 0][RATE] == end(one[RATE] for one in row.settings)]
        if len(at) > len(known) / 2:
            return (
                f"{len(at)} of {len(known)} searches chose the {name} learning rate that they tried: better settings "
                "may lie beyond, and a wider space may order the rows otherwise."
            )
    return ""


def _front(one: Standing) -> dict[str, str]:
    return {
        "Row": one.row.title,
        "Chosen trial": _of(one.chosen),
        "All trials": _of(one.trials),
        "Final runs not beaten": DASH if one.finals is None else _of(one.finals),
        "Final runs that beat": DASH if one.beats is None else _of(one.beats),
    }


def _of(count: Count) -> str:
    return f"{count.above} of {count.total}" if count.total else DASH


def above_sentence(standing: Sequence[Standing]) -> str:
    """How often the methods' trials and final runs are not beaten by fixed weights, beside the fixed weights' own."""
    others = [one for one in standing if not one.row.fixed]
    if not others:
        return ""
    trials, fixed, finals, beats = (
        _sum(counts) for counts in (
            [one.trials for one in others],
            [one.trials for one in standing if one.row.fixed],
            [one.finals for one in others if one.finals is not None],
            [one.beats for one in others if one.beats is not None],
        )
    )  # fmt: skip
    text = (
        f"Of the trials of rows without searched weights, {_share(trials)} lie on or above the front of fixed weights, "
        f"counted over trials and pairs of tasks; of the fixed weights' own trials, each against the others, "
        f"{_share(fixed)} do."
    )
    if finals.total:
        text += (
            f" Of the final runs, counted over seeds and pairs, {_share(finals)} are not beaten by the chosen fixed "
            f"weights and {_share(beats)} beat them, each time in both tasks of a pair."
        )
    return text


def _sum(counts: Sequence[Count]) -> Count:
    return Count(sum(one.above for one in counts), sum(one.total for one in counts))


def _share(count: Count) -> str:
    return f"{_of(count)}" + (f" ({100 * count.above / count.total:.0f} %)" if count.total else "")


def _oracle(analysis: Analysis, one: Oracle) -> dict[str, str]:
    found = {
        "Row": one.row.title,
        "Trial": f"{one.row.chosen} → {one.trial}",
        "Score ↑": _signed(one.optimism, 2),
    }
    for column in analysis.grid.columns:
        title = f"{task_title(column.task)}: {column.metric.display}"
        found[title] = _signed(one.gains.get(column.name, float("nan")), 1)
    return found


def _signed(value: float, decimals: int) -> str:
    text = number(value, decimals)
    return f"+{text}" if value > 0 and text.strip("0.") else text


def flattery_sentence(found: Sequence[Oracle]) -> str:
    """What a choice of the settings on the test set would have claimed."""
    if not found:
        return ""
    other = [one for one in found if one.trial != one.row.chosen]
    if not other:
        return f"The test set would have chosen the same trial for {_all(len(found))}."
    gains = np.array([one.optimism for one in found])
    most = found[int(gains.argmax())]
    return (
        f"Choosing on the test set would have taken another trial for {len(other)} of {len(found)} rows and networks, "
        f"and claimed a score that is higher by {number(float(gains.mean()), 2)} percentage points on average and by "
        f"{number(most.optimism, 2)} for {most.row.title}."
    )


def _all(count: int) -> str:
    return "the one row" if count == 1 else f"all {count} rows and networks"


def _costs(analysis: Analysis) -> list[dict[str, str]]:
    return [
        {
            "Row": one.row.label,
            "Trials [h]": number(one.trials, 3),
            "Final runs [h]": number(one.finals, 3),
            "Together [h]": number(one.total, 3),
        }
        for one in search_costs(analysis)
    ]
