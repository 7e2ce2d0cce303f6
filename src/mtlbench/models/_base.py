"""What a model is: an image batch in, one raw map per task out."""

import copy
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from mtlbench.system.errors import ParamsError


class Model(nn.Module):
    """A network of one or several tasks; this class itself: for dense prediction.

    The constructor takes ``tasks`` = {task name: output channels} and keyword-only hyper-parameters. Weights
    are drawn from torch's global generator, which the caller seeds.
    """

    #: Networks that share a backbone ("segnet", "resnet"); the report groups by it.
    family: ClassVar[str]
    #: Where the architecture comes from: "Author et al., venue year (arXiv number)".
    paper: ClassVar[str]
    #: Its name in tables and figures, for people; without one the class's name serves.
    display: ClassVar[str] = ""
    #: The title of the paper, for the bibliography.
    paper_title: ClassVar[str] = ""
    #: True for a network of one task: a grid then trains one cell per task and joins them in one row.
    single_task: ClassVar[bool] = False
    #: Height and width must be multiples of this.
    size_multiple: ClassVar[int] = 1
    #: Images that a training batch needs (BatchNorm of features without a width needs two).
    smallest_batch: ClassVar[int] = 1
    #: "maps" (a value for every pixel) or "classes" (see :class:`Classifier`); a literal in the class body.
    predicts: ClassVar[str] = "maps"
    #: (part, attribute) pairs: what ``training.parts`` may set a learning rate for; a literal in the class body.
    parts: ClassVar[tuple[tuple[str, str], ...]] = ()
    #: The single-task model whose trained networks the towers of this one can start from; "" for none; a literal.
    towers_of: ClassVar[str] = ""
    #: (attribute, attribute) pairs: this model's part with an entry for each task, and the same part of that
    #: single-task model, where {task} is the task; a literal.
    towers: ClassVar[tuple[tuple[str, str], ...]] = ()
    #: Auxiliary predictions of every task in training, {name: multiple of its loss}; a constructor may set others.
    auxiliary: Mapping[str, float] = MappingProxyType({})

    def __init__(self, tasks: Mapping[str, int]) -> None:
        super().__init__()
        if not tasks:
            raise ParamsError(f"{type(self).__name__}: expected at least one task, found none")
        if self.single_task and len(tasks) != 1:
            raise ParamsError(f"{type(self).__name__}: expected one task, found {len(tasks)}: {', '.join(tasks)}")
        for task in tasks:
            if not task or "." in task or hasattr(nn.ModuleDict(), task):
                raise ParamsError(
                    f"{type(self).__name__}: task '{task}' cannot name parts of a network: expected no empty name, no "
                    "dot and none of PyTorch's own words ('train', 'type'). Rename the task or domain."
                )
        self.tasks = dict(tasks)
        self.register_forward_pre_hook(_check_image)

    @abstractmethod
    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Raw maps {task: (N, channels, H, W)} of an image batch (N, 3, H, W) with values in [0, 1].

        No activation: logits, metres, unnormalised normals; the task's ``activate`` and ``loss`` do the rest. While
        ``self.training`` is true, a model with ``auxiliary`` predictions adds them under ``<task>/<name>``, raw maps of
        any size (see :func:`auxiliary_name`); otherwise it neither returns nor computes them.
        """

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Called before the first step of an epoch (from 0) of ``epochs``, and again when one is continued.

        For what follows a schedule. It may depend on nothing else, since it is no part of the state.
        """

    def found(self) -> dict[str, Any]:
        """What training found beside weights, for the manifest; empty for most networks."""
        return {}

    @classmethod
    def check_size(cls, height: int, width: int) -> None:
        """Raise ParamsError when the model cannot take images of this size."""
        multiple = cls.size_multiple
        if height % multiple or width % multiple:
            near = [max(multiple, round(side / multiple) * multiple) for side in (height, width)]
            raise ParamsError(
                f"{cls.__name__}: expected image height and width divisible by {multiple}, found {height}x{width}. "
                f"Set the dataset's size in params.yaml to {near[0]}x{near[1]}, for example."
            )


