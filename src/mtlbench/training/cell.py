"""One cell from its spec to its files: find it done, continue it or train it."""

import errno
import logging
import os
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from tqdm import tqdm

from mtlbench.models._base import Model
from mtlbench.models._cost import forward_flops, parameter_count
from mtlbench.plan import keys
from mtlbench.plan.grid import Cell
from mtlbench.plan.params import Protocol, Runtime, Training
from mtlbench.plan.registry import entry
from mtlbench.runs import provenance, store
from mtlbench.system.errors import BusyError, DataError, DivergedError, Interrupted, MtlbenchError, ParamsError
from mtlbench.system.files import atomic_writer, read_json, write_json, write_text
from mtlbench.system.lease import Lease, lease
from mtlbench.tasks._base import Task, make_tasks
from mtlbench.training import device as devices
from mtlbench.training import history
from mtlbench.training.data import Split, in_batches
from mtlbench.training.evaluate import Evaluation, evaluate
from mtlbench.training.loop import Data, Hooks, Trainer
from mtlbench.training.masks import attention_masks
from mtlbench.training.processes.ranks import Ranks
from mtlbench.training.processes.signals import StopSignal
from mtlbench.training.seeds import derive
from mtlbench.weightings._base import Weighting

logger = logging.getLogger(__name__)
#: Test images whose predictions are kept for the report.
SAMPLES = 6
#: Bytes that a run holds back, so that on a full disk the reason of its failure can still be written.
RESERVE = 16384


def work_folder(key: str) -> Path:
    """Resume state, progress and log of a cell; outside everything that Snakemake or DVC removes."""
    return Path("work/cells") / key


def run_cell(cell: Cell, runtime: Runtime, wait: bool = False, record_divergence: bool = False) -> str:
    """Make the cell's results exist; return "complete" or "diverged".

    Returns at once when the manifest is there; else links in a finished result of the same key; else continues from
    the last checkpoint or starts. Raises BusyError when another process works on it or took it over (or waits for that
    one, with ``wait``), DivergedError (unless ``record_divergence``, which keeps the failure as the cell's result),
    Interrupted.
    """
    while not cell.manifest.exists():
        try:
            with lease(store.lease_file(cell.key), cell.path, wait, logger.warning) as holder:
                if not cell.manifest.exists() and not store.place(cell):
                    _train_into_store(cell, runtime, holder, record_divergence)
                    store.place(cell)
        except BusyError:
            if not wait:
                raise
    return read_json(cell.manifest)["status"]


def _train_into_store(cell: Cell, runtime: Runtime, holder: Lease, record_divergence: bool) -> None:
    with _event_log(cell, work_folder(cell.key)):
        processes = Training(**cell.spec["training"]).processes
        if processes == 1:
            _make_result(cell, runtime, holder, record_divergence)
        else:
            from mtlbench.training.processes.launch import device_names, launch

            launch(device_names(runtime, processes), _help_make_result, cell, runtime, holder, record_divergence)


def _make_result(
    cell: Cell, runtime: Runtime, holder: Lease, record_divergence: bool, ranks: Ranks | None = None
) -> None:
    work = work_folder(cell.key)
    trainer, facts = make_trainer(cell, runtime, work, ranks)
    try:
        _train(cell, trainer, holder)
        outcome = {"status": "complete"}
    except DivergedError as error:
        if not record_divergence:
            raise
        outcome = {"status": "diverged", "reason": str(error)}
    if ranks is not None:
        ranks.close()
    staged = store.staging(cell.key)
    try:
        outputs = _write_outputs(staged, trainer, outcome["status"])
        keys.write_manifest(staged, cell.spec, outputs, **outcome, **facts, **_cost(trainer), **provenance.record())
        holder.check()
    except BaseException:
        shutil.rmtree(staged)
        raise
    store.publish(staged, cell.key)
    for state in work.glob("state-*.pt"):
        state.unlink()


