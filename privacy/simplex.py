"""The nearest values that are not negative and add up: what noise or a step took off a simplex."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def onto_simplex(values: Array, total: Array | float = 1.0) -> Array:
    """The closest values along the last axis that are not negative and add up to `total` >= 0.

    `total` has the shape of `values` without that axis, or is one for all. Duchi et al., Efficient
    Projections onto the ℓ1-Ball, ICML 2008, figure 1.

    >>> onto_simplex(np.array([0.5, 0.7, -3.0]))
    array([0.4, 0.6, 0. ])
    >>> onto_simplex(np.array([3.0, -1.0, 2.0]), np.array(4.0))
    array([2.5, 0. , 1.5])
    """
    shifted = values - values.max(-1, keepdims=True)  # moves no projection, and keeps its digits
    wanted = np.asarray(total)[..., np.newaxis]
    ordered = -np.sort(-shifted, axis=-1)
    excess = (np.cumsum(ordered, -1) - wanted) / np.arange(1, values.shape[-1] + 1)
    kept = np.maximum((ordered > excess).sum(-1), 1)[..., np.newaxis]
    nearest = np.maximum(shifted - np.take_along_axis(excess, kept - 1, -1), 0.0)
    return np.asarray(np.where(wanted > 0, nearest, 0.0))
