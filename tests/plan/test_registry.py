import inspect

import pytest

from mtlbench.datasets import Dataset
from mtlbench.models import Model
from mtlbench.plan.registry import KINDS, entries
from mtlbench.tasks import Task
from mtlbench.weightings import Weighting

BASES = {"datasets": Dataset, "tasks": Task, "models": Model, "weightings": Weighting}
FOUND = [(kind, name) for kind in KINDS for name in entries(kind)]


@pytest.mark.parametrize(("kind", "name"), FOUND)
def test_what_is_read_from_the_text_is_what_python_sees(kind: str, name: str) -> None:
    found = entries(kind)[name]
    loaded = found.load()
    assert issubclass(loaded, BASES[kind])
    signature = inspect.signature(loaded.__init__)
    options = {p.name: p.default for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY}
    fields = found.options.model_fields
    assert set(fields) == set(options)
    for option, default in options.items():
        read = ... if fields[option].is_required() else fields[option].default
        assert read == (... if default is inspect.Parameter.empty else default)
    for constant in (
        "single_task",
        "size_multiple",
        "version",
        "paper",
        "family",
        "display",
        "display_with",
        "paper_title",
        "parts",
        "towers",
        "towers_of",
    ):
        if hasattr(loaded, constant):
            default = {
                "single_task": False,
                "size_multiple": 1,
                "display": "",
                "display_with": (),
                "paper_title": "",
                "parts": (),
                "towers": (),
                "towers_of": "",
            }.get(constant)
            assert found.constants.get(constant, default) == getattr(loaded, constant), constant


@pytest.mark.parametrize(("kind", "name"), [(k, n) for k, n in FOUND if k != "tasks"])
def test_every_option_is_described(kind: str, name: str) -> None:
    for option, field in entries(kind)[name].options.model_fields.items():
        assert field.description, f"{kind}/{name}.{option} has no description"


@pytest.mark.parametrize(("kind", "name"), FOUND)
def test_every_entry_says_what_it_is(kind: str, name: str) -> None:
    assert entries(kind)[name].summary
