"""How well two worlds can be told apart by what is seen of them, as a lower bound on ε.

Clopper and Pearson 1934 for the rates; Jagielski, Ullman, Oprea 2020 (arXiv 2006.07709) for the use.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def lower_bound(inside: Floats, outside: Floats, delta: float, confidence: float) -> float:
    """A bound that the true ε exceeds with probability `confidence`, from observations in two worlds.

    The first half of each (n, features) chooses a linear score, a threshold and a side; the second half
    alone gives the bound, ln((TPR - δ)/FPR), from one-sided Clopper-Pearson bounds on both rates.
    """
    half = len(inside) // 2
    score = _discriminant(inside[:half], outside[:half])
    ins, outs = inside @ score, outside @ score
    cuts = _cuts(ins[:half], outs[:half])
    surer = 1 - (1 - confidence) / 20  # or the best of so many tests would be a lucky one
    sign, cut = max(
        ((sign, float(cut)) for sign in (1, -1) for cut in cuts),
        key=lambda test: _bound(ins[:half], outs[:half], test[0], test[1], delta, surer),
    )
    return max(_bound(ins[half:], outs[half:], sign, cut, delta, confidence), 0.0)


def _discriminant(inside: Floats, outside: Floats) -> Floats:
    """Fisher's: it whitens noise that is correlated, over rounds or between what is released."""
    pooled = np.concatenate([inside, outside])
    spread = pooled.std(axis=0)
    spread[spread == 0] = 1.0
    within = np.concatenate([inside - inside.mean(axis=0), outside - outside.mean(axis=0)]) / spread
    covariance = within.T @ within / len(within) + 1e-9 * np.eye(len(spread))
    apart = (inside.mean(axis=0) - outside.mean(axis=0)) / spread
    return np.asarray(np.linalg.solve(covariance, apart) / spread, dtype=np.float64)


def _cuts(inside: Floats, outside: Floats) -> Floats:
    """Thresholds to try: dense in the tails, and halfway between what was seen."""
    tail = np.geomspace(1 / len(inside), 0.5, 40)
    levels = np.concatenate([[0.0], tail, 1 - tail, [1.0]])
    edges = np.unique([np.quantile(inside, levels), np.quantile(outside, levels)])
    return np.asarray((edges[1:] + edges[:-1]) / 2) if len(edges) > 1 else edges


def _bound(
    inside: Floats, outside: Floats, sign: int, cut: float, delta: float, confidence: float
) -> float:
    """Of the test that says "in" above `cut` (sign 1), or "out" below it (sign -1)."""
    from scipy.special import betaincinv  # type: ignore[import-untyped]

    shown, other = (inside, outside) if sign > 0 else (outside, inside)
    hits, misses = int(np.sum(sign * shown > sign * cut)), int(np.sum(sign * other > sign * cut))
    alpha, n = (1 - confidence) / 2, len(inside)
    low = float(betaincinv(hits, n - hits + 1, alpha)) if hits else 0.0
    high = float(betaincinv(misses + 1, n - misses, 1 - alpha)) if misses < n else 1.0
    return math.log((low - delta) / high) if low > delta else -math.inf
