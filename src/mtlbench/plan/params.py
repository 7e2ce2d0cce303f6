"""params.yaml: the only place where an experiment is described, validated once, before anything runs."""

import functools
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import BaseModel, ConfigDict, Field
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from mtlbench.plan import extensions, names
from mtlbench.plan.registry import check_options, entry, explain
from mtlbench.plan.sources import check_source
from mtlbench.system.errors import ParamsError, nearest

_LABEL = re.compile(r"[a-z][a-z0-9_]*")


class _Block(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, protected_namespaces=())


class Runtime(_Block):
    """How to run, never what comes out: nothing here enters a key."""

    device: Annotated[str, Field(description="where to train: auto (a GPU when there is one), cpu, cuda or cuda:1")]
    threads: Annotated[int, Field(ge=1, description="CPU threads of one training process")]
    workers: Annotated[int, Field(ge=1, description="processes that prepare a dataset or draw a report")]
    checkpoint_seconds: Annotated[float, Field(ge=0, description="seconds between checkpoints; 0 saves every epoch")]
    compile: Annotated[bool, Field(description="torch.compile the network (true or false)")]
    data: Annotated[
        Literal["auto", "device", "host"],
        Field(description="where the prepared arrays stay: on the device, in pinned memory, or auto by size"),
    ]


class Optimizer(_Block):
    """The optimiser of network and weighting parameters."""

    name: Annotated[Literal["adam", "adamw", "sgd"], Field(description="adam, adamw or sgd")]
    learning_rate: Annotated[float, Field(gt=0, description="initial learning rate")]
    weight_decay: Annotated[float, Field(ge=0, description="weight decay (L2 for adam and sgd)")]
    momentum: Annotated[float, Field(ge=0, lt=1, description="momentum, sgd only")] = 0.0
    nesterov: Annotated[bool, Field(description="Nesterov momentum, sgd only")] = False


class Schedule(_Block):
    """The learning rate over the epochs."""

    name: Annotated[Literal["constant", "step", "cosine"], Field(description="constant, step or cosine (to zero)")]
    every: Annotated[int | None, Field(ge=1, description="step: epochs between two drops")] = None
    factor: Annotated[float | None, Field(gt=0, le=1, description="step: factor of each drop")] = None

    @pydantic.model_validator(mode="after")
    def _complete(self) -> "Schedule":
        given = (self.every is not None) + (self.factor is not None)
        if given != (2 if self.name == "step" else 0):
            raise ValueError("'every' and 'factor' belong to the step schedule, and only to it")
        return self


class Augmentation(_Block):
    """Random geometry of the training images, the same for all maps of an image."""

    scales: Annotated[list[float], Field(min_length=1, description="zoom factors to draw from, each at least 1")]
    flip: Annotated[bool, Field(description="mirror half of the images")]
    compat: Annotated[
        Literal["none", "mtan", "nash", "auto_lambda"],
        Field(description="none: exact geometry; otherwise the published code whose geometry is reproduced"),
    ] = "none"


