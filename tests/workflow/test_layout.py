"""params.yaml has the layout that DVC writes, so a changed value is one line in Git and no comment gets lost."""

import difflib
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def layout(repository: Path) -> ModuleType:
    """workflow/layout.py, which is a script."""
    spec = importlib.util.spec_from_file_location("layout", repository / "workflow/layout.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("experiments.demo.weightings.dwa.temperature=1.5", "      dwa: {temperature: 1.5}"),
        ("trainings.mtan.epochs=3", "    epochs: 3"),
        ("++experiments.nyuv2.training.epochs=3", "    training: {use: mtan, epochs: 3}"),
    ],
)
def test_a_changed_value_is_one_changed_line(layout, repository, change: str, line: str) -> None:
    text = (repository / "params.yaml").read_text()
    changed = difflib.ndiff(text.splitlines(), layout.written(layout.written(text, change)).splitlines())
    assert [one[2:] for one in changed if one[0] in "+-"][1:] == [line], "`make layout` lays params.yaml out"


def test_another_layout_is_brought_to_it(layout) -> None:
    text = 'run: [demo]  # now\ngrids:\n  # all\n  small: {seeds: [0, 1]}\n  note: "none"\n'
    found = layout.laid_out(text)
    assert found == "run:         # now\n- demo\ngrids:\n  # all\n  small: {seeds: [0, 1]}\n  note: none\n"
    assert layout.laid_out(found) == found


@pytest.mark.parametrize("text", ["run: [demo]\n\n# of it\ngrids: {}\n", "run:\n- demo # of it\ngrids: {}\n"])
def test_a_comment_that_dvc_would_drop_is_named(layout, text: str) -> None:
    with pytest.raises(SystemExit, match=r"DVC drops the comment '# of it': it follows a list; write it on the line"):
        layout.laid_out(text)
