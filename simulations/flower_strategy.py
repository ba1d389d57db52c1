"""Strategies of Flower that the configuration names: their client half, and where the other one is.

This package knows nothing of Flower. The server half is found by its name, as a user's own class is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from ..strategies.checks import known
from ..strategies.compatibility import Composes, No, Yes
from ..strategies.listing import listed
from ..strategies.strategy import Correction, Delta, Fitted, Local, Released, ServerState
from ..wire.messages import Arrays

SERVER_HALF = "tacit.flower.strategy:ServerHalf"
UNIT = 2.0**-20
"""In which rows are listed, so that a million, weighted by themselves, fit into a sum."""


class ServerHalf(Protocol):
    """What decides what clients are sent, and what becomes of their replies."""

    def try_round(self) -> None:
        """Raises `ConfigError` if there is no such strategy, or it cannot do its work here."""
        ...

    def proximal(self, state: ServerState) -> float:
        """How strongly local training is pulled back to the received model."""
        ...

    def step(self, state: ServerState, released: Released) -> ServerState:
        """The state one round later."""
        ...


@dataclass(frozen=True, kw_only=True)
class FlowerStrategy(Delta):
    """A strategy of Flower by its `name`, or anybody's as "package.module:Class", made with `options`.

    It is given the weights of every single client, `num-examples`, in the proportions of the mechanism's
    weighting, and, under the name that `loss` says, the mean training loss. So contributions have a place
    for each of the `clients`. FedProx's μ reaches local training. Who takes part is the sampler's matter.
    All parties need Flower, which is asked what clients are sent; the server half runs where rounds do.

    >>> strategy = FlowerStrategy(name="FedMedian", clients=3)
    >>> one = Local(position=1, clients=3, labels=np.zeros(20))
    >>> fitted = Fitted(delta={"w": np.ones(1)}, steps=1, learning_rate=0.1, local=one)
    >>> strategy.contribute(fitted, {}, {})[0]["there"]
    array([0., 1., 0.])
    """

    composes: ClassVar[Composes] = Composes(
        client_dp=No(
            "the server needs every client's update, of which noise would leave nothing; tacit's own "
            "fedavg, fedavgm, fedprox, fedadam, fedyogi and fedadagrad go with it"
        ),
        row_dp=No("the losses of clients would leave without noise", when="loss"),
        secure_aggregation=No("the server needs every client's update, not their sum"),
        sampling=Yes("the sampler draws; what the strategy samples does not act"),
        reveals="the update of every single client",
    )
    name: str
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    loss: str | None = None
    clients: int | None = None

    def init(self, parameters: Arrays) -> ServerState:
        """Nothing to remember. Raises `ConfigError` if the strategy fails in a round that is tried."""
        self._server_half().try_round()
        return ServerState(round=0, parameters=parameters)

    def extras(self, state: ServerState) -> Arrays:
        """The μ of FedProx, or 0."""
        return {"proximal": np.array(self._server_half().proximal(state))}

    def correct(self, extras: Arrays, memory: Arrays, local: Local) -> Correction:
        """The gradient of μ/2 ‖w - x‖² is μ (w - x)."""
        return Correction(proximal=float(extras["proximal"]))

    def contribute(
        self, fitted: Fitted, extras: Arrays, memory: Arrays
    ) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
        """The change, the number of rows and, if asked for, the loss: each in the client's place."""
        position, clients = fitted.local.position, known("clients", self.clients)
        place = np.arange(clients) == position
        numbers = {"rows": UNIT * len(fitted.local.labels) * place}
        if self.loss is not None:
            numbers["loss"] = np.where(place, fitted.loss, 0.0)
        return {**listed(fitted.delta, position, clients), **numbers}, {}

    def step(self, state: ServerState, released: Released) -> ServerState:
        """What Flower's strategy makes of the replies."""
        return self._server_half().step(state, released)

    def _server_half(self) -> ServerHalf:
        from .config import ConfigError  # which imports this module
        from .importing import imported

        if find_spec("flwr") is None:
            raise ConfigError(
                "strategy.kind: a strategy of Flower needs Flower: pip install 'tacit[flower]'"
            )
        made: ServerHalf = imported(SERVER_HALF, "strategy")(
            name=self.name,
            options=self.options,
            loss=self.loss,
            clients=known("clients", self.clients),
        )
        return made
