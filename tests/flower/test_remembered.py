"""What a strategy of Flower remembers comes back as it was, by way of a store's bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord
from flwr.serverapp.strategy import FedAvg
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tacit.flower.remembered import Unkept, remembered, remind
from tacit.wire import decode, encode

NUMBERS = st.integers() | st.floats() | st.booleans() | st.none() | st.text() | st.binary()
DTYPES = st.sampled_from(["f2", "f4", "f8", ">f8", "i1", "u2", "i8", "u8", "?"])
SHAPES = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
ARRAYS = DTYPES.flatmap(lambda dtype: arrays.arrays(dtype, SHAPES))
KEYS = st.text(max_size=5) | st.integers(-5, 5)
TREES: st.SearchStrategy[Any] = st.recursive(
    NUMBERS | ARRAYS | ARRAYS.map(Array) | ARRAYS.map(lambda array: array[()]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=3)
    ),
    max_leaves=6,
)


def seen(tree: Any) -> Any:  # noqa: ANN401 - any attribute
    """Everything about `tree`, so that NaN equals itself, and -0.0 does not equal 0.0."""
    match tree:
        case np.ndarray() | np.generic():
            return type(tree), tree.dtype.str, tree.shape, tree.tobytes()
        case Array():
            return Array, tree.dtype, tree.shape, tree.data
        case dict():
            return type(tree), [(seen(key), seen(value)) for key, value in tree.items()]
        case list() | tuple():
            return type(tree), [seen(entry) for entry in tree]
        case _:
            return type(tree), repr(tree)


def through_a_store(tree: Any) -> Any:  # noqa: ANN401 - any attribute
    used, fresh = FedAvg(), FedAvg()
    vars(used)["it"] = tree
    remind(fresh, decode(encode(remembered(used, fresh))))
    return vars(fresh)["it"]


@given(TREES)
@settings(deadline=None)
def test_whatever_is_kept_comes_back_as_it_was(tree: Any) -> None:  # noqa: ANN401 - any attribute
    assert seen(through_a_store(tree)) == seen(tree)


def test_records_come_back_with_their_keys_in_order() -> None:
    record = ArrayRecord({"z": Array(np.ones(2)), "a": Array(np.zeros((1, 2), np.float32))})
    found = through_a_store([record, MetricRecord({"n": [1, 2]}), ConfigRecord({"b": b"\x00"})])
    assert list(found[0]) == ["z", "a"]
    assert found == [record, MetricRecord({"n": [1, 2]}), ConfigRecord({"b": b"\x00"})]


@pytest.mark.parametrize(
    "value",
    [np.random.default_rng(0), {1, 2}, object(), lambda x: x, np.array([None]), np.array([1j])],
    ids=lambda value: type(value).__name__,
)
def test_what_no_store_keeps_is_refused_by_the_name_of_its_attribute(value: object) -> None:
    with pytest.raises(Unkept, match=r"^strategy: FedAvg\.it is of the type .*, which no store"):
        through_a_store([value])


def test_what_is_as_it_was_made_is_not_stored() -> None:
    assert list(remembered(FedAvg(), FedAvg())) == ["tree"]
