"""The mean without noise: exact, and no protection at all."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..wire.lazy import each
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
    >>> dict(mean.bound({"x": np.array([2.0])}, examples=3, terms={}))
    {'sum/x': array([6.]), 'weight': array(3.)}
    """

    weighting: Literal["examples", "uniform"] = "examples"

    def bound(self, contribution: Arrays, examples: int, terms: Settings) -> Arrays:
        """The contribution times its weight, and the weight."""
        weight = np.float64(examples if self.weighting == "examples" else 1)
        weighted = each(partial(_times, weight), contribution)
        return named("sum", weighted) | {WEIGHT: np.array(weight)}

    def event(self, sampling: Sampling, round: int) -> Event:
        """Nothing bounds it."""
        return NonPrivate()

    def release(
        self, total: Arrays, sampling: Sampling, memory: Arrays, noise: Noise
    ) -> tuple[Arrays | None, Arrays]:
        """The sums divided by the sum of the weights; None if nobody contributed."""
        weight = total[WEIGHT]
        if not weight > 0:
            return None, memory
        return dict(each(lambda a: a / weight, part("sum", total))), memory


@np.errstate(over="ignore", invalid="ignore")  # what is not finite is refused on admission
def _times(weight: np.float64, array: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(array * weight)
