"""What the batteries compare by: the bits of arrays, so that "equal" never means "about equal"."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import FrozenInstanceError, fields
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tacit.wire import Arrays


def bits(arrays: Arrays) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """Everything about `arrays` but the order of their names: -0.0 is not 0.0, NaN is itself."""
    found = {}
    for name, array in arrays.items():
        whole = np.asarray(array)
        found[name] = (whole.dtype.str, whole.shape, whole.tobytes())
    return found


def assert_same_bits(one: Arrays, other: Arrays) -> None:
    assert bits(one) == bits(other)


def read_only(arrays: Arrays) -> dict[str, NDArray[Any]]:
    """Copies that raise when something writes to them."""
    copies = {name: np.array(array) for name, array in arrays.items()}
    for array in copies.values():
        array.flags.writeable = False
    return copies


def backwards(arrays: Arrays) -> dict[str, NDArray[Any]]:
    """The same arrays, named in the opposite order."""
    return {name: arrays[name] for name in reversed(list(arrays))}


def nested_bits(memory: Mapping[str, Arrays]) -> dict[str, object]:
    return {name: bits(arrays) for name, arrays in memory.items()}


def check_value(value: object) -> None:
    """`value` is frozen, comparable and survives the way to another process."""
    assert pickle.loads(pickle.dumps(value)) == value  # noqa: S301 - our own bytes
    assert hash(value) == hash(pickle.loads(pickle.dumps(value)))  # noqa: S301
    for each in fields(value):  # type: ignore[arg-type]
        with pytest.raises(FrozenInstanceError):
            setattr(value, each.name, None)
