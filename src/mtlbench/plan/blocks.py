"""The blocks of params.yaml: every key with its type, its bounds and what it means."""

import re
from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field, PrivateAttr

from mtlbench.plan import shared
from mtlbench.plan.block import Block as _Block
from mtlbench.plan.block import Seed
from mtlbench.plan.parts import Parts
from mtlbench.plan.phases import SecondPhase
from mtlbench.plan.search_block import SearchBlock
from mtlbench.system.errors import ParamsError

#: Fresh seeds of a search that names none.
FINAL_SEEDS = 5


class Runtime(_Block):
    """How to run, never what comes out: nothing here enters a key."""

    device: Annotated[str, Field(description="where to train: auto (a GPU when there is one), cpu, cuda or cuda:1")]
    threads: Annotated[int, Field(ge=1, le=1024, description="CPU threads of one training process")]
    workers: Annotated[int, Field(ge=1, le=1024, description="processes that prepare a dataset or draw a report")]
    checkpoint_seconds: Annotated[float, Field(ge=0, description="seconds between checkpoints; 0 saves every epoch")]
    compile: Annotated[bool, Field(description="torch.compile the network (true or false)")]
    data: Annotated[
        Literal["auto", "device", "host"],
        Field(description="where the prepared arrays stay: on the device, in pinned memory, or auto by size"),
    ]
    tracker: Annotated[
        Literal["none", "tensorboard", "dvclive", "mlflow"],
        Field(description="where else each run is written while it trains (the extra `trackers`); changes no number"),
    ] = "none"

    @pydantic.field_validator("device")
    @classmethod
    def _known_device(cls, device: str) -> str:
        if re.fullmatch(r"auto|cpu|cuda(:[0-9]{1,4})?", device) is None:
            raise ValueError("expected auto, cpu, cuda or cuda:<n>")
        return device


class Optimizer(_Block):
    """The optimiser of network and weighting parameters."""

    name: Annotated[Literal["adam", "adamw", "sgd"], Field(description="adam, adamw or sgd")]
    learning_rate: Annotated[float, Field(gt=0, description="initial learning rate")]
    weight_decay: Annotated[float, Field(ge=0, description="weight decay (L2 for adam and sgd)")]
    momentum: Annotated[float, Field(ge=0, lt=1, description="momentum, sgd only")] = 0.0
    nesterov: Annotated[bool, Field(description="Nesterov momentum, sgd only")] = False

    @pydantic.model_validator(mode="after")
    def _momentum_matters(self) -> "Optimizer":
        if self.name != "sgd" and (self.momentum or self.nesterov):
            raise ValueError(f"'momentum' and 'nesterov' belong to sgd; they would change nothing with {self.name}")
        if self.nesterov and not self.momentum:
            raise ValueError("'nesterov' needs a momentum above 0")
        return self


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

    scales: Annotated[
        list[Annotated[float, Field(ge=1, le=16)]],
        Field(min_length=1, description="zoom factors to draw from, each from 1 to 16"),
    ]
    flip: Annotated[bool, Field(description="mirror half of the images")]
    compat: Annotated[
        Literal["none", "mtan", "nash", "auto_lambda"],
        Field(description="none: exact geometry; otherwise the published code whose geometry is reproduced"),
    ] = "none"


