import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtlbench.plan import keys

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(json_values)
def test_the_key_survives_a_round_trip_through_json(value: object) -> None:
    assert keys.key(json.loads(json.dumps(value))) == keys.key(value)


def test_the_key_does_not_depend_on_the_order_of_keys_or_on_how_a_number_is_written() -> None:
    assert keys.key({"a": 1, "b": 1e-3}) == keys.key({"b": 0.001, "a": 1.0})


def test_the_key_depends_on_every_value() -> None:
    values = [{"a": 1}, {"a": 2}, {"a": "1"}, {"a": True}, {"a": None}, {"a": [1]}, {"b": 1}, {"a": 1.5}]
    assert len({keys.key(value) for value in values}) == len(values)


def test_a_key_is_golden() -> None:
    # printf '{"a":1}' | sha256sum
    assert keys.key({"a": 1}) == "015abd7f5cc57a2d"


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_spec_refuses_numbers_that_json_lacks(bad: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        keys.key({"a": bad})
