import pytest

from mtlbench.plan import grid
from mtlbench.plan.params import load
from mtlbench.system.errors import ParamsError

SPLIT = "segnet_split: {width: 0.0625}"
#: A second network beside it, with one of the two weightings.
BOTH = f"{SPLIT}\n      segnet_mtan: {{width: 0.0625, weightings: [dwa]}}"


def keys() -> dict[str, str]:
    return {cell.path: cell.key for cell in grid.cells(load(), "tiny")}


def test_a_model_is_trained_with_the_weightings_of_its_list_under_the_same_keys(project, edit) -> None:
    edit(SPLIT, f"{SPLIT}\n      segnet_mtan: {{width: 0.0625}}")
    every = keys()
    edit("segnet_mtan: {width: 0.0625}", "segnet_mtan: {width: 0.0625, weightings: [dwa]}")
    assert set(every) - set(keys()) == {"tiny/segnet_mtan/equal/seed0"}
    assert keys().items() <= every.items()


@pytest.mark.parametrize(
    ("list_", "words"),
    [
        ("[dwaa]", r"segnet_mtan\.weightings: unknown weighting 'dwaa'\. Did you mean 'dwa'"),
        ("[dwa, dwa]", "every label once, found 'dwa' 2 times"),
        ("dwa", "expected a list of labels .* found 'dwa'"),
        ("[]", r"expected a list of labels .* found \[\]"),
        ("null", "expected a list of labels .* found None"),
        ("[1]", r"expected a list of labels .* found \[1\]"),
    ],
)
def test_a_list_without_sense_is_refused(project, edit, list_: str, words: str) -> None:
    edit(SPLIT, BOTH.replace("[dwa]", list_))
    with pytest.raises(ParamsError, match=words):
        load()


def test_a_single_task_model_has_no_list(project, edit) -> None:
    edit("segnet_single: {width: 0.0625}", "segnet_single: {width: 0.0625, weightings: [equal]}")
    with pytest.raises(ParamsError, match=r"segnet_single\.weightings: a single-task model has one loss"):
        load()


def test_a_weighting_that_no_model_has_is_refused(project, edit) -> None:
    edit(SPLIT, SPLIT.replace("}", ", weightings: [equal]}"))
    with pytest.raises(
        ParamsError, match=r"weightings\.dwa: no model is trained with it; add it to models\.segnet_spl"
    ):
        load()


def test_mean_weights_come_with_the_weighting_that_they_are_of(project, edit) -> None:
    edit(SPLIT, BOTH.replace("[dwa]", "[frozen]"))
    edit("dwa: {temperature: 2.0}", "dwa: {temperature: 2.0}\n      frozen: {of: dwa}")
    with pytest.raises(ParamsError, match=r"segnet_mtan\.weightings: 'frozen' takes the mean weights of 'dwa'"):
        load()
