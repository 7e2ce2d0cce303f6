"""How many images each row was trained on, from the manifests of its cells."""

from mtlbench.report.rows.grid import Grid, Row

#: Rows that are named one by one; the others are counted.
_NAMED = 4


def unequal_images(grid: Grid) -> str:
    """A sentence that tells rows with unequal numbers of training images apart; "" when all have the same.

    A weighting that looks at held-out images (auto_lambda) trains on fewer than the other rows unless the protocol
    holds the same share out from all of them. Of domains each has images of its own, which is no inequality.
    """
    if grid.input.training.get("domains"):
        return ""
    counts: dict[str, set[tuple[int, int]]] = {row.label: _counts(row) for row in grid.rows}
    known = {pair for pairs in counts.values() for pair in pairs}
    if len(known) < 2:
        return ""
    most = max(known)
    parts = []
    for train, held_out in sorted(known - {most}, reverse=True):
        labels = [label for label, pairs in counts.items() if (train, held_out) in pairs]
        more = f" and {len(labels) - _NAMED} more" if len(labels) > _NAMED else ""
        looked = f" and looked at {held_out} held out" if held_out else ""
        parts.append(f"{', '.join(labels[:_NAMED])}{more} trained on {train} images{looked}")
    return (
        f"The rows had unequal training images: {'; '.join(parts)}; all others trained on {most[0]} "
        "(protocol.share gives every row the same)."
    )


def _counts(row: Row) -> set[tuple[int, int]]:
    """{(training, held-out images)} of the row's cells; empty where the manifests do not say."""
    images = [cell.facts.get("dataset", {}).get("images") for cell in row.done]
    return {(found["train"], found["held_out"]) for found in images if found}
