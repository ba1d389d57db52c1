"""What every federated algorithm is: a state, and two pure halves that read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..wire.arrays import layout
from ..wire.lazy import each
from ..wire.messages import Arrays

Floats = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class ServerState:
    """Everything the server half knows after `round` rounds. It is a value: it is stored and resumed.

    Its arrays may be computed or read from a file when they are asked for, as those of a large model
    are. `parameters` keep the dtypes of the model. `memory` holds what the algorithm remembers, by name:
    a momentum, a second moment, a control variate.
    """

    round: int
    parameters: Arrays = field(repr=False)
    memory: Mapping[str, Arrays] = field(default_factory=dict, repr=False)

    def moved(self, step: Arrays, **memory: Arrays) -> ServerState:
        """The state one round later, its parameters moved by `step`, its memory updated by name."""
        parameters = each(_moved, self.parameters, step)
        return ServerState(
            round=self.round + 1, parameters=parameters, memory={**self.memory, **memory}
        )

    def unmoved(self) -> ServerState:
        """The state after a round to which nobody contributed."""
        return replace(self, round=self.round + 1)


@dataclass(frozen=True, kw_only=True)
class Released:
    """What a mechanism let through: the mean contribution, and the public rate of participation.

    `participation` is the expected size of a cohort divided by the number of clients.
    """

    mean: Arrays = field(repr=False)
    participation: float


@dataclass(frozen=True, kw_only=True)
class Correction:
    """What a strategy adds to every local gradient: `gradient + proximal * (w - w_received)`."""

    proximal: float = 0.0
    gradient: Arrays = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """What local training did: `delta` is w_after - w_received, after `steps` optimizer steps.

    `momentum` is that of plain SGD (0 for other optimizers). `loss` is the mean training loss.
    """

    delta: Arrays = field(repr=False)
    steps: int
    learning_rate: float
    momentum: float = 0.0
    loss: float = field(default=float("nan"), repr=False)


class Strategy(Protocol):
    """A federated algorithm. It never sees an individual update, and never a client's data.

    The server half is `init`, `extras` and `step`. The client half is `correct` and `contribute`:
    whatever it contributes may be summed over clients. `memory` is the client's own, from its last
    round, and empty in its first.
    """

    def init(self, parameters: Arrays) -> ServerState:
        """The state before the first round."""
        ...

    def extras(self, state: ServerState) -> Arrays:
        """What is sent beside the parameters."""
        ...

    def correct(self, extras: Arrays, memory: Arrays) -> Correction:
        """What the client adds to its gradients."""
        ...

    def contribute(
        self, fitted: Fitted, extras: Arrays, memory: Arrays
    ) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
        """The client's contribution and its memory for the next time it takes part."""
        ...

    def step(self, state: ServerState, released: Released) -> ServerState:
        """The state one round later."""
        ...


def _moved(x: NDArray[Any], step: NDArray[Any]) -> NDArray[Any]:
    """(x + step).astype(x.dtype), without the sum in float64 as a whole."""
    moved, wide = np.empty(x.shape, x.dtype), np.result_type(x, step)
    np.add(x, step, out=moved, dtype=wide, casting="unsafe")
    return moved


def zeros(parameters: Arrays) -> Floats:
    """Float64 zeros in the shapes of `parameters`."""
    return each(lambda a: np.zeros(a.shape), layout(parameters))


@dataclass(frozen=True, kw_only=True)
class Delta:
    """The client half that most algorithms share: train without correction, contribute the change."""

    def extras(self, state: ServerState) -> Arrays:
        """Nothing."""
        return {}

    def correct(self, extras: Arrays, memory: Arrays) -> Correction:
        """None."""
        return Correction()

    def contribute(
        self, fitted: Fitted, extras: Arrays, memory: Arrays
    ) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
        """The change of the parameters; nothing to remember."""
        return dict(fitted.delta), {}