def _help_make_result(
    ranks: Ranks, device: str, cell: Cell, runtime: Runtime, holder: Lease, record_divergence: bool
) -> None:
    """One process of a data parallel cell: the first makes the result, the others compute with it."""
    runtime = runtime.model_copy(update={"device": device})
    if ranks.rank == 0:
        _make_result(cell, runtime, holder, record_divergence, ranks)
        return
    trainer, _ = make_trainer(cell, runtime, work_folder(cell.key), ranks)
    trainer.resume()
    with suppress(DivergedError):  # the first process tells
        trainer.run()
    ranks.close()


def note_failure(cell: Cell, reason: str) -> None:
    """Leave the reason of a failure where `mtlbench status` and the report find it."""
    work = work_folder(cell.key)
    (work / "reserve").unlink(missing_ok=True)
    with suppress(OSError):  # the disk may be what failed
        write_json(work / "failure.json", {"cell": cell.path, "reason": reason[:500]})


def _reason(error: Exception) -> str:
    """Why a run failed, for the table of `mtlbench status` and the report."""
    if isinstance(error, MtlbenchError):
        return str(error)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk or quota is full ({error}); free some space, and the next run continues"
    return f"{type(error).__name__}: {error}"


@contextmanager
def _event_log(cell: Cell, work: Path) -> Iterator[None]:
    """Append to the cell's own log, and leave the reason of a failure where the report finds it."""
    work.mkdir(parents=True, exist_ok=True)
    (work / "failure.json").unlink(missing_ok=True)
    with suppress(OSError):
        (work / "reserve").write_bytes(bytes(RESERVE))
    handler = logging.FileHandler(work / "log.txt", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    root = logging.getLogger("mtlbench")
    root.addHandler(handler)
    try:
        yield
    except (Interrupted, BusyError) as error:
        logger.info("%s: %s", cell.path, error)
        raise
    except Exception as error:
        note_failure(cell, _reason(error))
        raise
    finally:
        (work / "reserve").unlink(missing_ok=True)
        root.removeHandler(handler)
        handler.close()


def make_trainer(
    cell: Cell, runtime: Runtime, work: Path, ranks: Ranks | None = None
) -> tuple[Trainer, dict[str, Any]]:
    """The trainer of a cell at its start, and facts about its data for the manifest."""
    manifest = _dataset_manifest(cell)
    devices.make_deterministic(runtime.threads)
    training = Training(**cell.spec["training"])
    protocol = Protocol(**cell.spec["protocol"])
    devices.set_precision(training.precision)
    device = devices.choose(runtime.device)
    if runtime.compile:
        devices.check_compiler(device)
    tasks = make_tasks({name: manifest["tasks"][name] for name in cell.tasks})
    torch.manual_seed(derive(cell.seed, "weights"))
    model = build_model(cell.spec["model"], tasks, tuple(manifest["size"]))
    torch.manual_seed(derive(cell.seed, "weighting"))
    block = cell.spec["weighting"]
    weighting: Weighting = entry("weightings", block["kind"]).load()(list(tasks), **block["options"])
    data = load_data(cell, tasks, protocol, weighting, device, runtime.data)
    _check_batches(model, data, training)
    trainer = Trainer(
        model, weighting, tasks, data, training, protocol, cell.seed, device, work,
        checkpoint_seconds=runtime.checkpoint_seconds, compile=runtime.compile, ranks=ranks,
    )  # fmt: skip
    outputs = {name: output["sha256"] for name, output in manifest["outputs"].items() if name.endswith(".npy")}
    flops = forward_flops(model, tuple(manifest["size"]))
    return trainer, {
        "data": outputs,
        "parameters": parameter_count(model),
        "flops": flops,
        "compiled": runtime.compile,
        "processes": training.processes,
    }


def build_model(block: Mapping[str, Any], tasks: Mapping[str, Task], size: tuple[int, int]) -> Model:
    """The network of a spec for these tasks; raises ParamsError when it cannot take images of ``size``."""
    kind = entry("models", block["kind"]).load()
    kind.check_size(*size)
    return kind({name: task.channels for name, task in tasks.items()}, **block["options"])


def _check_batches(model: Model, data: Data, training: Training) -> None:
    smallest = min(len(part) for part in in_batches(data.train, training.batch_size, training.drop_last))
    if smallest < model.smallest_batch:
        raise ParamsError(
            f"{type(model).__name__} trains on batches of at least {model.smallest_batch} images, but "
            f"{len(data.train)} training images in batches of {training.batch_size} leave one of {smallest}. "
            "Set training.drop_last: true or another training.batch_size."
        )


def load_data(
    cell: Cell, tasks: Mapping[str, Task], protocol: Protocol, weighting: Weighting, device: torch.device, place: str
) -> Data:
    """Both splits on the device, and which training images are held out."""
    train = Split(cell.dataset.folder / "train", list(tasks), device, place)
    test = Split(cell.dataset.folder / "test", list(tasks), device, place)
    share = protocol.share
    if share is None and weighting.wants_held_out:
        share = weighting.held_out_share
    if share is None:
        return Data(train, test, torch.arange(train.count), torch.empty(0, dtype=torch.int64))
    from mtlbench.datasets.prepared.held_out import held_out_indices

    kept, held_out = held_out_indices(train.count, train.groups, share, seed=0)
    return Data(train, test, torch.as_tensor(kept), torch.as_tensor(held_out))


def _dataset_manifest(cell: Cell) -> dict[str, Any]:
    if not cell.dataset.manifest.exists():
        raise DataError(
            f"{cell.path}: the dataset '{cell.dataset.name}' is not prepared for these settings "
            f"({cell.dataset.manifest} is absent). Run `mtlbench prepare {cell.dataset.name}`, or let Snakemake do it."
        )
    return read_json(cell.dataset.manifest)


def _train(cell: Cell, trainer: Trainer, holder: Lease) -> None:
    pid = os.getpid() if trainer.ranks is None else os.getppid()  # the process that holds the lease
    place = f"on {socket.gethostname()}, process {pid}"
    if trainer.resume():
        logger.info("%s: continuing in epoch %d after step %d %s", cell.path, trainer.epoch + 1, trainer.step, place)
    else:
        logger.info("%s: starting %s", cell.path, place)
    epochs = trainer.training.epochs
    with ExitStack() as stack:
        signals = stack.enter_context(StopSignal())
        quiet = not sys.stderr.isatty()
        bar = stack.enter_context(
            tqdm(total=epochs, initial=trainer.epoch, desc=cell.path, disable=quiet, unit="epoch")
        )
        progress = _Progress(cell, epochs, trainer.work / "progress.json", trainer.epoch, pid)

        def epoch_done(row: Mapping[str, Any]) -> None:
            bar.update()
            text = " ".join(f"{task} {row[f'train_loss_{task}']:.4f}" for task in trainer.tasks)
            bar.set_postfix_str(text)
            logger.info("%s: epoch %d/%d, training loss: %s", cell.path, row["epoch"] + 1, epochs, text)

        def advance(epoch: int, step: int, steps: int) -> None:
            if progress.advance(epoch + step / steps):
                holder.check()

        trainer.hooks = Hooks(lambda: signals.received, advance, epoch_done, holder.check)
        trainer.run()


class _Progress:
    """``progress.json`` for `mtlbench status`: written every two seconds at most."""

    def __init__(self, cell: Cell, epochs: int, path: Path, start: float, pid: int) -> None:
        self.base = {"cell": cell.path, "epochs": epochs, "host": socket.gethostname(), "pid": pid}
        self.path = path
        self.start = (time.monotonic(), start)
        self.written = float("-inf")

    def advance(self, position: float) -> bool:
        """Note the position in epochs; True when it was written."""
        now = time.monotonic()
        if now - self.written < 2:
            return False
        self.written = now
        rate = (now - self.start[0]) / max(position - self.start[1], 1e-9)
        write_json(self.path, {**self.base, "epoch": position, "seconds_per_epoch": rate, "updated": time.time()})
        return True


def _write_outputs(staged: Path, trainer: Trainer, status: str) -> dict[str, Path]:
    write_text(staged / "history.csv", history.to_csv(trainer.rows))
    if status == "complete":
        if trainer.best is not None:
            trainer.model.load_state_dict(trainer.best["model"])
        everything = torch.arange(trainer.data.test_split.count)
        final = evaluate(trainer.model, trainer.tasks, trainer.data.test_split, everything, trainer.training.precision)
        write_json(staged / "metrics.json", history.without_nan(summarise(trainer, final)))
        _write_arrays(staged / "per_image.npz", {
            f"{task}/{name}": values for task, found in final.per_image.items() for name, values in found.items()
        })  # fmt: skip
        _write_arrays(staged / "samples.npz", _samples(trainer))
        state = {name: value.cpu().contiguous() for name, value in trainer.model.state_dict().items()}
        with atomic_writer(staged / "model.safetensors") as file:
            file.write(safetensors.torch.save(state))
    return {path.name: path for path in sorted(staged.iterdir())}


def summarise(trainer: Trainer, final: Evaluation) -> dict[str, Any]:
    """``metrics.json``: the reported numbers and the same under the other rules in use."""
    names = trainer.metric_names
    rows = trainer.rows
    found: dict[str, Any] = {"protocol": trainer.protocol.model_dump(), "final": final.metrics}
    if f"test_loss_{next(iter(names))}" in rows[-1]:
        found["last"] = history.at_epoch(rows, len(rows) - 1, "test", names)
        found["mean_last_10"] = history.mean_of_last(rows, history.LAST, "test", names)
        best = history.best_epoch(rows, "test", list(names))
        found["best_on_test"] = history.at_epoch(rows, best, "test", names)
    if trainer.best is not None:
        found["best_on_held_out"] = found["reported"] = final.metrics
        found["best_epoch"] = trainer.best["epoch"]
    else:
        assert trainer.protocol.last_epochs is not None
        found["reported"] = history.mean_of_last(rows, trainer.protocol.last_epochs, "test", names)
    return found


@torch.no_grad()
def _samples(trainer: Trainer) -> dict[str, np.ndarray]:
    """A few test images, evenly spaced, with targets, decoded predictions and the network's attention masks."""
    split = trainer.data.test_split
    indices = torch.linspace(0, split.count - 1, min(SAMPLES, split.count)).round().long()
    batch = split.batch(indices)
    trainer.model.eval()
    with devices.autocast(trainer.device, trainer.training.precision):
        raw = trainer.model(batch["image"])
        masks = attention_masks(trainer.model, batch["image"], list(trainer.tasks))
    found = {
        "indices": indices.numpy(),
        "image": split.arrays["image"][indices.to(split.arrays["image"].device)].cpu().numpy(),
    }
    for name, task in trainer.tasks.items():
        targets = split.arrays[name]
        found[f"target_{name}"] = targets[indices.to(targets.device)].cpu().numpy()
        found[f"prediction_{name}"] = task.decode(task.activate(raw[name])).to(targets.dtype).cpu().numpy()
    return found | masks


def _write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with atomic_writer(path) as file:
        np.savez_compressed(file, **{name: _compact(values) for name, values in arrays.items()})  # type: ignore[arg-type]


def _compact(values: np.ndarray) -> np.ndarray:
    """Counts in the smallest unsigned type that holds them."""
    if values.dtype != np.int64 or values.size == 0 or values.min() < 0:
        return values
    return values.astype(np.min_scalar_type(int(values.max())))


@torch.no_grad()
def _cost(trainer: Trainer) -> dict[str, Any]:
    """Time and memory of this run, for the cost tables; never part of the numbers that are compared bit by bit."""
    trainer.model.eval()
    batch = trainer.data.test_split.batch(torch.arange(1))
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        with devices.autocast(trainer.device, trainer.training.precision):
            trainer.model(batch["image"])
        if trainer.device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - begin)
    return {
        "device": devices.describe(trainer.device),
        "threads": torch.get_num_threads(),
        "seconds_total": trainer.seconds,
        "seconds_per_epoch": trainer.seconds / max(trainer.epoch, 1),
        "inference_seconds_per_image": float(np.median(times)),
        "peak_memory_bytes": devices.peak_memory(trainer.device),
    }
