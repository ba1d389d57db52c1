"""The mean without noise: exact, and no protection at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..wire.messages import Arrays, named, part

WEIGHT = "weight"


@dataclass(frozen=True, kw_only=True)
class Mean:
    """The mean of the contributions, weighted by rows or uniform over clients.

    Not private: no ε bounds what the mean says about a client, and `examples` weights let a client
    claim any influence that admission allows. It is the choice for data that is not sensitive.

    Guarantees:
      - What is released is the weighted mean to within 2^-32 (and the rounding of float64), in any
        order of addition.

    >>> mean = Mean(weighting="examples")
    >>> mean.bound({"x": np.array([2.0])}, examples=3)
    {'sum/x': array([6.]), 'weight': array(3.)}
    >>> mean.release({"sum/x": np.array([6.0]), "weight": np.array(3.0)})
    {'x': array([2.])}
    """

    weighting: Literal["examples", "uniform"] = "examples"

    def bound(self, contribution: Arrays, examples: int) -> Arrays:
        """The contribution times its weight, and the weight."""
        weight = np.float64(examples if self.weighting == "examples" else 1)
        with np.errstate(over="ignore"):  # what becomes infinite is refused on admission
            weighted = {name: array * weight for name, array in contribution.items()}
        return {**named("sum", weighted), WEIGHT: np.array(weight)}

    def release(self, total: Arrays) -> Arrays:
        """The sums divided by the sum of the weights. Raises ValueError if nothing was added."""
        if not total or not total[WEIGHT] > 0:
            raise ValueError("Expected a positive total weight, got none.")
        return {name: array / total[WEIGHT] for name, array in part("sum", total).items()}
