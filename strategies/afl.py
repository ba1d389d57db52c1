"""AFL: the model that is best for the worst mixture of the clients.

Mohri et al., Agnostic Federated Learning, ICML 2019 (arXiv 1902.00146), algorithm 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..privacy.simplex import onto_simplex
from ..wire.lazy import each
from ..wire.messages import Arrays, named, part
from .checks import known, positive
from .compatibility import UNCOVERED, Composes, No
from .strategy import Delta, Fitted, Local, Released, ServerState


@dataclass(frozen=True, kw_only=True)
class AFL(Delta):
    """x ← x + η Σ λₖΔₖ,  λ ← Π(λ + γ F), where Π projects onto the simplex and F are the clients' losses.

    Fₖ is the mean loss of the received model over client k's train rows; λ starts uniform. With one local
    step a round this is the paper's algorithm. The model is the mean of all x, as x and λ may circle.

    The server learns the loss of every single client, each in its own place of a vector, so nothing but
    a plain mean goes with it. A client that does not answer counts with its last loss, at first 0.
    """

    composes: ClassVar[Composes] = Composes(
        client_dp=No("the server needs every client's loss, of which noise would leave nothing"),
        row_dp=UNCOVERED,
        secure_aggregation=No("the server needs every client's loss, not their sum"),
        sampling=No("the mixture moves by the losses of all clients"),
        weighting=No("clients are weighted by the mixture alone"),
        reveals="the loss of every single client",
    )
    asks: ClassVar[bool] = True
    learning_rate: float = 1.0
    mixing_rate: float = 0.1
    clients: int | None = None

    def __post_init__(self) -> None:
        positive(learning_rate=self.learning_rate, mixing_rate=self.mixing_rate)

    def init(self, parameters: Arrays) -> ServerState:
        """λ is uniform. Raises ValueError if the number of clients is still open."""
        clients = known("clients", self.clients)
        mixture = {"lambda": np.full(clients, 1 / clients)}
        x = each(lambda a: a.astype(np.float64), parameters)
        last = {"losses": np.zeros(clients)}
        memory = {"mixture": mixture, "last": last, "x": x}
        return ServerState(round=0, parameters=parameters, memory=memory)

    def start(self, state: ServerState) -> Arrays:
        """x, in the dtypes of the model."""
        return each(lambda x, a: x.astype(a.dtype), state.memory["x"], state.parameters)

    def extras(self, state: ServerState) -> Arrays:
        """λ."""
        return state.memory["mixture"]

    def contribute(
        self, fitted: Fitted, extras: Arrays, memory: Arrays
    ) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
        """λₖΔₖ, and in the client's own place its loss and a 1; nothing to remember."""
        assert fitted.received is not None, "it asks"
        mixture, own = extras["lambda"], fitted.local.position
        share, place = float(mixture[own]), _place(fitted.local, len(mixture))
        losses = place * fitted.received.losses.mean()
        delta = each(lambda d: share * d, fitted.delta)
        return {**named("delta", delta), "losses": losses, "present": place}, {}

    def step(self, state: ServerState, released: Released) -> ServerState:
        """x ← x + η Σ λₖΔₖ,  λ ← Π(λ + γ F); the parameters are the mean of x over the rounds."""
        present = released.mean["present"]
        came = 1 / float(present.max())  # a mean of ones, each in its own place
        rate, delta = self.learning_rate * came, part("delta", released.mean)
        x = each(lambda x, d: x + rate * d, state.memory["x"], delta)
        step = each(lambda x, mean: (x - mean) / (state.round + 1), x, state.parameters)
        last = state.memory["last"]["losses"]
        losses = np.where(present > 0, came * released.mean["losses"], last)
        mixture = onto_simplex(state.memory["mixture"]["lambda"] + self.mixing_rate * losses)
        return state.moved(step, x=x, mixture={"lambda": mixture}, last={"losses": losses})


def _place(local: Local, clients: int) -> NDArray[np.float64]:
    """1 in the client's place, else 0."""
    place = np.zeros(clients)
    place[local.position] = 1.0
    return place
