"""Harrell's C by group from counts of pairs, which add over clients.

A pair is comparable if it is known who had the event first: the earlier time is that of an event. It is
concordant if the model gives that row the higher risk, and tied if it gives both the same (F. Harrell and
others, JAMA 247, 1982). Only rows of one client and of one group are paired, so no pair crosses a wall.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .rate import Array, Rate, divide

PAIRS: Final = ("comparable", "concordant", "tied")


def count_pairs(
    targets: NDArray[Any], risks: NDArray[Any], codes: NDArray[np.int64], groups: int
) -> Array:
    """The `PAIRS` within each group, shape (G, 3).

    `targets` has shape (n, 2): the time, and 1 if the event happened then or 0 if the row was only
    followed until then. Of two rows with one time, an event came before what was only followed. A risk
    that is not a number is the lowest.

    >>> targets = np.array([[1.0, 1.0], [2.0, 0.0], [3.0, 1.0]])
    >>> count_pairs(targets, np.array([0.9, 0.1, 0.9]), np.zeros(3, np.int64), 1).tolist()
    [[2.0, 1.0, 1.0]]
    """
    times, events = targets[:, 0], targets[:, 1] > 0
    known = np.nan_to_num(np.asarray(risks, np.float64), nan=-np.inf)
    later = (times > times[:, np.newaxis]) | ((times == times[:, np.newaxis]) & ~events)
    pairs = events[:, np.newaxis] & later & (codes == codes[:, np.newaxis])
    right = pairs & (known < known[:, np.newaxis])
    tied = pairs & (known == known[:, np.newaxis])
    each = (np.bincount(codes, found.sum(1), groups) for found in (pairs, right, tied))
    return np.stack(list(each), -1).astype(np.float64)


def concordance(pairs: Array) -> Rate:
    """Harrell's C of each group, (..., G) from `PAIRS` of shape (..., G, 3); over so many pairs.

    It has no standard error: pairs share rows, and how is not counted. Drawing clients anew gives one.

    >>> concordance(np.array([2.0, 1.0, 1.0])).value
    array(0.75)
    """
    comparable, concordant, tied = (pairs[..., column] for column in range(len(PAIRS)))
    return Rate(value=divide(concordant + tied / 2, comparable), rows=comparable)
