"""Arrays that are computed when they are read: a large model is never in memory as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

Parts = Mapping[str, Callable[[], NDArray[Any]]]


@dataclass(frozen=True, eq=False)
class Lazy(Mapping[str, NDArray[Any]]):
    """Named arrays, each computed anew whenever it is read. Nothing is kept, and nothing prints.

    >>> both = Lazy({"x": lambda: np.zeros(2)}) | {"y": np.ones(1)}
    >>> dict(both)
    {'x': array([0., 0.]), 'y': array([1.])}
    """

    parts: Parts = field(repr=False)

    def __getitem__(self, name: str) -> NDArray[Any]:
        return np.asarray(self.parts[name]())

    def __iter__(self) -> Iterator[str]:
        return iter(self.parts)

    def __len__(self) -> int:
        return len(self.parts)

    def __contains__(self, name: object) -> bool:
        return name in self.parts

    def __or__(self, other: Mapping[str, NDArray[Any]]) -> Lazy:
        return Lazy({**self.parts, **renamed(other, str).parts})


def renamed(arrays: Mapping[str, NDArray[Any]], name: Callable[[str], str]) -> Lazy:
    """`arrays` under the names that `name` gives them."""
    return Lazy({name(key): partial(arrays.__getitem__, key) for key in arrays})


def each(
    function: Callable[..., NDArray[Any]],
    first: Mapping[str, NDArray[Any]],
    *others: Mapping[str, NDArray[Any]],
) -> Lazy:
    """`function` of the arrays of one name, for every name in `first`.

    >>> each(np.add, {"x": np.array([1.0])}, {"x": np.array([2.0])})["x"]
    array([3.])
    """

    sources = (first, *others)
    return Lazy({name: partial(_apply, function, name, sources) for name in first})


def _apply(
    function: Callable[..., NDArray[Any]], name: str, sources: Sequence[Mapping[str, NDArray[Any]]]
) -> NDArray[Any]:
    return function(*(source[name] for source in sources))
