"""Train one finished cell again, elsewhere, and compare: the same bits on the same hardware, else near numbers."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from mtlbench import verify
from mtlbench.plan import places
from mtlbench.plan.grid import Cell
from mtlbench.plan.params import Runtime
from mtlbench.runs import derived
from mtlbench.runs.manifest import Manifest, read_cell
from mtlbench.runs.store import WEIGHTS
from mtlbench.system.errors import DataError
from mtlbench.system.files import read_json
from mtlbench.verify import VerificationError

#: Relative difference of a reported metric that other hardware or another version of torch may make by default.
TOLERANCE = 0.05

#: What the bits of a result may depend on besides its spec and its data.
_SETTING = ("device", "threads", "compiled")


def reproduce(cell: Cell, runtime: Runtime, say: Callable[[str], None], tolerance: float = TOLERANCE) -> None:
    """Train ``cell`` in a temporary folder, beside its results, and compare with what its manifest records.

    On the same device, with the same number of threads and the same torch, every output must have the same bytes;
    otherwise every reported metric must agree within ``tolerance`` (relative). The recorded number of threads and
    the recorded choice of torch.compile are used. Raises VerificationError that lists the differences (before the
    training when the result or the prepared data is not what its manifest says, or the data another one), DataError
    when there is nothing to compare with.
    """
    if not cell.manifest.exists():
        raise DataError(
            f"{cell.path}: there is no result to reproduce ({cell.manifest} is absent). Run `mtlbench train "
            f"{cell.path}` or `dvc pull` first."
        )
    recorded = read_cell(cell)
    _check_before(cell, recorded)
    trained = derived.resolved(cell)
    metrics = cell.folder.absolute() / "metrics.json"
    weights = cell.checkpoint_folder.absolute() / WEIGHTS[0]
    runtime = runtime.model_copy(update={"threads": recorded.facts["threads"], "compile": recorded.facts["compiled"]})
    with tempfile.TemporaryDirectory(prefix="mtlbench-reproduce-") as folder, _elsewhere(Path(folder), trained):
        from mtlbench.training.again import differences
        from mtlbench.training.cell import run_cell

        run_cell(trained, runtime, record_divergence=True)
        again = read_cell(trained)
        problems: list[str] = []
        changed = setting_changes(recorded, again)
        if again.status != recorded.status:
            problems.append(f"it is {again.status} now, {recorded.status} was recorded")
        elif not changed:
            problems += _other_bytes(recorded, again, weights, cell.checkpoint_folder / WEIGHTS[0])
        elif recorded.status == "complete":
            before, now = (read_json(path)["reported"] for path in (metrics, cell.folder / "metrics.json"))
            problems += differences(before, now, tolerance)
    if problems:
        raise VerificationError("\n".join(f"{cell.path}: {problem}" for problem in problems))
    if changed:
        say(f"{cell.path}: every reported metric agrees within {tolerance:.1%} ({'; '.join(changed)})")
    else:
        same = again.outputs == recorded.outputs
        what = "have the same bytes" if same else "are the same; the weights' file describes itself in other words"
        say(f"{cell.path}: all {len(recorded.outputs)} outputs {what}")


def _check_before(cell: Cell, recorded: Manifest) -> None:
    """Training takes long: what would make it useless is found first."""
    problems = verify.check(cell, recorded)
    if other := derived.stale(cell, recorded):
        problems.append(other)
    if cell.dataset.manifest.exists():
        problems += verify.check_folder(cell.dataset.manifest, f"mtlbench prepare {cell.dataset.name}")
        now = Manifest.read(cell.dataset.manifest).outputs
        problems += [
            f"{cell.path}: data of '{name}' differs: prepare the dataset again"
            for name, value in recorded.data.items()
            if name not in now or now[name].sha256 != value
        ]
    if problems:
        raise VerificationError("\n".join(problems))


def setting_changes(recorded: Manifest, again: Manifest) -> list[str]:
    """In words, what differs between two manifests that can change bits."""
    pairs = [(name, recorded.facts[name], again.facts[name]) for name in _SETTING]
    before, now = (one.provenance["versions"].get("torch") for one in (recorded, again))
    pairs.append(("torch", before, now))
    found = [f"{name} {new} instead of {old}" for name, old, new in pairs if old != new]
    parts = len(recorded.facts.get("segments", []))
    return [*found, f"trained in one go instead of {parts} parts of other code or threads"] if parts > 1 else found


def _other_bytes(recorded: Manifest, again: Manifest, before: Path, now: Path) -> list[str]:
    """Outputs that differ; of the files with the weights, ``before`` and ``now``, the weights count.

    What such a file says of itself may have come later than the recorded one (version 0.2) or say more.
    """
    return [
        f"{name} has other bytes than recorded, on the same hardware and torch"
        for name, output in recorded.outputs.items()
        if again.outputs.get(name) != output
        and not (name == before.name and before.is_file() and _same_weights(before, now))
    ]


def _same_weights(one: Path, other: Path) -> bool:
    """Whether two safetensors files hold the same tensors, bit for bit, whatever they say of themselves."""
    from safetensors.torch import load_file, save

    return other.is_file() and save(load_file(one)) == save(load_file(other))


@contextlib.contextmanager
def _elsewhere(folder: Path, cell: Cell) -> Iterator[None]:
    """Work in ``folder`` with the prepared data and the weights file of this one, and with a store of its own.

    The working folder is as deep in it as the present one is, so that relative paths with ``..`` lead into it too.
    """
    here = Path.cwd()
    inside = folder / here.relative_to(here.anchor)
    inside.mkdir(parents=True)
    (inside / places.DATA).symlink_to(places.DATA.absolute())
    weights = cell.recipe.model.options.get("weights", "none")
    if weights not in ("none", "imagenet") and not Path(weights).expanduser().is_absolute():
        link = Path(os.path.normpath(inside / weights))
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to((here / weights).resolve())
    outside = os.environ.pop(places.STORE_VARIABLE, None)
    try:
        with contextlib.chdir(inside):
            yield
    finally:
        if outside is not None:
            os.environ[places.STORE_VARIABLE] = outside
