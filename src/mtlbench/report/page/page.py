"""The HTML page: one template, one style sheet, one script, everything inlined."""

import importlib.resources
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup

from mtlbench.report.evidence import optimism, published, published_nyud, stability
from mtlbench.report.evidence.analysis import Analysis
from mtlbench.report.figures.all import Sections
from mtlbench.report.page.against import family
from mtlbench.report.page.citations import citations
from mtlbench.report.page.findings import findings, gaps
from mtlbench.report.page.tables import Table
from mtlbench.report.page.tuning import tuning_tables
from mtlbench.report.page.verdict import verdict
from mtlbench.report.rows import text
from mtlbench.report.rows.cells import LoadedCell
from mtlbench.report.rows.costs import Cost, cost
from mtlbench.report.rows.score import about as about_score
from mtlbench.runs import code


@dataclass(frozen=True)
class Page:
    """What the template is filled with."""

    analysis: Analysis
    table: Table
    sections: Sections


def render(page: Page) -> str:
    """The page as one HTML text; every value is escaped but our own style sheet, script and drawings."""
    folder = importlib.resources.files("mtlbench.report.page")
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: folder.joinpath(name).read_text(encoding="utf-8")),
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    environment.globals.update(text=text, protocol_of=published.protocol_of, caveats=published.caveats)
    analysis = page.analysis
    return environment.get_template("report.html.jinja").render(
        css=Markup(folder.joinpath("report.css").read_text(encoding="utf-8")),
        js=Markup(folder.joinpath("report.js").read_text(encoding="utf-8")),
        report=analysis.grid.input,
        analysis=analysis,
        table=page.table,
        about_score=about_score(analysis.grid),
        sections=page.sections,
        diagrams={model: Markup(svg) for model, svg in page.sections.diagrams.items()},
        findings=findings(analysis),
        verdict=verdict(analysis),
        interval_rows=interval_rows(analysis),
        family=family(analysis),
        gaps=gaps(analysis),
        citations=citations(analysis),
        tuning=tuning_tables(analysis),
        costs=cost_rows(analysis),
        stability=stability_tables(analysis),
        published=published.beside(analysis.grid),
        checked=published.check() if analysis.grid.input.published in published.metric_names() else [],
        nyud=published_nyud.beside(analysis.grid),
        provenance=provenance_rows(analysis),
        common=common_facts(analysis),
    )


def interval_rows(analysis: Analysis) -> list[dict[str, Any]]:
    """95 % intervals of Delta_m and the primary metrics of every row with evidence."""
    columns = [c for c in analysis.columns if c.metric.primary]
    found = []
    for row in analysis.grid.rows:
        evidence = analysis.evidence.get(row.slug)
        if evidence is None:
            continue
        cells = []
        for column in columns:
            tests = analysis.pairs[column.name]
            if row.slug not in tests.slugs:
                cells.append(text.DASH)
                continue
            scale, decimals = column.metric.scale, column.metric.decimals
            known = tests.intervals(row.slug)
            low, high = known.both if np.isfinite(known.both[0]) else known.images
            cells.append(f"[{text.number(low * scale, decimals)}, {text.number(high * scale, decimals)}]")
        found.append({"row": row, "cells": cells, "columns": columns})
    return found


def cost_rows(analysis: Analysis) -> list[dict[str, str]]:
    """The cost table as text."""
    found = []
    for row in analysis.grid.rows:
        known = cost(row)
        found.append({
            "Model": row.model_title, "Weighting": row.weighting_title, "Parameters": text.count(known.parameters),
            "#P": text.number(analysis.parameter_ratio[row.slug], 2), "FLOPs / image": _flops(known),
            "Training / epoch": text.seconds(known.seconds_per_epoch),
            "Inference / image": text.seconds(known.inference_seconds),
            "Peak memory": text.count(known.memory_bytes, "B"),
            "Device time, all seeds": text.seconds(known.device_seconds),
            "Device": ", ".join(known.devices) or text.DASH,
        })  # fmt: skip
    return found


def _flops(known: Cost) -> str:
    """Of a forward pass; in brackets of one in training, where that also computes auxiliary predictions."""
    training = "" if known.training_flops is None else f" (training {text.count(known.training_flops)})"
    return text.count(known.flops) + training