class Training(_Block):
    """All settings of a training run; every one of them is part of the key."""

    epochs: Annotated[int, Field(ge=1, description="passes over the training images")]
    batch_size: Annotated[int, Field(ge=1, description="images in one step, over all processes together")]
    optimizer: Optimizer
    schedule: Schedule
    drop_last: Annotated[bool, Field(description="leave out an incomplete last batch of an epoch")]
    precision: Annotated[
        Literal["float32", "tf32", "bfloat16"], Field(description="float32, tf32 (GPU) or bfloat16 (autocast)")
    ]
    augmentation: Annotated[Augmentation | None, Field(description="augmentation, or null for none")]
    processes: Annotated[
        int, Field(ge=1, description="data parallel processes that share each step, on GPUs one for each; 1 unless set")
    ] = 1

    @pydantic.model_validator(mode="after")
    def _images_for_all(self) -> "Training":
        if self.batch_size < self.processes:
            raise ValueError(f"a batch of {self.batch_size} has no image for each of the {self.processes} processes")
        return self

    @pydantic.model_serializer(mode="wrap")
    def _without_one_process(self, dump: pydantic.SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A single process is left out of specs, so keys are what they were before there was a choice."""
        values = dump(self)
        if self.processes == 1:
            del values["processes"]
        return values


class Protocol(_Block):
    """Which epoch's numbers are reported."""

    name: Annotated[
        Literal["paper", "held_out"],
        Field(
            description="paper: test set after every epoch, mean of the last ones; held_out: selection on a "
            "split of the training set and one test evaluation"
        ),
    ]
    last_epochs: Annotated[int | None, Field(ge=1, description="paper: epochs averaged")] = None
    share: Annotated[
        float | None,
        Field(
            gt=0,
            lt=1,
            description="share of the training images held out from every row: for the selection of held_out; under "
            "paper, so that all rows train on the images that a weighting with held-out images (auto_lambda) has",
        ),
    ] = None
    record_test: Annotated[
        bool, Field(description="held_out: also record the test set every epoch, to measure the optimism of others")
    ] = False

    @pydantic.model_validator(mode="after")
    def _complete(self) -> "Protocol":
        if self.name == "paper" and self.last_epochs is None:
            raise ValueError("the protocol 'paper' needs 'last_epochs'")
        if self.name == "held_out" and (self.share is None or self.last_epochs is not None):
            raise ValueError("the protocol 'held_out' needs 'share' and takes no 'last_epochs'")
        return self


class Resources(_Block):
    """What one training run asks of a cluster; not part of any key."""

    gpu: Annotated[int, Field(ge=0, description="GPUs")]
    memory_mb: Annotated[int, Field(ge=1, description="megabytes of memory")]
    minutes: Annotated[int, Field(ge=1, description="wall-clock limit in minutes of one run")]
    cells_per_job: Annotated[
        int, Field(ge=1, description="short runs that share a job of the cluster, one after the other")
    ] = 1


class Experiment(_Block):
    """A dataset, a protocol and a grid of models x weightings x seeds: one report."""

    title: Annotated[str, Field(min_length=1, description="the report's heading")]
    dataset: Annotated[str, Field(description="a name under datasets:")]
    tasks: Annotated[list[str], Field(min_length=1, description="tasks of the dataset, in the order of the table")]
    protocol: Protocol
    baseline: Annotated[str | None, Field(description="label of the single-task model of Delta_m, or null")]
    models: Annotated[dict[str, dict[str, Any]], Field(min_length=1, description="label: {kind:, options}")]
    weightings: Annotated[dict[str, dict[str, Any]], Field(min_length=1, description="label: {kind:, options}")]
    seeds: Annotated[list[int], Field(min_length=1, description="integers, one run each")]
    training: Training
    resources: Resources


class Params(_Block):
    """The whole of params.yaml."""

    extensions: Annotated[
        list[str],
        Field(description="folders with models/, weightings/, datasets/, tasks/ of your own, relative to this file"),
    ] = []
    run: Annotated[list[str], Field(min_length=1, description="experiments built when no target is named")]
    runtime: Runtime
    datasets: Annotated[dict[str, dict[str, Any]], Field(min_length=1, description="name: {kind:, source:, options}")]
    experiments: Annotated[dict[str, Experiment], Field(min_length=1, description="name: experiment")]


def load(path: Path | str = "params.yaml") -> Params:
    """The validated parameters; raises ParamsError naming the key, what was expected and what was found.

    The folders under ``extensions:`` are in use from here on, in this process and in those that it starts.
    """
    path = Path(path)
    try:
        stamp = path.stat()
    except OSError:
        raise ParamsError(f"{path}: no such file. Run the command in the folder that holds params.yaml.") from None
    key = (path.resolve(), stamp.st_mtime_ns, stamp.st_size)
    _use_extensions(_parse(*key), path)
    return _load(*key)


def use_extensions(path: Path) -> None:
    """Take entries from the extensions of this file, whatever else is wrong with it; none without the file."""
    if path.exists():
        stamp = path.stat()
        _use_extensions(_parse(path.resolve(), stamp.st_mtime_ns, stamp.st_size), path)


def _use_extensions(value: Any, path: Path) -> None:
    names = value.get("extensions", []) if isinstance(value, dict) else []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ParamsError(f"{path.name}: extensions: expected a list of folders, found {names!r}")
    try:
        extensions.use(names, path.resolve().parent)
    except ParamsError as error:
        raise ParamsError(f"{path.name}: {error}") from None


@functools.lru_cache(maxsize=8)
def _parse(path: Path, _mtime: int, _size: int) -> Any:
    try:
        # YAML 1.2, as DVC reads it: 1e-3 is a number there and 'yes' a word.
        return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path.name}: not valid YAML: {error}") from None


