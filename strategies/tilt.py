"""How much a client with a large loss counts for, in a unit that every round learns from the last."""

from __future__ import annotations

import numpy as np

LEAST, MOST = 2.0**-20, 2.0**10
"""A weight is within these, in such units: no sum of weights is lost, and none is too large."""
UNIT = 2.0**-12
"""Sums of weights are contributed in this: the least is 2^-32, and the most fits, times many rows."""


def weight(exponent: float) -> float:
    """e^exponent, within `LEAST` and `MOST`. NaN stays NaN, and is refused on admission.

    >>> weight(0.0), weight(1e300), weight(-1e300) == 2**-20
    (1.0, 1024.0, True)
    """
    with np.errstate(over="ignore"):
        return float(np.clip(np.exp(exponent), LEAST, MOST))
