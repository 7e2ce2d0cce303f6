"""Weightings that judge the network in training by the single-task networks of the same grid, on held-out images.

A run of one needs the runs of the experiment's baseline with its seed; its key holds theirs.
"""

from mtlbench.plan.blocks import Experiment
from mtlbench.plan.registry import entry
from mtlbench.system.errors import ParamsError

#: In a spec: {task: key of the single-task run}.
REFERENCE = "reference"


def wanted(kind: str) -> bool:
    """Whether a weighting needs them."""
    return bool(entry("weightings", kind).constants.get("wants_reference", False))


def label(kind: str, experiment: Experiment) -> str:
    """The label of the single-task model whose runs this weighting needs; "" where it needs none."""
    return (experiment.baseline or "") if wanted(kind) else ""


def check(kind: str, experiment: Experiment, where: str) -> None:
    """Raise ParamsError unless the experiment measures all networks on the same held-out images after every epoch."""
    if not wanted(kind):
        return
    if experiment.protocol.name != "held_out":
        raise ParamsError(
            f"{where}: '{kind}' compares the network with single-task ones on held-out images after every epoch, so it "
            f"needs protocol: {{name: held_out}}; found {experiment.protocol.name}"
        )
    if experiment.baseline is None:
        raise ParamsError(
            f"{where}: '{kind}' compares the network with the single-task model of baseline:, which is null; name one"
        )
    if experiment.search is not None:
        raise ParamsError(
            f"{where}: expected no '{kind}' beside 'search', whose trials and final runs have settings of their own"
        )