@functools.lru_cache(maxsize=8)
def _load(path: Path, mtime: int, size: int) -> Params:
    return validate(_parse(path, mtime, size), path.name)


def validate(value: Any, where: str = "params.yaml") -> Params:
    """Parameters from plain dicts and lists."""
    if not isinstance(value, dict):
        raise ParamsError(f"{where}: expected a mapping with the keys {', '.join(Params.model_fields)}")
    try:
        params = Params(**value)
    except pydantic.ValidationError as error:
        raise ParamsError("\n".join(f"{where}: {line}" for line in explain(error, Params, ""))) from None
    try:
        _check_names(params)
        for name, block in params.datasets.items():
            split_kind("datasets", name, block, f"datasets.{name}", extra=("source",))
            check_source(block.get("source"), f"datasets.{name}.source")
        for name, experiment in params.experiments.items():
            _check_experiment(params, name, experiment)
    except ParamsError as error:
        raise ParamsError("\n".join(f"{where}: {line}" for line in str(error).split("\n"))) from None
    return params


def split_kind(
    kind: str, label: str, block: dict[str, Any] | None, where: str, extra: tuple[str, ...] = ()
) -> tuple[str, dict[str, Any]]:
    """(entry name, complete checked options) of one block such as ``dwa: {temperature: 2}``.

    ``kind:`` in the block names the entry when the label does not.
    """
    block = dict(block or {})
    name = block.pop("kind", label)
    for key in extra:
        block.pop(key, None)
    try:
        entry(kind, name)
    except ParamsError as error:
        raise ParamsError(f"{where}: {error}") from None
    return name, check_options(kind, name, block, where)


def _check_names(params: Params) -> None:
    labels = [("run", "experiments", name) for name in params.experiments]
    labels += [("datasets", "datasets", name) for name in params.datasets]
    for name, experiment in params.experiments.items():
        labels += [("", f"experiments.{name}.models", label) for label in experiment.models]
        labels += [("", f"experiments.{name}.weightings", label) for label in experiment.weightings]
    for _, where, label in labels:
        if not _LABEL.fullmatch(label):
            raise ParamsError(f"{where}: expected a name of lower-case letters, digits and _, found '{label}'")
    for name in params.experiments:
        if names.taken(name, params.experiments):
            raise ParamsError(f"experiments.{name}: the name is taken by a rule of the workflow; choose another")
    for name in params.run:
        if name not in params.experiments:
            raise ParamsError(f"run: unknown experiment '{name}'. {nearest(name, params.experiments)}")


def _check_experiment(params: Params, name: str, experiment: Experiment) -> None:
    where = f"experiments.{name}"
    if experiment.dataset not in params.datasets:
        raise ParamsError(
            f"{where}.dataset: unknown '{experiment.dataset}'. {nearest(experiment.dataset, params.datasets)}"
        )
    for label, block in experiment.models.items():
        split_kind("models", label, block, f"{where}.models.{label}")
    for label, block in experiment.weightings.items():
        if label.startswith(names.ONLY):
            raise ParamsError(f"{where}.weightings.{label}: labels with '{names.ONLY}' first name single-task runs")
        split_kind("weightings", label, block, f"{where}.weightings.{label}")
    for what in ("seeds", "tasks"):
        values = getattr(experiment, what)
        if len(set(values)) != len(values):
            raise ParamsError(f"{where}.{what}: expected different values, found {values}")
    if experiment.baseline is not None and experiment.baseline not in experiment.models:
        raise ParamsError(
            f"{where}.baseline: '{experiment.baseline}' is not one of its models. "
            f"{nearest(experiment.baseline, experiment.models)}"
        )
    last = experiment.protocol.last_epochs
    if last is not None and last > experiment.training.epochs:
        raise ParamsError(
            f"{where}.protocol.last_epochs: expected at most the {experiment.training.epochs} epochs of training, "
            f"found {last}"
        )
    gpus, processes = experiment.resources.gpu, experiment.training.processes
    if 0 < gpus < processes:
        raise ParamsError(
            f"{where}.resources.gpu: expected a GPU for each of the {processes} processes of training.processes (or 0 "
            f"for CPUs), found {gpus}"
        )
    augmentation = experiment.training.augmentation
    if augmentation is not None and min(augmentation.scales) < 1:
        raise ParamsError(
            f"{where}.training.augmentation.scales: expected values of at least 1, found {augmentation.scales}"
        )
