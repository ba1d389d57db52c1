"""The exact sum: fixed-point integers, so that the same bits come out in any order.

Every value is rounded once to a multiple of 2^-32 and added as int64. Integer addition is associative
and commutative, so folds may be merged in any tree: workers, machines and tiers all merge alike,
and the memory of a fold does not grow with the number of updates in it. An update is added array by
array, so that beside the sums no more than one of its arrays is held.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .lazy import Lazy
from .messages import Arrays, Failure, Receipt, Refusal

FRACTION_BITS: Final = 32
SCALE: Final = float(1 << FRACTION_BITS)
BLOCK: Final = 1 << 15
"""How many values are converted at a time: so that the scratch space stays in the cache."""


def largest(members: int) -> float:
    """The largest magnitude that each of `members` may add without the sum leaving int64.

    >>> largest(1) == 2.0**30, largest(4) == 2.0**28
    (True, True)
    """
    return float(1 << (62 - FRACTION_BITS)) / max(members, 1)


def to_fixed(array: NDArray[Any], members: int = 1) -> NDArray[np.int64]:
    """Values rounded to the nearest multiple of 2^-32, as int64.

    Raises ValueError for a value that is not finite, or larger than `largest(members)`.

    >>> to_fixed(np.array([0.5]))
    array([2147483648])
    """
    _check_range(array, members)
    return _fixed(array)


def _check_range(array: NDArray[Any], members: int) -> None:
    most = largest(members)
    if array.size and not (float(array.min()) >= -most and float(array.max()) <= most):
        raise ValueError(f"Expected finite values of magnitude at most {most:.0f}.")  # or NaN


def _fixed(array: NDArray[Any]) -> NDArray[np.int64]:
    scaled = np.asarray(np.multiply(array, SCALE, dtype=np.float64))
    return np.asarray(np.rint(scaled, out=scaled).astype(np.int64))


def from_fixed(array: NDArray[np.int64]) -> NDArray[np.float64]:
    """The float64 nearest to each fixed-point value.

    >>> from_fixed(to_fixed(np.array([0.5, -3.25])))
    array([ 0.5 , -3.25])
    """
    found = array.astype(np.float64)
    found /= SCALE
    return found


class Fold:
    """A running sum of bounded contributions, with a receipt for each and a reason for each refusal.

    Guarantees:
      - `total` has the same bits whatever the order of `add` and `merge`.
      - An update is counted once: a second one from the same client raises ValueError.

    >>> one, other = Fold(), Fold()
    >>> one.add({"x": np.array([0.1])}, Receipt(client="a", examples=1))
    >>> other.add({"x": np.array([0.2])}, Receipt(client="b", examples=1))
    >>> one.merge(other)
    >>> [receipt.client for receipt in one.receipts], one.total()["x"].round(6)
    (['a', 'b'], array([0.3]))
    """

    def __init__(self) -> None:
        self.sums: dict[str, NDArray[np.int64]] = {}
        self.refusals: list[Refusal] = []
        self.failures: list[Failure] = []
        self._receipts: dict[str, Receipt] = {}

    @property
    def receipts(self) -> list[Receipt]:
        """One for each update that was added, in the order of the clients' names."""
        return [self._receipts[client] for client in sorted(self._receipts)]

    def __contains__(self, client: str) -> bool:
        return client in self._receipts

    def add(self, bounded: Arrays, receipt: Receipt, members: int = 1) -> None:
        """Adds the bounded contribution of one of `members` clients; nothing changes if it raises.

        Raises ValueError for a second update of a client, other shapes than the sum's, or a value
        above `largest(members)`. What was added by then is taken back: `bounded` is read again.
        """
        new = self._new([receipt])
        known, added = set(self.sums), list[str]()
        try:
            for name in bounded:
                self._add(name, bounded[name], members)
                added.append(name)
        except Exception:
            self._take_back(bounded, added, known)
            raise
        self._receipts |= new

    def merge(self, other: Fold) -> None:
        """Adds everything that `other` holds; nothing changes if it raises."""
        for name, array in other.sums.items():
            self._check_shape(name, array)
        self._receipts |= self._new(other.receipts)
        for name, array in other.sums.items():
            if name in self.sums:
                self.sums[name] += array
            else:
                self.sums[name] = array.copy()
        self.refusals.extend(other.refusals)
        self.failures.extend(other.failures)

    def total(self) -> dict[str, NDArray[np.float64]]:
        """The sum as float64: one rounding of each contribution, and one of a sum beyond 2^21."""
        return {name: from_fixed(self.sums[name]) for name in sorted(self.sums)}

    def take_total(self) -> Arrays:
        """`total`, of which each array can be read once: its sum is let go when it is read."""
        return Lazy({name: partial(self._take, name) for name in sorted(self.sums)})

    def _take(self, name: str) -> NDArray[np.float64]:
        return from_fixed(self.sums.pop(name))

    def _check_shape(self, name: str, array: NDArray[Any]) -> None:
        if name in self.sums and self.sums[name].shape != array.shape:
            shapes = f"{self.sums[name].shape}, got {array.shape}"
            raise ValueError(f"Expected {name!r} in the shape of the sum, {shapes}.")

    def _new(self, receipts: Iterable[Receipt]) -> dict[str, Receipt]:
        new = {receipt.client: receipt for receipt in receipts}
        if twice := sorted(new.keys() & self._receipts.keys()):
            raise ValueError(f"Expected one update from each client, got two from {twice[0]!r}.")
        return new

    def _add(self, name: str, array: NDArray[Any], members: int) -> None:
        """Adds one array; nothing changes if it raises."""
        self._check_shape(name, array)
        _check_range(array, members)
        if name not in self.sums:
            self.sums[name] = np.zeros(array.shape, np.int64)
        for total, values in _blocks(self.sums[name], array):
            total += _fixed(values)

    def _take_back(self, bounded: Arrays, added: Iterable[str], known: Container[str]) -> None:
        """Undoes `_add`, exactly: these are integers."""
        for name in added:
            if name not in known:
                del self.sums[name]
                continue
            for total, values in _blocks(self.sums[name], bounded[name]):
                total -= _fixed(values)


def _blocks(
    total: NDArray[np.int64], array: NDArray[Any]
) -> Iterator[tuple[NDArray[np.int64], NDArray[Any]]]:
    """Views of the sum and the values to be added there, a block at a time."""
    flat, values = total.reshape(-1), np.ravel(array)
    for start in range(0, flat.size, BLOCK):
        yield flat[start : start + BLOCK], values[start : start + BLOCK]
