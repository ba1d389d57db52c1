"""From histograms of scores to discrimination and calibration, each with the error that bins cause.

A histogram has shape (..., 2, B): rows by class and bin of the score in [0, 1]. G. Cormode and I.
Markov (Federated Calibration and Evaluation of Binary Classifiers, arXiv 2210.12526) found that 50 to
100 bins do.
"""

from __future__ import annotations

import numpy as np

from .rate import Array, Rate, divide


def auc(scores: Array) -> Rate:
    """The chance that a row of class 1 scores above one of class 0; a tie, or the same bin, is half.

    Its standard error is that of E. DeLong, D. DeLong and D. Clarke-Pearson (Biometrics 44, 1988), NaN
    where a class has one row. Its binning error is half of all pairs that share a bin: the AUC of the
    unbinned scores is no further away.

    >>> rate = auc(np.array([[3.0, 1.0], [0.0, 4.0]]))
    >>> float(rate.value), float(rate.binning)
    (0.875, 0.125)
    """
    negatives, positives = scores[..., 0, :], scores[..., 1, :]
    n, p = negatives.sum(-1), positives.sum(-1)
    below = (np.cumsum(negatives, -1) - negatives / 2) / np.where(n > 0, n, 1)[..., np.newaxis]
    above = 1 - (np.cumsum(positives, -1) - positives / 2) / np.where(p > 0, p, 1)[..., np.newaxis]
    value = np.where(n > 0, divide((positives * below).sum(-1), p), np.nan)
    variances = [
        divide(divide((rows * wins**2).sum(-1), size) - value**2, np.maximum(size - 1, 0.0))
        for rows, wins, size in ((positives, below, p), (negatives, above, n))
    ]
    error = np.sqrt(np.maximum(variances[0] + variances[1], 0.0))
    tied = divide((positives * negatives).sum(-1), p * n) / 2
    return Rate(value=value, rows=np.minimum(n, p), error=error, binning=tied, cells=2)


def midpoints(bins: int) -> Array:
    """The middle of each bin."""
    return (np.arange(bins) + 0.5) / bins


def reliability(scores: Array) -> tuple[Array, Array]:
    """For each bin the share of class 1, NaN in an empty one, and the rows: shapes (..., B)."""
    rows = scores.sum(-2)
    return divide(scores[..., 1, :], rows), rows


def calibration_error(scores: Array) -> Rate:
    """The expected calibration error: |share of class 1 - score|, averaged over rows by bins.

    A bin's middle stands for its scores, so it is off by half a bin at most.
    """
    share, rows = reliability(scores)
    bins = scores.shape[-1]
    total = rows.sum(-1)
    apart = np.where(rows > 0, np.abs(share - midpoints(bins)), 0.0)
    return Rate(
        value=divide((apart * rows).sum(-1), total),
        rows=total,
        binning=np.full(total.shape, 0.5 / bins),
    )


def brier(scores: Array) -> Rate:
    """The mean squared distance of score and class, from the middle of bins.

    Each row's distance d is off by h, half a bin, at most, so its square by 2hd + h².
    """
    bins = scores.shape[-1]
    half, middle = 0.5 / bins, midpoints(bins)
    apart = np.stack([middle, 1 - middle])
    total = scores.sum((-2, -1))
    mean, fourth, distance = (
        divide((scores * apart**power).sum((-2, -1)), total) for power in (2, 4, 1)
    )
    error = np.sqrt(divide(np.maximum(fourth - mean**2, 0.0), np.maximum(total - 1, 0.0)))
    return Rate(value=mean, rows=total, error=error, binning=2 * half * distance + half**2)
