"""Whatever is written into params.yaml: parameters, or one plain message."""

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from mtlbench.plan import grid, keys
from mtlbench.plan.params import load, validate
from mtlbench.system.errors import ParamsError

SHIPPED = YAML(typ="safe").load(Path(__file__).resolve().parents[2] / "params.yaml")


def paths(value: Any, here: tuple = ()) -> list[tuple]:
    """All places of a value, containers and leaves, but the whole."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path for key, inner in items for path in [(*here, key), *paths(inner, (*here, key))]]


LOOP: list = []
LOOP.append(LOOP)
HOSTILE = st.one_of(
    st.sampled_from(
        [None, True, -1, 0, 1.5, 10**9, 10**30, -(10**40), 1e9, float("inf"), float("-inf"), float("nan"), "", "\0",
         "~nobody_x", "meta", "nowhere", "a: b\nc", [], [[]], {}, {1: 2}, {"use": "x"}, {"kind": 3}, {"kind": []},
         {"a": {"b": {}}}, LOOP, {None: 1}, b"bytes", (1,), {"\n": 1}, "x" * 5000, ["a", 1]]
    ),
    st.integers(), st.floats(), st.text(max_size=5), st.lists(st.text(max_size=3), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)  # fmt: skip
PATHS = paths(SHIPPED)


def check(place: tuple, hostile: Any, rename: bool) -> None:
    """Put a value, or a key, in a place: cells with canonical specs come out, or a ParamsError."""
    value = copy.deepcopy(SHIPPED)
    parent = value
    for key in place[:-1]:
        parent = parent[key]
    try:
        if rename and isinstance(parent, dict):
            parent[hostile if isinstance(hostile, (str, int, float, bytes)) else str(hostile)] = parent.pop(place[-1])
        else:
            parent[place[-1]] = hostile
        params = validate(value)
        found = [cell for name in params.experiments for cell in grid.cells(params, name)]
    except ParamsError:
        return
    for cell in found:
        keys.canonical(cell.spec)


@settings(derandomize=True, max_examples=40, deadline=None, database=None)
@given(st.sampled_from(PATHS), HOSTILE, st.booleans())
def test_a_hostile_value_anywhere_is_refused_in_words_or_gives_cells(place: tuple, hostile: Any, rename: bool) -> None:
    check(place, hostile, rename)


@pytest.mark.slow
@settings(max_examples=1500, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(PATHS), HOSTILE, st.booleans())
def test_hostile_values_in_numbers(place: tuple, hostile: Any, rename: bool) -> None:
    check(place, hostile, rename)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"run: [a]\nrun: [b]\n", ["line 2, column 1", 'duplicate key "run"']),
        (b"run:\n\t- a\n", ["line 2, column 1", "found a tab; indent with spaces"]),
        (b"run: [a]\n---\nrun: [b]\n", ["line 2, column 1", "a second document"]),
        (b"run: [a]\nx: \xff\n", ["line 2, column 4", "expected UTF-8", "0xff"]),
        (b"run: &a [*a]\n", ["anchor that holds itself"]),
        (b"a: &a [1,1,1,1,1,1,1,1]\n" + b"".join(b"%c: &%c [%s]\n" % (c, c, b",".join([b"*%c" % (c - 1)] * 8))
                                                for c in range(98, 108)), ["100000 values"]),
        (b"run: " + b"[" * 1200, ["blocks in blocks deeper"]),
        (b"run: " + b"[" * 30 + b"]" * 30, ["at most 16 levels"]),
        (b"run: " + b"9" * 5000, ["not valid YAML", "digits"]),
        (b"run: 1" + b"0" * 40, ["run: expected a number below 2**63"]),
        (b"run: .nan", ["run: expected a finite number"]),
        (b"run: 2024-01-01", ["run: expected text", "found date"]),
        (b"1: 2", ["expected words as keys, found '1'"]),
        (b"? [a, b]\n: 1", ["params.yaml"]),
        (b"run: !!python/object:os.system x", ["line 1, column 6"]),
        (b"", ["expected a mapping"]),
        (b"[1]", ["expected a mapping"]),
    ],
)  # fmt: skip
def test_a_file_that_is_not_what_it_should_be_says_where(project, text: bytes, words: list[str]) -> None:
    (project / "params.yaml").write_bytes(text)
    with pytest.raises(ParamsError) as caught:
        load()
    for word in ["params.yaml: ", *words]:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


PRECISION = "precision: float32"
PARTS = PRECISION + "\n      parts: "


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("learning_rate: 1.0e-3", "learning_rate: .inf", ["learning_rate", "finite number"]),
        ("learning_rate: 1.0e-3", "learning_rate: 1.0e-3, momentum: 0.9", ["optimizer", "belong to sgd", "with adam"]),
        ("weight_decay: 0.0}", "weight_decay: .nan}", ["weight_decay", "finite number"]),
        ("{name: adam, ", "{name: sgd, nesterov: true, ", ["nesterov", "momentum above 0"]),
        ("segnet_split: {width: 0.0625}", "segnet_split: {width: 1.0e+9}", ["segnet_split.width", "found 1000000000"]),
        ("batch_size: 2", "batch_size: 1" + "0" * 30, ["training.batch_size", "below 2**63"]),
        ("batch_size: 2", "batch_size: 1" + "0" * 12, ["training.batch_size", "less than or equal"]),
        ("seeds: [0]", "seeds: [-1]", ["seeds.0", "greater than or equal to 0"]),
        ("seeds: [0]", "seeds: [4294967296]", ["seeds.0", "less than 4294967296"]),
        ("device: cpu", "device: meta", ["runtime.device: expected auto, cpu,", "found 'meta'"]),
        ("threads: 1", "threads: 1000000", ["runtime.threads", "less than or equal to 1024"]),
        ("kind: rooms", "kind: 3", ["datasets.rooms.kind", "found 3"]),
        ("kind: rooms", "kind: [rooms]", ["datasets.rooms.kind", "found ['rooms']"]),
        ("kind: rooms,", "kind: rooms, source: 5,", ["datasets.rooms.source", "found 5"]),
        ("equal: {}", "equal: {kind: {}}", ["weightings.equal.kind", "found {}"]),
        ("augmentation: null", "augmentation: {scales: [1.0e+9], flip: true}", ["scales.0", "equal to 16"]),
        ("last_epochs: 2", "last_epochs: 2, record_test: true", ["'record_test' belongs to held_out"]),
        ("baseline: segnet_single", "baseline: segnet_split", ["baseline: expected a single-task model"]),
        ("equal: {}", "static: {weights: {segmentation: -1, depth: 1, normals: 1}}", ["segmentation", "found -1"]),
        ("equal: {}", "static: {weights: {segmentation: 1, depth: 1}}", ["tiny.weightings.static.weights", "each of"]),
        ("equal: {}", "static: {weights: {segmentation: 1, depth: 1, normal: 1}}", ["tiny.weightings.static.weights"]),
        ("equal: {}", "static: {weights: {}}", ["tiny.weightings.static.weights", "found {}"]),
        ("equal: {}", "static: {weights: {segmentation: 0, depth: 0, normals: 0}}", ["above 0"]),
        ("segnet_split: {width: 0.0625}", 'resnet_split: {weights: "~nobody_x/a"}', ["split.weights", "nobody_x"]),
        ("segnet_split: {width: 0.0625}", "resnet_split: {weights: .}", ["resnet_split.weights", "a folder"]),
        *[
            (PRECISION, PARTS + f"{{fusion: {{rate_factor: {factor}}}}}", ["rate_factor"])
            for factor in ("0", "-1", ".nan", ".inf", "1.0e+9", "yes", "null")
        ],
        (PRECISION, PARTS + "{fusion: {}}", ["parts.fusion.rate_factor", "missing"]),
        (PRECISION, PARTS + "{fusion: {rate: 2}}", ["fusion.rate", "unknown key"]),
        (PRECISION, PARTS + "{fusion: {rate_factor: 2}}", ["fusion", "names parts"]),
        ("segnet_split: {width: 0.0625}", "mti_net: {weights: imagenet}", ["mti_net.weights", "hrnet18s has no"]),
        ("segnet_split: {width: 0.0625}", "pad_net: {backbone: hrnet18}", ["pad_net.backbone", "found 'hrnet18'"]),
        ("segnet_split: {", "s" * 65 + ": {kind: segnet_split, ", ["at most 64 lower-case letters"]),
        ("run: [tiny]", "run: [tiny, tiny]", ["run: expected every experiment once", "'tiny' 2 times"]),
        ("title: Tiny", 'title: "Ti\\0ny"', ["tiny.title: expected one line of text", "'\\x00'"]),
        ("title: Tiny", 'title: "Ti\\e[31mny"', ["tiny.title: expected one line of text", "'\\x1b'"]),
        ("title: Tiny", 'title: "Ti\\nny"', ["tiny.title: expected one line of text", "'\\n'"]),
    ],
)  # fmt: skip
def test_a_value_without_sense_is_named(project, edit, old: str, new: str, words: list[str]) -> None:
    edit(old, new)
    with pytest.raises(ParamsError) as caught:
        grid.cells(load(), "tiny")
    for word in words:
        assert word in str(caught.value)
