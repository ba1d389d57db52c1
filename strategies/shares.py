"""What rows say about their groups, as sums that add over clients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

UNIT = 2.0**-4
"""Shares of rows and of losses are contributed in this unit: small beside a change that is clipped."""


def shares(
    codes: Sequence[NDArray[Any]], shape: tuple[int, ...], values: NDArray[Any] | None = None
) -> Vector:
    """The share of the n rows that lies in each cell, or the sum of `values` there over n.

    `codes` holds an array of shape (n,) for each axis of `shape`. Raises ValueError for a code outside.

    >>> shares([np.array([0, 1, 1, 1])], (3,))
    array([0.25, 0.75, 0.  ])
    >>> shares([np.array([0, 1]), np.array([1, 0])], (2, 2), np.array([0.5, 3.0]))
    array([[0.  , 0.25],
           [1.5 , 0.  ]])
    """
    cells = np.ravel_multi_index(tuple(codes), shape)
    sums = np.bincount(cells, values, minlength=int(np.prod(shape)))
    return np.asarray(sums.reshape(shape) / len(cells))


def proportions(sums: Vector) -> Vector:
    """Sums as shares of one; noise may have made some negative, and if all are, shares are alike.

    >>> proportions(np.array([3.0, 1.0, -1.0])), proportions(np.zeros(2))
    (array([0.75, 0.25, 0.  ]), array([0.5, 0.5]))
    """
    found = np.maximum(sums, 0.0)
    return found / found.sum() if found.any() else np.full(len(sums), 1 / len(sums))