class Training(_Block):
    """All settings of a training run; every one of them is part of the key."""

    epochs: Annotated[int, Field(ge=1, le=1_000_000, description="passes over the training images")]
    batch_size: Annotated[int, Field(ge=1, le=1_000_000, description="images in one step, over all processes together")]
    optimizer: Optimizer
    schedule: Schedule
    drop_last: Annotated[bool, Field(description="leave out an incomplete last batch of an epoch")]
    precision: Annotated[
        Literal["float32", "tf32", "bfloat16"], Field(description="float32, tf32 (GPU) or bfloat16 (autocast)")
    ]
    augmentation: Annotated[Augmentation | None, Field(description="augmentation, or null for none")]
    processes: Annotated[
        int,
        Field(
            ge=1,
            le=1024,
            description="data parallel processes that share each step, on GPUs one for each; 1 unless set",
        ),
    ] = 1
    domains: Annotated[
        Literal["together", "interleaved", "in_turn"] | None,
        Field(
            description="data sets of several domains only: together (a step has a batch of every domain), interleaved "
            "(a batch of one domain, in random order) or in_turn (one domain after the other in each epoch)"
        ),
    ] = None

    parts: Parts = {}
    second_phase: Annotated[
        SecondPhase | None, Field(description="data sets of several domains only: last epochs without some of them")
    ] = None

    @property
    def first_epochs(self) -> int:
        """The epochs in which all domains are trained and ``schedule`` sets the learning rate."""
        return self.epochs - (self.second_phase.epochs if self.second_phase else 0)

    @pydantic.model_validator(mode="after")
    def _images_for_all(self) -> "Training":
        if self.batch_size < self.processes:
            raise ValueError(f"a batch of {self.batch_size} has no image for each of the {self.processes} processes")
        return self

    @pydantic.model_serializer(mode="wrap")
    def _without_defaults(self, dump: pydantic.SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What is not chosen is left out of specs: keys are what they were before there was a choice."""
        values = dump(self)
        if not self.parts:
            values.pop("parts", None)
        for name in ("domains", "second_phase"):
            if getattr(self, name) is None:
                values.pop(name, None)
        if self.processes == 1:
            values.pop("processes", None)
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
        if self.name == "paper" and self.record_test:
            raise ValueError("'record_test' belongs to held_out; the protocol 'paper' records the test set anyway")
        return self


class Resources(_Block):
    """What one training run asks of a cluster; not part of any key."""

    gpu: Annotated[int, Field(ge=0, le=1024, description="GPUs")]
    memory_mb: Annotated[int, Field(ge=1, le=100_000_000, description="megabytes of memory")]
    minutes: Annotated[int, Field(ge=1, le=525_600, description="wall-clock limit in minutes of one run")]
    cells_per_job: Annotated[
        int, Field(ge=1, le=100_000, description="short runs that share a job of the cluster, one after the other")
    ] = 1
    cells_at_once: Annotated[
        int,
        Field(
            ge=1, le=1024, description="of those how many train at the same time: on one GPU, which small ones share"
        ),
    ] = 1

    @pydantic.model_validator(mode="after")
    def _at_once(self) -> "Resources":
        if self.cells_at_once > self.cells_per_job:
            raise ValueError(
                f"cells_at_once: expected at most cells_per_job ({self.cells_per_job}), found {self.cells_at_once}"
            )
        return self


class Experiment(_Block):
    """A dataset, a protocol and a grid of models x weightings x seeds: one report."""

    title: Annotated[str, Field(min_length=1, description="the report's heading")]
    dataset: Annotated[str, Field(description="a name under datasets:")]
    tasks: Annotated[list[str], Field(min_length=1, description="tasks of the dataset, in the order of the table")]
    task_options: Annotated[
        dict[str, dict[str, Any]], Field(description="task: {option: value}, beside what the dataset says of it")
    ] = {}
    protocol: Protocol
    baseline: Annotated[str | None, Field(description="label of the single-task model of Delta_m, or null")]
    baseline_errors: Annotated[
        dict[str, Annotated[float, Field(gt=0, lt=1)]],
        Field(
            description="domain: share of wrong images of a network for it alone, by which the score S of the Visual "
            "Decathlon is measured; {}: those of the baseline's runs"
        ),
    ] = {}
    models: Annotated[dict[str, dict[str, Any]], Field(min_length=1, description="label: {kind:, options}")]
    weightings: Annotated[dict[str, dict[str, Any]], Field(min_length=1, description="label: {kind:, options}")]
    seeds: Annotated[list[Seed], Field(min_length=1, description="integers from 0 to 2**32 - 1, one run each")]
    training: Training
    search: Annotated[
        SearchBlock | None, Field(description="equal trials for every row; seeds, training and protocol: of final runs")
    ] = None
    resources: Resources

    @pydantic.model_validator(mode="before")
    @classmethod
    def _five_final_seeds(cls, value: Any) -> Any:
        """A search without seeds trains each chosen setting with five."""
        if isinstance(value, dict) and value.get("search") and "seeds" not in value:
            return {**value, "seeds": list(range(FINAL_SEEDS))}
        return value


class Grid(_Block):
    """What is compared; experiments that name it take these values, and their own replace single ones."""

    baseline: Annotated[str | None, Field(description="label of the single-task model of Delta_m, or null")] = None
    models: Annotated[dict[str, dict[str, Any]], Field(description="label: {kind:, options}")] = {}
    weightings: Annotated[dict[str, dict[str, Any]], Field(description="label: {kind:, options}")] = {}
    seeds: Annotated[list[Seed], Field(description="integers from 0 to 2**32 - 1, one run each")] = []
    resources: Resources | None = None


class Shared(_Block):
    """Blocks with a name, taken by the experiments that name them."""

    protocols: Annotated[dict[str, Protocol], Field(description="name: protocol, for `use:` in experiments")] = {}
    trainings: Annotated[dict[str, Training], Field(description="name: training, for `use:` in experiments")] = {}
    grids: Annotated[dict[str, Grid], Field(description="name: what is compared, for `grid:` in experiments")] = {}


class Params(Shared):
    """The whole of params.yaml, with every experiment written out (shared.py)."""

    _written: dict[str, str] = PrivateAttr(default_factory=dict)

    extensions: Annotated[
        list[str],
        Field(description="folders with models/, weightings/, datasets/, tasks/ of your own, relative to this file"),
    ] = []
    run: Annotated[list[str], Field(min_length=1, description="experiments built when no target is named")]
    runtime: Runtime
    datasets: Annotated[dict[str, dict[str, Any]], Field(min_length=1, description="name: {kind:, source:, options}")]
    experiments: Annotated[dict[str, Experiment], Field(min_length=1, description="name: experiment")]

    def place(self, path: str) -> str:
        """A path such as ``experiments.x.training.epochs`` and, when it is of a shared block, where it is written."""
        return shared.place(path, self._written)

    def located(self, error: ParamsError) -> ParamsError:
        """The same error with the place of each line's path."""
        return ParamsError(shared.located(str(error), self._written))
