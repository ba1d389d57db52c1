"""A data set as it was loaded: every row, and what is known about each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..client.data import Data
from ..wire.errors import TacitError


class DataError(TacitError):
    """The data is missing, damaged, or cannot be used as asked: one line, what, why, what to try."""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Rows before anyone holds them.

    `classes` is 0 for regression, and for survival, where targets have shape (n, 2): time and event.
    `owner` gives the natural client of each row as an index into `owners`, or is None where the data
    has no natural clients. `test` marks the official test rows (all False where there is no official
    split). `group_names[a][k]` names code k of attribute a. `tabular` says that the features are
    columns that may be standardised.
    """

    name: str
    data: Data
    classes: int
    test: NDArray[np.bool_] = field(repr=False)
    owner: NDArray[np.int64] | None = field(default=None, repr=False)
    owners: tuple[str, ...] = ()
    group_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tabular: bool = True

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one row's features."""
        return tuple(self.data.features.shape[1:])

    def labels(self) -> NDArray[Any]:
        """Class codes of shape (n,) to stratify by; None-like zeros where targets are not classes."""
        targets = self.data.targets
        return targets if self.classes and targets.ndim == 1 else np.zeros(len(targets), np.int64)
