"""How evenly a model serves clients, each with one vote whatever its size.

From each client's value where it is known; and where only sums over clients are, from moments and a
histogram, which add like any count: client k adds (1, a, a², a ln a), and 1 to the bin of its value a.
T. Li and others (ICLR 2020) for the variance and the worst tenth; R. Jain and others (DEC TR-301,
1984).

The sums are for secure aggregation, which shows nobody a single client: they are not in the tables of
an evaluation, because a clip that scales a client's counts would scale its one vote with them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from .rate import Array, divide
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
    return _evenness(spread_of(values, np.ones(len(values)), more_is_better), len(values))


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
    middle for its values: extremes and tenths are off by half a bin at most, and `gini` by one bin over
    the mean.
    """
    if not moments[0] > 0:
        raise ValueError("Expected one client or more, got none.")
    binned = spread_of(midpoints(len(histogram)), histogram, more_is_better)
    return _evenness(binned | _exact(*moments), round(float(moments[0])))


def spread_of(values: Array, times: Array, more_is_better: bool = True) -> dict[str, Array]:
    """What `Evenness` holds, of values (K,) that each count so many `times`, shape (..., K): (...) each.

    NaN where it is None there.
    """
    order = np.argsort(values if more_is_better else -values)
    ordered, times = values[order], times[..., order]
    there = times > 0
    logs = ordered * np.log(np.where(ordered > 0, ordered, 1.0))
    first, last = np.argmax(there, -1), len(values) - 1 - np.argmax(there[..., ::-1], -1)
    return {
        "worst": ordered[first],
        "worst_tenth": _tenth(ordered, times),
        "best_tenth": _tenth(ordered[::-1], times[..., ::-1]),
        "best": ordered[last],
        "gini": _gini(values, times[..., np.argsort(order)]),
        **_exact(times.sum(-1), times @ ordered, times @ ordered**2, times @ logs),
    }


def _exact(number: Array, total: Array, squares: Array, logs: Array) -> dict[str, Array]:
    """What follows from `CLIENT_MOMENTS` without the order of clients."""
    mean = divide(total, number)
    variance = np.maximum(divide(squares, number) - mean**2, 0.0)
    entropy = np.log(np.where(total > 0, total, 1.0)) - divide(logs, total)
    return {
        "mean": mean,
        "variance": variance,
        "deviation": np.sqrt(variance),
        "jain": divide(total**2, number * squares),
        "entropy": np.clip(divide(entropy, np.log(number)), 0.0, 1.0),
    }


def _tenth(ordered: Array, times: Array) -> Array:
    """The mean over the first tenth of clients, rounded up."""
    size = np.ceil(times.sum(-1, keepdims=True) / 10)
    taken = np.clip(size - (np.cumsum(times, -1) - times), 0, times)
    return divide(taken @ ordered, taken.sum(-1))


def _gini(values: Array, times: Array) -> Array:
    """The mean distance of two clients, over twice the mean."""
    order = np.argsort(values)
    ordered, times = values[order], times[..., order]
    ranks = np.cumsum(times, -1) - times / 2  # the middle of the ranks of those that are alike
    number, total = times.sum(-1), times @ ordered
    return divide(2 * ((ranks * times) @ ordered), number * total) - 1


def _evenness(found: Mapping[str, Array], clients: int) -> Evenness:
    some = {name: float(value) for name, value in found.items()}
    return Evenness(
        clients=clients,
        worst=some["worst"],
        worst_tenth=some["worst_tenth"],
        mean=some["mean"],
        best_tenth=some["best_tenth"],
        best=some["best"],
        variance=some["variance"],
        deviation=some["deviation"],
        gini=_or_none(some["gini"]),
        jain=_or_none(some["jain"]),
        entropy=_or_none(some["entropy"]),
    )


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


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