def stability_tables(analysis: Analysis) -> dict[str, Any]:
    """Tables of the section on definitions, protocols and conventions, as text with the rows' labels."""
    labels = {row.slug: row.label for row in analysis.grid.rows}
    deltas = stability.by_convention(analysis)[1]
    protocols = stability.by_protocol(analysis)
    return {
        "optimism": _text(stability.optimism(analysis)),
        "one_epoch": _by_metric(analysis, optimism.one_epoch(analysis)),
        "own_epochs": _by_metric(analysis, optimism.own_epochs(analysis)),
        "protocols": _text(protocols.dropna(how="all").rename(index=labels)),
        "conventions": _text(deltas.rename(index=labels)),
        "moved": moved_ranks(analysis, deltas),
        "explained": stability.CONVENTIONS,
        "swaps": stability.swaps(stability.by_definition(analysis)).astype(int),
    }


def _by_metric(analysis: Analysis, table: pd.DataFrame) -> pd.DataFrame:
    """The columns by task and metric, the numbers as text with one decimal."""
    titles = {c.name: f"{text.task_title(c.task)}: {c.metric.display}" for c in analysis.grid.columns}
    return _text(table.rename(columns=titles), 1)


def moved_ranks(analysis: Analysis, deltas: pd.DataFrame) -> list[dict[str, str]]:
    """For every convention: Kendall's tau with "corrected", pairs in the opposite order, largest change of rank."""
    if "corrected" not in deltas or len(deltas) < 2:
        return []
    ranks = deltas.rank(ascending=False)
    tau, swapped = stability.agreement(deltas)["corrected"], stability.swaps(deltas)["corrected"]
    return [
        {
            "Convention": convention.name, "What it does": convention.explain(analysis.grid.input.published_batch),
            "τ with corrected": text.number(tau[convention.name], 2),
            "Pairs swapped": str(int(swapped[convention.name])),
            "Largest move": f"{(ranks[convention.name] - ranks['corrected']).abs().max():.0f} places",
        }
        for convention in stability.CONVENTIONS
    ]  # fmt: skip


def _text(frame: pd.DataFrame, decimals: int = 2) -> pd.DataFrame:
    return frame.map(lambda value: text.number(float(value), decimals))


def provenance_rows(analysis: Analysis) -> list[dict[str, Any]]:
    """One record per cell, with what its manifest says."""
    return [_provenance(row.slug, cell) for row in analysis.grid.rows for cell in row.cells]


def _provenance(slug: str, cell: LoadedCell) -> dict[str, Any]:
    manifest = cell.manifest
    key = manifest.key if manifest else cell.cell.key
    origin = manifest.provenance if manifest else {}
    return {
        "slug": slug,
        "path": cell.cell.path,
        "key": key,
        "link": f"../../cells/{cell.cell.path}/manifest.{key}.json" if manifest else "",
        "status": "complete" if not cell.missing else cell.missing,
        "other_code": ", ".join(code.differences(manifest)) if manifest else "",
        "missing": bool(cell.missing),
        "commit": str(origin.get("commit") or text.DASH),
        "source": str(origin.get("source") or text.DASH),
        "data": data_digest(cell.facts) or text.DASH,
        "device": str(cell.facts.get("device") or text.DASH),
        "seconds": cell.facts.get("seconds_total"),
        "versions": ", ".join(f"{name} {version}" for name, version in sorted((origin.get("versions") or {}).items())),
    }


def data_digest(facts: Mapping[str, Any]) -> str:
    """Eight digits that stand for all arrays a cell has read: equal digits mean equal data."""
    from mtlbench.plan.keys import key

    data = facts.get("data")
    return key(data)[:8] if isinstance(data, dict) and data else ""


def common_facts(analysis: Analysis) -> dict[str, Any]:
    """What all cells share: settings, versions, devices, commits and how many cells have each."""
    rows = [row for row in provenance_rows(analysis) if not row["missing"]]

    def counted(name: str) -> list[tuple[str, int]]:
        values = [row[name] for row in rows]
        return [(value, values.count(value)) for value in dict.fromkeys(values)]

    report = analysis.grid.input
    return {
        "facts": {name: counted(name) for name in ("commit", "source", "data", "device", "versions")}
        | {"other code than today's": [(files, count) for files, count in counted("other_code") if files]},
        "settings": json.dumps({"protocol": report.protocol, "training": report.training}, indent=2, default=str),
    }
