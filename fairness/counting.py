"""Counting rows by group, exactly: every sum is one of multiples of 2^-24, in any order the same."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

UNIT: Final = 2.0**-24


def cells(codes: tuple[NDArray[np.int64], ...], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """How often each tuple of codes occurs. Raises ValueError for a code outside of `shape`."""
    flat = np.ravel_multi_index(codes, shape)
    return np.bincount(flat, minlength=math.prod(shape)).reshape(shape).astype(np.float64)


def moments(values: NDArray[Any], codes: NDArray[np.int64], groups: int) -> NDArray[np.float64]:
    """The rows of each group, and the sums of their values, kept within [0, 1], and of the squares."""
    kept = np.clip(np.nan_to_num(np.asarray(values, np.float64), nan=1.0), 0, 1)
    return sums((np.ones(len(kept)), kept, kept**2), codes, groups)


def sums(
    columns: tuple[NDArray[np.float64], ...], codes: NDArray[np.int64], groups: int
) -> NDArray[np.float64]:
    """Each column summed by group, every value rounded to a multiple of `UNIT` first."""
    if codes.size and not 0 <= codes.min() <= codes.max() < groups:
        raise ValueError(f"Expected codes below {groups}, got {codes.max()}.")
    rounded = [np.rint(column / UNIT) * UNIT for column in columns]
    return np.stack([np.bincount(codes, each, groups) for each in rounded], axis=1)
