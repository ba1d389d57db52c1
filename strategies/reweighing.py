"""Reweighing: every client weighs its rows so that group and class are independent there.

Kamiran and Calders, Data preprocessing techniques for classification without discrimination, Knowledge
and Information Systems 33, 2012, section 4.2 (doi 10.1007/s10115-011-0463-8), at each client by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..wire.messages import Arrays
from .compatibility import WITH_ANY, Composes, No
from .fedavg import FedAvg
from .shares import shares
from .strategy import Correction, Local

Table = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Reweighing(FedAvg):
    """Federated averaging in which a row of group a and class y counts P(a) P(y) / P(a, y).

    The frequencies are the client's own and never leave it. But a weight made of them says something of
    all rows, which the clip of a single row's gradient does not cover: with DP-SGD give `weights`, the
    same for everyone and made of public numbers, by group and class. Then a row's weight depends on the
    row alone, it multiplies the loss before the clip, and the sensitivity stays the clip.
    """

    composes: ClassVar[Composes] = replace(
        WITH_ANY,
        row_dp=No(
            "a row's weight would tell of all rows, and no clip covers that", unless="weights"
        ),
    )
    attribute: str
    groups: int | None = None
    classes: int | None = None
    weights: Table | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.classes == 0:
            raise ValueError("Expected classes, got numbers to predict: they have no frequencies.")
        if self.weights is None:
            return
        if not all(np.isfinite(w) and w >= 0 for row in self.weights for w in row):
            raise ValueError(f"Expected weights >= 0, got {self.weights}.")
        shape = (self.groups, self.classes)
        if None not in shape and _shape(self.weights) != shape:
            raise ValueError(
                f"Expected weights of {self.groups} groups by {self.classes} classes, got {self.weights}."
            )

    def correct(self, extras: Arrays, memory: Arrays, local: Local) -> Correction:
        """Weights for the client's train rows."""
        codes = local.groups[self.attribute]
        if self.weights is None:
            return Correction(weights=independent(codes, local.labels))
        return Correction(weights=np.array(self.weights)[codes, local.labels])


def independent(groups: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """P(a) P(y) / P(a, y) for each row's group a and class y: so weighted, they are independent.

    >>> independent(np.array([0, 0, 0, 1]), np.array([1, 1, 0, 0]))
    array([0.75, 0.75, 1.5 , 0.5 ])
    """
    joint = shares([groups, labels], (int(groups.max()) + 1, int(labels.max()) + 1))
    apart = np.outer(joint.sum(1), joint.sum(0))
    found: NDArray[np.float64] = apart[groups, labels] / joint[groups, labels]
    return found


def _shape(weights: Table) -> tuple[int, int] | None:
    lengths = {len(row) for row in weights}
    return (len(weights), lengths.pop()) if len(lengths) == 1 else None