class Classifier(Model):
    """A network that names one class of each image for every task; ``tasks`` = {task name: number of classes}.

    Either each task has images of its own (a domain), and a batch belongs to one of them, or all tasks look at the same
    images. In its class body a classifier says ``predicts = "classes"`` again, which is read without importing it.
    """

    predicts: ClassVar[str] = "classes"

    @abstractmethod
    def forward(self, image: Tensor, only: Sequence[str] | None = None) -> dict[str, Tensor]:
        """Logits {task: (N, classes)} of an image batch (N, 3, H, W) with values in [0, 1]; any H and W.

        ``only`` names the tasks to compute, some of ``self.tasks``; None: all of them. The logits of a task do not
        depend on ``only``, their order is that of ``self.tasks``, and parts that no named task needs are not computed:
        in a step with one domain their BatchNorm statistics stay, and their parameters get no gradient.
        """

    def chosen(self, only: Sequence[str] | None) -> list[str]:
        """The tasks that ``only`` asks for, in the order of ``self.tasks``; ValueError for another name."""
        unknown = [task for task in only or () if task not in self.tasks]
        if unknown:
            raise ValueError(
                f"{type(self).__name__}: expected tasks among {', '.join(self.tasks)}, found {unknown[0]!r}"
            )
        return [task for task in self.tasks if only is None or task in only]


def auxiliary_name(task: str, name: str) -> str:
    """The key of a task's auxiliary prediction among the outputs of a model in training."""
    return f"{task}/{name}"


def part_parameters(model: Model, part: str) -> list[nn.Parameter]:
    """The parameters of a part that the model names, in the order of ``model.parameters()``."""
    attributes = [attribute for name, attribute in model.parts if name == part]
    return [parameter for name, parameter in model.named_parameters() if name.partition(".")[0] in attributes]


def outputs_by_task(model: Model, outputs: Mapping[str, Tensor]) -> dict[str, list[Tensor]]:
    """{task: its final and its auxiliary outputs} from what a model returned."""
    found: dict[str, list[Tensor]] = {}
    for key, output in outputs.items():
        found.setdefault(key if key in model.tasks else key.rpartition("/")[0], []).append(output)
    return found


def _check_image(model: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    model.check_size(*inputs[0].shape[-2:])


def meta_twin(model: Model) -> Model:
    """A copy of the model on the meta device (shapes without data); the weights are not copied on the way."""
    tensors = [*model.parameters(), *model.buffers()]
    return copy.deepcopy(model, {id(tensor): _shape_of(tensor) for tensor in tensors})


def _shape_of(tensor: Tensor) -> Tensor:
    shape = torch.empty_like(tensor, device="meta")
    return nn.Parameter(shape, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else shape


def parameter_owners(model: Model, size: tuple[int, int] | None = None) -> dict[str, frozenset[str]]:
    """Which tasks' losses reach each parameter: {parameter name: task names}.

    Found by a forward pass on meta tensors (shapes without data) and by following each task's output back
    through the graph that autograd recorded, so it costs no arithmetic and no list is kept by hand. ``size`` is
    (height, width); default twice ``size_multiple``.
    """
    twin = meta_twin(model).train()
    reached = {task: _leaves(found) for task, found in outputs_by_task(twin, meta_outputs(twin, size)).items()}
    return {
        name: frozenset(task for task, leaves in reached.items() if parameter in leaves)
        for name, parameter in twin.named_parameters()
    }


def meta_outputs(twin: Model, size: tuple[int, int] | None = None) -> dict[str, Tensor]:
    """What a :func:`meta_twin` gives for two images of ``size`` (height, width); default twice ``size_multiple``."""
    height, width = size or (max(64, 2 * twin.size_multiple),) * 2
    found: dict[str, Tensor] = twin(torch.empty(2, 3, height, width, device="meta"))
    return found


def _leaves(outputs: Sequence[Tensor]) -> set[Tensor]:
    """The parameters that a backward pass from these outputs would visit."""
    seen, waiting, leaves = set(), [output.grad_fn for output in outputs], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):  # the node that adds to a leaf's ``grad``
            leaves.add(node.variable)
        waiting.extend(following for following, _ in node.next_functions)
    return leaves


def shared_parameters(model: Model) -> list[nn.Parameter]:
    """The parameters that the losses of at least two tasks reach, in the order of ``model.parameters()``."""
    owners = parameter_owners(model)
    return [parameter for name, parameter in model.named_parameters() if len(owners[name]) > 1]
