"""The exact sum: fixed-point integers, so that the same bits come out in any order.

Every value is rounded once to a multiple of 2^-32 and added as int64. Integer addition is associative
and commutative, so folds may be merged in any tree: workers, machines and tiers all merge alike,
and the memory of a fold does not grow with the number of updates in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .messages import Arrays, Failure, Receipt, Refusal

FRACTION_BITS: Final = 32
SCALE: Final = float(1 << FRACTION_BITS)


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
    with np.errstate(over="ignore"):  # infinity is refused below
        scaled = np.asarray(np.multiply(array, SCALE, dtype=np.float64))
    most = largest(members) * SCALE
    if scaled.size and not (scaled.min() >= -most and scaled.max() <= most):  # also refuses NaN
        raise ValueError(f"Expected finite values of magnitude at most {largest(members):.0f}.")
    return np.asarray(np.rint(scaled, out=scaled).astype(np.int64))


def from_fixed(array: NDArray[np.int64]) -> NDArray[np.float64]:
    """The float64 nearest to each fixed-point value.

    >>> from_fixed(to_fixed(np.array([0.5, -3.25])))
    array([ 0.5 , -3.25])
    """
    return array.astype(np.float64) / SCALE


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
        above `largest(members)`.
        """
        fixed = {name: to_fixed(array, members) for name, array in bounded.items()}
        self._check_shapes(fixed)
        self._count([receipt])
        self._sum(fixed)

    def merge(self, other: Fold) -> None:
        """Adds everything that `other` holds; nothing changes if it raises."""
        self._check_shapes(other.sums)
        self._count(other.receipts)
        self._sum(other.sums)
        self.refusals.extend(other.refusals)
        self.failures.extend(other.failures)

    def total(self) -> dict[str, NDArray[np.float64]]:
        """The sum as float64: one rounding of each contribution, and one of a sum beyond 2^21."""
        return {name: from_fixed(self.sums[name]) for name in sorted(self.sums)}

    def _check_shapes(self, fixed: dict[str, NDArray[np.int64]]) -> None:
        for name, array in fixed.items():
            if name in self.sums and self.sums[name].shape != array.shape:
                shapes = f"{self.sums[name].shape}, got {array.shape}"
                raise ValueError(f"Expected {name!r} in the shape of the sum, {shapes}.")

    def _count(self, receipts: Iterable[Receipt]) -> None:
        new = {receipt.client: receipt for receipt in receipts}
        if twice := sorted(new.keys() & self._receipts.keys()):
            raise ValueError(f"Expected one update from each client, got two from {twice[0]!r}.")
        self._receipts |= new

    def _sum(self, fixed: dict[str, NDArray[np.int64]]) -> None:
        for name, array in fixed.items():
            if name in self.sums:
                self.sums[name] += array
            else:
                self.sums[name] = array.copy()
