"""A rate of each group, and what is known of its error."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
ANY: Final = (-np.inf, np.inf)
POSITIVE: Final = (0.0, np.inf)
SHARE: Final = (0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A rate of each group: shape (..., G), NaN where it is undefined.

    `rows` is how many it is over, shape (..., G). `error` is its standard error where the table says
    it; None where it does not, or where the table can be drawn anew instead. `binning` is the most by
    which binned scores can have moved it. No value lies outside of `bounds`. With noise of one
    deviation on every count, `rows` have at most √`cells` times that.
    """

    value: Array
    rows: Array
    error: Array | None = None
    binning: Array | None = None
    bounds: tuple[float, float] = SHARE
    cells: int = 1


@dataclass(frozen=True, kw_only=True)
class Floor:
    """The fewest rows that a rate needs: `rows`, and twice the `deviation` of the noise on them."""

    rows: int = 1
    deviation: float = 0.0

    def least(self, cells: int = 1) -> int:
        """The same for rows that are counted in so many noised cells.

        >>> Floor(rows=5, deviation=4.0).least(), Floor(rows=5, deviation=4.0).least(cells=2)
        (8, 12)
        """
        return max(self.rows, math.ceil(round(2 * self.deviation * math.sqrt(cells), 6)))


def divide(numerator: Array, denominator: Array) -> Array:
    """The ratio, and NaN where the denominator is 0.

    >>> divide(np.array([1.0, 0.0]), np.array([2.0, 0.0]))
    array([0.5, nan])
    """
    numerator, denominator = np.broadcast_arrays(numerator, denominator)
    result: Array = np.divide(
        numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator > 0
    )
    return result
