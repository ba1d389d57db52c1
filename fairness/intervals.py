"""Error bars from tables of counts: what other rows, other clients or other noise would have given.

Drawing n rows with replacement and counting them is one multinomial draw from the counts, so the
bootstrap of rows needs no rows (B. Efron, Annals of Statistics 7, 1979). Draws lie along the first
axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from .rate import Array

CONFIDENCE: Final = 0.95
PERCENTILES: Final = (0.025, 0.5, 0.975)


@dataclass(frozen=True, kw_only=True)
class Interval:
    """The middle 95 % of draws: percentiles 2.5 and 97.5, and the median.

    `defined` is the share of draws in which there was a value at all; the others are left out.
    """

    low: float
    high: float
    median: float
    defined: float


def intervals(draws: Array) -> list[Interval | None]:
    """The interval of each column of draws, shape (D, N); None where no draw has a value.

    >>> intervals(np.arange(81.0)[:, np.newaxis])
    [Interval(low=2.0, high=78.0, median=40.0, defined=1.0)]
    """
    ordered = np.sort(draws, axis=0)  # what is not a number comes last
    there = (~np.isnan(ordered)).sum(0)
    low, median, high = (_quantile(ordered, there, q) for q in PERCENTILES)
    return [
        Interval(low=float(a), median=float(b), high=float(c), defined=float(n / len(draws)))
        if n
        else None
        for a, b, c, n in zip(low, median, high, there, strict=True)
    ]


def rows_anew(table: Array, draws: int, rng: np.random.Generator) -> Array:
    """Tables (D, ...) of as many rows, drawn with replacement from those that `table` counts."""
    counts = table.ravel()
    total = counts.sum()
    if total < 1:
        return np.zeros((draws, *table.shape))
    drawn = rng.multinomial(round(total), counts / total, size=draws)
    return drawn.reshape(draws, *table.shape).astype(np.float64)


def clients_anew(clients: int, draws: int, rng: np.random.Generator) -> Array:
    """How often each client comes up in as many draws with replacement: (D, K)."""
    return rng.multinomial(clients, np.full(clients, 1 / clients), size=draws).astype(np.float64)


def resum(times: Array, tables: Array) -> Array:
    """The sums (D, ...) of tables (K, ...) of clients, each as often as `times` (D, K) says."""
    return (times @ tables.reshape(len(tables), -1)).reshape(len(times), *tables.shape[1:])


def _quantile(ordered: Array, there: Array, q: float) -> Array:
    place = q * np.maximum(there - 1, 0)
    below = np.floor(place).astype(np.int64)
    above = np.minimum(below + 1, np.maximum(there - 1, 0).astype(np.int64))
    columns = np.arange(ordered.shape[1])
    weight = place - below
    result: Array = ordered[below, columns] * (1 - weight) + ordered[above, columns] * weight
    return result
