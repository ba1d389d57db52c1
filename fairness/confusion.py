"""From confusion tables to rates by group: pure functions that take any number of leading axes.

A table of G groups has shape (..., G, C, C), and a rate of it (..., G). The leading axes may be
clients or draws of a bootstrap, so that an estimate and its error bars come from the same lines.
"""

from __future__ import annotations

import numpy as np

from .rate import Array, Rate, divide


def binary_rates(confusion: Array, classes: int = 2) -> dict[str, Rate]:
    """The rates of tables [class][guess] of shape (..., 2, 2); class 1 is the positive one.

    Counts of one of so many `classes` against the rest are sums of as many cells.

    >>> women = np.array([[32.0, 9.0], [7.0, 8.0]])
    >>> rates = binary_rates(women)
    >>> round(float(rates["recall"].value), 3), float(rates["recall"].rows)
    (0.533, 15.0)
    """
    tn, fp = confusion[..., 0, 0], confusion[..., 0, 1]
    fn, tp = confusion[..., 1, 0], confusion[..., 1, 1]
    rows, negatives, positives, selected = tn + fp + fn + tp, tn + fp, fn + tp, fp + tp
    fractions = {
        "accuracy": (tn + tp, rows),
        "base_rate": (positives, rows),
        "f1": (2 * tp, 2 * tp + fp + fn),
        "false_negative_rate": (fn, positives),
        "false_positive_rate": (fp, negatives),
        "precision": (tp, selected),
        "recall": (tp, positives),
        "selection_rate": (selected, rows),
        "specificity": (tn, negatives),
    }
    cells = {"accuracy": 1, "base_rate": 1, "selection_rate": 1, "f1": 2 * classes + 2}
    return {
        name: Rate(value=divide(part, whole), rows=whole, cells=cells.get(name, classes))
        for name, (part, whole) in fractions.items()
    }


def one_vs_rest(confusion: Array) -> Array:
    """The tables of each class against all others: (..., C, C) becomes (..., C, 2, 2)."""
    tp = np.diagonal(confusion, axis1=-2, axis2=-1)
    fn, fp = confusion.sum(-1) - tp, confusion.sum(-2) - tp
    tn = confusion.sum((-2, -1))[..., np.newaxis] - tp - fn - fp
    return np.stack([np.stack([tn, fp], -1), np.stack([fn, tp], -1)], -2)


def class_rates(confusion: Array) -> dict[str, Rate]:
    """The rates of tables of shape (..., C, C): accuracy, macro averages, and those of each class.

    `recall.3` is the recall of class 3 against the rest. A macro average is over the classes that have
    the rate. Where a row has one class, the micro averages of precision, recall and F1 are the
    accuracy.
    """
    rows, right = confusion.sum((-2, -1)), np.trace(confusion, axis1=-2, axis2=-1)
    found = {"accuracy": Rate(value=divide(right, rows), rows=rows)}
    each = binary_rates(one_vs_rest(confusion), confusion.shape[-1])
    for name in ("precision", "recall", "f1"):
        there = ~np.isnan(each[name].value)
        total = np.where(there, each[name].value, 0.0).sum(-1)
        found[f"{name}_macro"] = Rate(
            value=divide(total, there.sum(-1).astype(np.float64)), rows=rows
        )
    for name in ("f1", "false_positive_rate", "precision", "recall", "selection_rate"):
        for label in range(confusion.shape[-1]):
            rate = each[name]
            found[f"{name}.{label}"] = Rate(
                value=rate.value[..., label], rows=rate.rows[..., label], cells=rate.cells
            )
    return found
