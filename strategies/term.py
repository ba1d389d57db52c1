"""TERM: clients count by the exponential of their loss.

Li et al., Tilted Empirical Risk Minimization, ICLR 2021 (arXiv 2007.01162); On Tilted Losses in Machine
Learning, JMLR 2023 (arXiv 2109.06141), where the groups to be tilted are clients.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..wire.lazy import each
from ..wire.messages import Arrays, named, part
from .checks import positive
from .compatibility import LIFTED, UNCOVERED, Composes, Yes
from .strategy import Delta, Fitted, Released, ServerState
from .tilt import UNIT, weight


@dataclass(frozen=True, kw_only=True)
class TERM(Delta):
    """x ← x + η Σ pₖe^(tFₖ) Δₖ / Σ pₖe^(tFₖ), which minimises 1/t log Σ pₖe^(tFₖ).

    Fₖ is the mean loss of the received model over the client's train rows. A large t attends to the worst
    client, and t near 0 is FedAvg.

    Losses count from the tilted mean c = 1/t log Σ pₖe^(tFₖ) of the round before, which cancels. A weight
    e^(t(Fₖ-c)) is then near 1, and kept between 2^-20 and 2^10; while c is far off, as in the first
    round, this weighs clients alike.
    """

    composes: ClassVar[Composes] = Composes(
        client_dp=LIFTED,
        row_dp=UNCOVERED,
        secure_aggregation=Yes(),
        sampling=Yes(),
        reveals="the mean and the tilted mean of clients' losses",
    )
    asks: ClassVar[bool] = True
    learning_rate: float = 1.0
    t: float = 1.0

    def __post_init__(self) -> None:
        positive(learning_rate=self.learning_rate, t=self.t)

    def init(self, parameters: Arrays) -> ServerState:
        """c is 0 at first."""
        return ServerState(
            round=0, parameters=parameters, memory={"tilted": {"mean": np.zeros(())}}
        )

    def extras(self, state: ServerState) -> Arrays:
        """c."""
        return state.memory["tilted"]

    def contribute(
        self, fitted: Fitted, extras: Arrays, memory: Arrays
    ) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
        """e^(t(Fₖ-c)) Δₖ, e^(t(Fₖ-c)) in units of 2^-12, and Fₖ; nothing to remember."""
        assert fitted.received is not None, "it asks"
        loss = float(fitted.received.losses.mean())
        tilt = weight(self.t * (loss - float(extras["mean"])))
        delta = each(lambda d: tilt * d, fitted.delta)
        numbers = {"tilt": np.array(UNIT * tilt), "loss": np.array(loss)}
        return {**named("delta", delta), **numbers}, {}

    def step(self, state: ServerState, released: Released) -> ServerState:
        """x ← x + η Σ pₖe^(tFₖ) Δₖ / Σ pₖe^(tFₖ)."""
        tilt, loss = float(released.mean["tilt"]) / UNIT, float(released.mean["loss"])
        step = each(lambda d: self.learning_rate / tilt * d, part("delta", released.mean))
        tilted = float(state.memory["tilted"]["mean"]) + math.log(tilt) / self.t
        # It is never below the mean, unless the weights that it is from were cut.
        return state.moved(step, tilted={"mean": np.array(max(tilted, loss))})
