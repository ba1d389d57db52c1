"""SCAFFOLD: control variates that cancel the drift of clients.

Karimireddy et al., SCAFFOLD: Stochastic Controlled Averaging for Federated Learning, ICML 2020
(arXiv 1910.06378), algorithm 1 with option II.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from numpy.typing import NDArray

from ..wire.lazy import each
from ..wire.messages import Arrays, named, part
from .checks import positive
from .compatibility import WITH_ANY, Composes, No, Yes
from .fednova import accumulated
from .strategy import Correction, Fitted, Local, Personal, Released, ServerState, zeros


@dataclass(frozen=True, kw_only=True)
class Scaffold:
    """Local steps along g - cᵢ + c;  cᵢ⁺ = cᵢ - c + (x - yᵢ)/(K ηₗ);  c ← c + |S|/N mean(cᵢ⁺ - cᵢ).

    The client remembers cᵢ between the rounds in which it takes part. With local momentum, K is the
    ‖aᵢ‖₁ of FedNova.
    """

    composes: ClassVar[Composes] = replace(
        WITH_ANY,
        client_dp=Yes("a client's change and its control variate share one clip"),
        optimizers=No("control variates are gradients only after SGD steps"),
    )
    asks: ClassVar[bool] = False
    learning_rate: float = 1.0

    def __post_init__(self) -> None:
        positive(learning_rate=self.learning_rate)

    def init(self, parameters: Arrays) -> ServerState:
        """c starts at zero."""
        return ServerState(round=0, parameters=parameters, memory={"c": zeros(parameters)})

    def start(self, state: ServerState) -> Arrays:
        """x."""
        return state.parameters

    def extras(self, state: ServerState) -> Arrays:
        """The server's control variate c, in the dtypes of the model."""
        c = state.memory["c"]
        return {k: c[k].astype(x.dtype) for k, x in state.parameters.items()}

    def correct(self, extras: Arrays, memory: Arrays, local: Local) -> Correction:
        """c - cᵢ, where cᵢ is zero before the client's first round."""
        return Correction(gradient={k: c - memory[k] if memory else c for k, c in extras.items()})

    def personal(self, received: Arrays, memory: Arrays) -> Personal | None:
        """None."""
        return None

    def contribute(
        self, fitted: Fitted, extras: Arrays, memory: Arrays
    ) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
        """The change of the parameters and of cᵢ; remembers cᵢ⁺."""
        # K, or with momentum what a unit gradient is carried: K alone lets c grow without bound.
        travelled = accumulated(fitted.steps, fitted.momentum) * fitted.learning_rate
        change = {k: -c - fitted.delta[k] / travelled for k, c in extras.items()}
        control = {k: memory[k] + d if memory else d for k, d in change.items()}
        return {**named("delta", fitted.delta), **named("control", change)}, control

    def step(self, state: ServerState, released: Released) -> ServerState:
        """x ← x + η mean(Δ),  c ← c + |S|/N mean(cᵢ⁺ - cᵢ)."""
        delta, change = part("delta", released.mean), part("control", released.mean)
        c = each(lambda c, d: c + released.participation * d, state.memory["c"], change)
        return state.moved(each(lambda d: self.learning_rate * d, delta), c=c)
