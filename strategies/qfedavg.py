"""q-FedAvg: clients with large losses move the model more, and the more so the larger q is.

Li et al., Fair Resource Allocation in Federated Learning, ICLR 2020 (arXiv 1905.10497), algorithm 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..wire.lazy import each
from ..wire.messages import Arrays, named, part
from .checks import not_negative
from .compatibility import LIFTED, UNCOVERED, Composes, No, Yes
from .strategy import Delta, Fitted, Released, ServerState
from .tilt import UNIT, weight

LEAST = 1e-10
"""Is added to every loss, as in the authors' code, so that a loss of 0 has a power."""


@dataclass(frozen=True, kw_only=True)
class QFedAvg(Delta):
    """x ← x + Σ pₖFₖ^q Δₖ / Σ pₖhₖ with hₖ = Fₖ^q + q Fₖ^(q-1) ‖Δₖ‖² L, where L = 1/η.

    It minimises Σ pₖFₖ^(q+1)/(q+1). Fₖ is the mean loss of the *received* model over the client's train
    rows, η the local learning rate; the paper has both sums times L. The weighting of the mechanism is
    pₖ: a client's share of the rows, or 1/K. With q = 0 it is FedAvg. L = 1/η holds for SGD without
    momentum alone.

    Losses are in units of what their power mean was a round before, which cancels. Fₖ^q is then near 1,
    and kept between 2^-20 and 2^10; in the first rounds, while the unit is far off, this weighs clients
    alike. Contributing raises ValueError for a negative loss.

    >>> from tacit.strategies import Received
    >>> received = Received(losses=np.array([1.0, 3.0]), guesses=np.zeros(2, np.int64))
    >>> fitted = Fitted(delta={"w": np.ones(1)}, steps=1, learning_rate=0.5, received=received)
    >>> part, _ = QFedAvg(q=1.0).contribute(fitted, {"loss": np.array(1.0)}, {})
    >>> {name: round(float(array.sum()), 6) for name, array in part.items()}
    {'delta/w': 2.0, 'power': 0.000488, 'h': 0.000977}
    """

    composes: ClassVar[Composes] = Composes(
        client_dp=LIFTED,
        row_dp=UNCOVERED,
        secure_aggregation=Yes(),
        sampling=Yes(),
        optimizers=No("L = 1/η holds for steps of plain SGD"),
        momentum=No("L = 1/η holds for steps of plain SGD"),
        reveals="means of clients' losses to the power q",
    )
    asks: ClassVar[bool] = True
    q: float = 1.0

    def __post_init__(self) -> None:
        not_negative(q=self.q)

    def init(self, parameters: Arrays) -> ServerState:
        """The unit of losses is 1 at first."""
        memory = {"unit": {"loss": np.ones(())}}
        return ServerState(round=0, parameters=parameters, memory=memory)

    def extras(self, state: ServerState) -> Arrays:
        """The unit of losses."""
        return state.memory["unit"]

    def contribute(
        self, fitted: Fitted, extras: Arrays, memory: Arrays
    ) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
        """Fₖ^q Δₖ, and Fₖ^q and hₖ in units of 2^-12; nothing to remember."""
        assert fitted.received is not None, "it asks"
        loss = float(fitted.received.losses.mean()) + LEAST
        if loss < 0:
            raise ValueError("Expected a loss >= 0, got a negative one: it has no power q.")
        power = weight(self.q * math.log(loss / float(extras["loss"])))
        bend = self.q / loss * squared_norm(fitted.delta) / fitted.learning_rate
        numbers = {"power": np.array(UNIT * power), "h": np.array(UNIT * power * (1 + bend))}
        return {**named("delta", each(lambda d: power * d, fitted.delta)), **numbers}, {}

    def step(self, state: ServerState, released: Released) -> ServerState:
        """x ← x + Σ pₖFₖ^q Δₖ / Σ pₖhₖ."""
        power, h = (float(released.mean[name]) / UNIT for name in ("power", "h"))
        unit = state.memory["unit"]["loss"]
        if self.q:
            unit = np.clip(unit * weight(math.log(power) / self.q), LEAST, 1 / LEAST)
        step = each(lambda d: d / h, part("delta", released.mean))
        return state.moved(step, unit={"loss": np.asarray(unit)})


def squared_norm(arrays: Arrays) -> float:
    """‖a‖² over all of the arrays, in any order of their names.

    >>> squared_norm({"w": np.array([1.0, 2.0]), "b": np.array(3.0)})
    14.0
    """
    return math.fsum(float(np.sum(np.square(a, dtype=np.float64))) for a in arrays.values())
