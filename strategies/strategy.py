"""What every federated algorithm is: a state, and two pure halves that read it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from ..wire.arrays import layout
from ..wire.lazy import each
from ..wire.messages import Arrays
from .compatibility import Composes

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
class Received:
    """What the received model does on a client's own train rows, before anything is trained there.

    `losses` has shape (n,), and `guesses` (the likeliest class, or the number) that of the labels, or
    (0,) for a task that tells none.
    """

    losses: NDArray[np.float64] = field(repr=False)
    guesses: NDArray[np.int64] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Local:
    """Who the client is among the `clients` of the run, counted from 0, and what its train rows are.

    `labels` has shape (n, ...), and `groups` maps an attribute to codes of shape (n,).
    """

    position: int = 0
    clients: int = 1
    labels: NDArray[Any] = field(default_factory=lambda: np.zeros(0, np.int64), repr=False)
    groups: Mapping[str, NDArray[np.int64]] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True)
class Correction:
    """How a strategy changes local training: f(mean of wᵢℓᵢ) is minimised, with something added.

    `weights` are the wᵢ, one for each train row, and `transform` is f, written with the methods of a
    tensor. With DP-SGD it is f(wᵢℓᵢ) of single rows, before the clip: f of a batch would mix them. To the
    gradient is added `gradient + proximal * (w - anchor)`, where the anchor is by default where w starts.
    """

    proximal: float = 0.0
    anchor: Arrays = field(default_factory=dict, repr=False)
    gradient: Arrays = field(default_factory=dict, repr=False)
    weights: NDArray[np.float64] | None = field(default=None, repr=False)
    transform: Callable[[Any], Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Personal:
    """A model that a client trains for itself after the shared one: from where, and how."""

    parameters: Arrays = field(repr=False)
    correction: Correction = Correction()


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """What local training did: `delta` is w_after - w_received, after `steps` optimizer steps.

    `momentum` is that of plain SGD (0 for other optimizers). `loss` is the mean training loss.
    `received` is there if the strategy asks for it, and `personal`, the parameters of the client's own
    model after training, if it has one.
    """

    delta: Arrays = field(repr=False)
    steps: int
    learning_rate: float
    momentum: float = 0.0
    loss: float = field(default=float("nan"), repr=False)
    local: Local = Local()
    received: Received | None = field(default=None, repr=False)
    personal: Arrays = field(default_factory=dict, repr=False)


class Strategy(Protocol):
    """A federated algorithm. It never sees an individual update, and never a client's data.

    The server half is `init`, `start`, `extras` and `step`, the client half `correct`, `personal` and
    `contribute`: whatever it contributes may be summed over clients. `memory` is the client's own, from
    its last round, and empty in its first. A strategy that `asks` is told what the received model does
    on the client's rows, which takes a pass over them. `composes` says what else it goes with.
    """

    composes: ClassVar[Composes]
    asks: ClassVar[bool]

    def init(self, parameters: Arrays) -> ServerState:
        """The state before the first round."""
        ...

    def start(self, state: ServerState) -> Arrays:
        """What clients train from: as a rule the parameters, which are the model that is measured."""
        ...

    def extras(self, state: ServerState) -> Arrays:
        """What is sent beside that."""
        ...

    def correct(self, extras: Arrays, memory: Arrays, local: Local) -> Correction:
        """What the client changes in its training."""
        ...

    def personal(self, received: Arrays, memory: Arrays) -> Personal | None:
        """The client's own model, given the parameters of the shared one; None if it has none."""
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


def still(parameters: Arrays) -> Fitted:
    """A fit on one row that moved nothing: what a strategy contributes for it has the layout of all.

    >>> still({"w": np.ones(2)}).delta["w"]
    array([0., 0.])
    """
    codes = np.zeros(1, np.int64)
    return Fitted(
        delta=layout(parameters),
        steps=1,
        learning_rate=1.0,
        loss=0.0,
        local=Local(labels=codes, groups=defaultdict(lambda: codes)),
        received=Received(losses=np.zeros(1), guesses=codes),
        personal=layout(parameters),
    )


@dataclass(frozen=True, kw_only=True)
class Delta:
    """The client half that most algorithms share: train without correction, contribute the change."""

    asks: ClassVar[bool] = False

    def start(self, state: ServerState) -> Arrays:
        """The parameters."""
        return state.parameters

    def extras(self, state: ServerState) -> Arrays:
        """Nothing."""
        return {}

    def correct(self, extras: Arrays, memory: Arrays, local: Local) -> Correction:
        """None."""
        return Correction()

    def personal(self, received: Arrays, memory: Arrays) -> Personal | None:
        """None."""
        return None

    def contribute(
        self, fitted: Fitted, extras: Arrays, memory: Arrays
    ) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
        """The change of the parameters; nothing to remember."""
        return dict(fitted.delta), {}
