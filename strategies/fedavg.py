"""Federated averaging, and its variant with server momentum.

McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data, AISTATS
2017 (arXiv 1602.05629). Hsu et al., Measuring the Effects of Non-Identical Data Distribution for
Federated Visual Classification, 2019 (arXiv 1909.06335).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..wire.lazy import each
from ..wire.messages import Arrays
from .checks import between, positive
from .compatibility import WITH_ANY, Composes
from .strategy import Delta, Released, ServerState, zeros


@dataclass(frozen=True, kw_only=True)
class FedAvg(Delta):
    """x ← x + η Δ, where Δ is the mean change of the clients.

    >>> import numpy as np
    >>> strategy = FedAvg(learning_rate=0.5)
    >>> state = strategy.init({"w": np.array([1.0])})
    >>> released = Released(mean={"w": np.array([2.0])}, participation=1.0)
    >>> strategy.step(state, released).parameters["w"]
    array([2.])
    """

    composes: ClassVar[Composes] = WITH_ANY
    learning_rate: float = 1.0

    def __post_init__(self) -> None:
        positive(learning_rate=self.learning_rate)

    def init(self, parameters: Arrays) -> ServerState:
        """Nothing to remember."""
        return ServerState(round=0, parameters=parameters)

    def step(self, state: ServerState, released: Released) -> ServerState:
        """x ← x + η Δ."""
        return state.moved(each(lambda d: self.learning_rate * d, released.mean))


@dataclass(frozen=True, kw_only=True)
class FedAvgM(Delta):
    """v ← β v + Δ,  x ← x + η v."""

    composes: ClassVar[Composes] = WITH_ANY
    learning_rate: float = 1.0
    momentum: float = 0.9

    def __post_init__(self) -> None:
        positive(learning_rate=self.learning_rate)
        between(momentum=self.momentum)

    def init(self, parameters: Arrays) -> ServerState:
        """v starts at zero."""
        return ServerState(round=0, parameters=parameters, memory={"v": zeros(parameters)})

    def step(self, state: ServerState, released: Released) -> ServerState:
        """v ← β v + Δ,  x ← x + η v."""
        v = each(lambda v, d: self.momentum * v + d, state.memory["v"], released.mean)
        return state.moved(each(lambda v: self.learning_rate * v, v), v=v)
