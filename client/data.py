"""What one client holds: rows that never leave it, and the attributes by which fairness is judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = slice | NDArray[np.int64] | NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Data:
    """Aligned arrays with one entry per row. Nothing in here prints.

    `features` has shape (n, ...), `targets` has shape (n, ...) (class codes as int64, or float32 to
    regress on), and `groups` maps the name of an attribute to codes of shape (n,).

    >>> data = Data(features=np.zeros((3, 2), np.float32), targets=np.array([0, 1, 1]))
    >>> len(data), len(data.rows(slice(1, 3)))
    (3, 2)
    """

    features: NDArray[Any] = field(repr=False)
    targets: NDArray[Any] = field(repr=False)
    groups: Mapping[str, NDArray[np.int64]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        lengths = {len(self.features), len(self.targets), *map(len, self.groups.values())}
        if len(lengths) != 1:
            raise ValueError(f"Expected arrays of one length, got lengths {sorted(lengths)}.")

    def __len__(self) -> int:
        return len(self.features)

    def rows(self, which: Rows) -> Data:
        """The chosen rows. A slice gives views of the same memory; indices give copies."""
        groups = {name: codes[which] for name, codes in self.groups.items()}
        return Data(features=self.features[which], targets=self.targets[which], groups=groups)
