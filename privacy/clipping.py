"""Clipping: the one place that bounds what a client adds, whatever it sent."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..wire.fold import SCALE
from ..wire.lazy import Lazy, each
from ..wire.messages import Arrays

SAFETY: Final = 1 + 2.0**-20
"""Covers the rounding errors of computing a norm."""
FINE: Final = 1 / SCALE
"""The grid on which sums are exact."""


def norm(arrays: Arrays) -> float:
    """The L2 norm of all arrays together, in float64. NaN if one of them has any.

    Nothing overflows on the way; a norm that float64 cannot hold is infinite.

    >>> norm({"a": np.array([3.0]), "b": np.array([4.0])})
    5.0
    """
    each = [np.max(np.abs(_wide(a))) for a in arrays.values() if a.size]
    largest = float(np.max(each, initial=0.0))  # the built-in max would pass over NaN
    if largest == 0.0 or not np.isfinite(largest):
        return largest
    squares = (float(np.sum(np.square(_wide(a) / largest))) for a in arrays.values())
    return largest * math.sqrt(sum(squares))


def clipped(arrays: Arrays, clip: float, grid: float = FINE) -> Lazy:
    """`arrays` as whole numbers of `grid`, shrunk to an L2 norm of at most `clip` over all of them.

    Guarantees:
      - The norm of what is returned, times `grid`, is at most `clip`: it is rounded towards zero.

    Raises ValueError for NaN or infinity, and for a norm beyond float64.

    >>> clipped({"x": np.array([3.0, -4.0])}, 1.0, grid=0.001)["x"]
    array([ 599., -799.])
    """
    length = norm(arrays)
    if not np.isfinite(length):
        raise ValueError("not finite: the contribution holds NaN or infinity")
    factor = min(1.0, clip / (length * SAFETY)) if length else 1.0
    return each(lambda a: np.trunc(_wide(a) * factor / grid), arrays)


def _wide(array: NDArray[Any]) -> NDArray[np.float64]:
    return array.astype(np.float64)
