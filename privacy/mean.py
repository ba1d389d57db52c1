"""The mean without noise: exact, and no protection at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..wire.messages import Arrays, Settings, named, part
from .event import Event, NonPrivate
from .mechanism import Central, Steady
from .noise import Noise
from .sampling import Sampling

WEIGHT = "weight"


@dataclass(frozen=True, kw_only=True)
class Mean(Central, Steady):
    """The mean of the contributions, weighted by rows or uniform over clients.

    Not private: no ε bounds what the mean says about a client, and `examples` weights let a client
    claim any influence that admission allows. It is the choice for data that is not sensitive.

    Guarantees:
      - What is released is the weighted mean to within 2^-32 (and the rounding of float64), in any
        order of addition.

    >>> mean = Mean(weighting="examples")
    >>> mean.bound({"x": np.array([2.0])}, examples=3, terms={})
    {'sum/x': array([6.]), 'weight': array(3.)}
    """

    weighting: Literal["examples", "uniform"] = "examples"

    def bound(self, contribution: Arrays, examples: int, terms: Settings) -> Arrays:
        """The contribution times its weight, and the weight."""
        weight = np.float64(examples if self.weighting == "examples" else 1)
        with np.errstate(over="ignore"):  # what becomes infinite is refused on admission
            weighted = {name: array * weight for name, array in contribution.items()}
        return {**named("sum", weighted), WEIGHT: np.array(weight)}

    def event(self, sampling: Sampling, round: int) -> Event:
        """Nothing bounds it."""
        return NonPrivate()

    def release(
        self, total: Arrays, sampling: Sampling, memory: Arrays, noise: Noise
    ) -> tuple[Arrays | None, Arrays]:
        """The sums divided by the sum of the weights; None if nobody contributed."""
        if not total[WEIGHT] > 0:
            return None, memory
        return {name: a / total[WEIGHT] for name, a in part("sum", total).items()}, memory
