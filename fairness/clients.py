"""How evenly a model serves clients, each with one vote whatever its size.

From each client's value where it is known; and where only sums over clients are, from moments and a
histogram, which add like any count: client k adds (1, a, a², a ln a), and 1 to the bin of its value a.
T. Li and others (ICLR 2020) for the variance and the worst tenth; R. Jain and others (DEC TR-301,
1984).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from .rate import Array
from .scores import midpoints

CLIENT_MOMENTS: Final = ("clients", "sum", "squares", "entropy")


@dataclass(frozen=True, kw_only=True)
class Evenness:
    """How values >= 0 are spread over clients.

    `worst` and `best` are extremes, and `worst_tenth` and `best_tenth` means over a tenth of the
    clients, at least one. `gini` is 0 where all are alike; `jain`, in [1/K, 1], and `entropy`, in [0,
    1], are 1 there. They are None where all values are 0 (and `entropy` for one client).
    """

    clients: int
    worst: float
    worst_tenth: float
    mean: float
    best_tenth: float
    best: float
    variance: float
    deviation: float
    gini: float | None
    jain: float | None
    entropy: float | None


def evenness(values: Array, more_is_better: bool = True) -> Evenness:
    """From each client's value, shape (K,), K >= 1. Raises ValueError for no or for negative values.

    >>> even = evenness(np.array([0.5, 1.0, 0.5, 1.0]))
    >>> even.worst, even.mean, even.variance, even.jain
    (0.5, 0.75, 0.0625, 0.9)
    """
    if not len(values) or not values.min() >= 0:
        raise ValueError(f"Expected values >= 0 of one client or more, got {len(values)} values.")
    ordered = np.sort(values)
    logs = ordered * np.log(np.where(ordered > 0, ordered, 1.0))
    moments = np.array([len(values), ordered.sum(), (ordered**2).sum(), logs.sum()])
    return _evenness(moments, ordered, np.ones(len(values)), more_is_better)


def client_moments(value: float) -> Array:
    """What one client adds to `CLIENT_MOMENTS`."""
    return np.array([1.0, value, value**2, value * math.log(value) if value > 0 else 0.0])


def client_bin(value: float, bins: int) -> Array:
    """What one client of value in [0, 1] adds to the histogram of clients."""
    one_hot = np.zeros(bins)
    one_hot[min(int(value * bins), bins - 1)] = 1.0
    return one_hot


def evenness_from_sums(moments: Array, histogram: Array, more_is_better: bool = True) -> Evenness:
    """The same from sums over clients, of values in [0, 1]. Raises ValueError for no clients.

    Mean, variance, `jain` and `entropy` are exact. Those that need the order of clients take a bin's
    middle for its values: extremes and tenths are off by half a bin at most, and `gini` by half a bin
    over the mean.
    """
    if not moments[0] > 0:
        raise ValueError("Expected one client or more, got none.")
    return _evenness(moments, midpoints(len(histogram)), histogram, more_is_better)


def _evenness(moments: Array, ordered: Array, times: Array, more_is_better: bool) -> Evenness:
    """From moments, and from ascending values that each stand for so many clients."""
    number, total, squares, logs = (float(moment) for moment in moments)
    mean = total / number
    variance = max(squares / number - mean**2, 0.0)
    low, high = _tenth(ordered, times), _tenth(ordered[::-1], times[::-1])
    there = ordered[times > 0]
    ends = [(float(there[0]), low), (float(there[-1]), high)]
    (worst, worst_tenth), (best, best_tenth) = ends if more_is_better else ends[::-1]
    entropy = math.log(total) - logs / total if total > 0 else 0.0
    return Evenness(
        clients=round(number),
        worst=worst,
        worst_tenth=worst_tenth,
        mean=mean,
        best_tenth=best_tenth,
        best=best,
        variance=variance,
        deviation=math.sqrt(variance),
        gini=_gini(ordered, times) if total > 0 else None,
        jain=total**2 / (number * squares) if squares > 0 else None,
        entropy=min(max(entropy / math.log(number), 0.0), 1.0)
        if total > 0 and number > 1
        else None,
    )


def _tenth(ordered: Array, times: Array) -> float:
    """The mean over the first tenth of clients, rounded up."""
    size = math.ceil(times.sum() / 10)
    before = np.cumsum(times) - times
    taken = np.clip(size - before, 0, times)
    return float((ordered * taken).sum() / taken.sum())


def _gini(ordered: Array, times: Array) -> float | None:
    """The mean distance of two clients, over twice the mean."""
    number, total = times.sum(), (ordered * times).sum()
    ranks = np.cumsum(times) - times / 2  # the middle rank, times 1, of those that are alike
    return float(2 * (ranks * times * ordered).sum() / (number * total) - 1) if total > 0 else None


def gains(
    values: Mapping[str, float], alone: Mapping[str, float], more_is_better: bool
) -> dict[str, float]:
    """By how much each client is better served than by the model that it trained by itself."""
    sign = 1.0 if more_is_better else -1.0
    return {
        client: sign * (value - alone[client])
        for client, value in values.items()
        if client in alone
    }
