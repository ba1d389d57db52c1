"""What a strategy object of Flower remembers, as arrays that a store keeps. Nothing is pickled."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord
from flwr.serverapp.strategy import Strategy
from numpy.typing import NDArray

from ..wire.errors import TacitError
from ..wire.messages import Arrays

PLAIN = (type(None), bool, int, float, str)
SEQUENCES: dict[str, Callable[..., Any]] = {"list": list, "tuple": tuple}
MAPPINGS: dict[str, Callable[..., Any]] = {
    "dict": dict,
    "ArrayRecord": ArrayRecord,
    "ConfigRecord": ConfigRecord,
    "MetricRecord": MetricRecord,
}
TREE = "tree"
LONGEST = 8
"""Bytes in a number: a store has floats up to that, and integers of that alone."""


class Unkept(TacitError):
    """Something that a strategy remembers, and that no store could hold."""


def remembered(strategy: Strategy, fresh: Strategy) -> dict[str, NDArray[Any]]:
    """The attributes in which `strategy` is no longer `fresh`, which was made with the same arguments.

    They may be numbers, text, bytes, NumPy arrays and Flower's records, in lists, tuples and dicts.
    Raises `Unkept` for anything else.

    >>> from flwr.serverapp.strategy import FedAvgM
    >>> used, fresh = FedAvgM(), FedAvgM()
    >>> used.momentum_vector = [np.array([0.5])]
    >>> remind(fresh, remembered(used, fresh))
    >>> fresh.momentum_vector
    [array([0.5])]
    """
    arrays: list[NDArray[Any]] = []
    tree, before = {}, vars(fresh)
    for name, value in sorted(vars(strategy).items()):
        if name not in before or before[name] is not value:
            try:
                tree[name] = _tree(value, arrays)
            except Unkept as error:
                raise Unkept(
                    f"strategy: {type(strategy).__name__}.{name} is {error}, which no store keeps: it "
                    "may remember numbers, text, NumPy arrays and records, in lists and dicts."
                ) from None
    text = np.frombuffer(json.dumps(tree).encode(), np.uint8).astype(np.int64)
    return {TREE: text, **{str(number): array for number, array in enumerate(arrays)}}


def remind(strategy: Strategy, memory: Arrays) -> None:
    """Makes `strategy`, which is fresh, remember what `remembered` told."""
    if memory:
        tree = json.loads(memory[TREE].astype(np.uint8).tobytes())
        vars(strategy).update({name: _value(part, memory) for name, part in tree.items()})


def _tree(value: Any, arrays: list[NDArray[Any]]) -> list[Any]:  # noqa: ANN401 - any attribute
    """[kind, content] as JSON; the content of an array is its place in `arrays`, and its dtype."""
    kind = type(value).__name__
    if type(value) in PLAIN:
        return ["plain", value]
    if type(value) is bytes:
        return ["bytes", value.hex()]
    if isinstance(value, np.ndarray | np.generic) and _is_kept(value.dtype):
        native = value.dtype.newbyteorder("=") if value.dtype.kind == "f" else np.dtype(np.int64)
        arrays.append(np.asarray(value).astype(native))
        return ["array", [len(arrays) - 1, value.dtype.str, isinstance(value, np.generic)]]
    if type(value) is Array:
        return ["Array", _tree(value.numpy(), arrays)]
    if type(value) is SEQUENCES.get(kind):
        return [kind, [_tree(entry, arrays) for entry in value]]
    if type(value) is MAPPINGS.get(kind):
        return [kind, [[_tree(k, arrays), _tree(v, arrays)] for k, v in value.items()]]
    raise Unkept(f"of the type {kind}")


def _is_kept(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "fiub" and dtype.itemsize <= LONGEST


def _value(tree: list[Any], arrays: Arrays) -> Any:  # noqa: ANN401 - any attribute
    match tree:
        case ["plain", value]:
            return value
        case ["bytes", text]:
            return bytes.fromhex(text)
        case ["array", [number, dtype, scalar]]:
            array = np.array(arrays[str(number)]).astype(dtype)
            return array[()] if scalar else array
        case ["Array", array]:
            return Array(_value(array, arrays))
        case [kind, entries] if kind in SEQUENCES:
            return SEQUENCES[kind](_value(entry, arrays) for entry in entries)
        case [kind, pairs] if kind in MAPPINGS:
            found = {_value(key, arrays): _value(value, arrays) for key, value in pairs}
            return MAPPINGS[kind](found)
    raise Unkept(f"of an unknown kind: {tree[0]!r}")
