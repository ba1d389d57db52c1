"""Adaptive server optimizers: FedAdagrad, FedAdam and FedYogi.

Reddi et al., Adaptive Federated Optimization, ICLR 2021 (arXiv 2003.00295), algorithm 2. As there,
no bias correction. There v starts at τ² or more; here it starts at zero, so that τ alone bounds
the first steps.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..wire.lazy import each
from ..wire.messages import Arrays
from .checks import between, positive
from .compatibility import WITH_ANY, Composes
from .strategy import Delta, Floats, Released, ServerState, zeros


@dataclass(frozen=True, kw_only=True)
class _Adaptive(Delta, ABC):
    """m ← β₁ m + (1-β₁) Δ,  v ← second(v, Δ²),  x ← x + η m / (√v + τ)."""

    composes: ClassVar[Composes] = WITH_ANY
    learning_rate: float = 0.1
    beta1: float = 0.9
    tau: float = 1e-3

    def __post_init__(self) -> None:
        positive(learning_rate=self.learning_rate, tau=self.tau)
        between(beta1=self.beta1)

    def init(self, parameters: Arrays) -> ServerState:
        """m and v start at zero."""
        memory = {"m": zeros(parameters), "v": zeros(parameters)}
        return ServerState(round=0, parameters=parameters, memory=memory)

    def step(self, state: ServerState, released: Released) -> ServerState:
        """Moves by the momentum, scaled by the root of the second moment."""
        delta, memory = released.mean, state.memory
        m = each(lambda m, d: self.beta1 * m + (1 - self.beta1) * d, memory["m"], delta)
        v = self.second(memory["v"], each(np.square, delta))
        x = each(lambda m, v: self.learning_rate * m / (np.sqrt(v) + self.tau), m, v)
        return state.moved(x, m=m, v=v)

    @abstractmethod
    def second(self, v: Floats, squared: Floats) -> Floats:
        """The second moment after seeing Δ²: where the three algorithms differ."""


@dataclass(frozen=True, kw_only=True)
class FedAdagrad(_Adaptive):
    """v ← v + Δ²."""

    def second(self, v: Floats, squared: Floats) -> Floats:
        """v + Δ²."""
        return each(np.add, v, squared)


@dataclass(frozen=True, kw_only=True)
class FedAdam(_Adaptive):
    """v ← β₂ v + (1-β₂) Δ²."""

    beta2: float = 0.99

    def __post_init__(self) -> None:
        super().__post_init__()
        between(beta2=self.beta2)

    def second(self, v: Floats, squared: Floats) -> Floats:
        """β₂ v + (1-β₂) Δ²."""
        return each(lambda v, s: self.beta2 * v + (1 - self.beta2) * s, v, squared)


@dataclass(frozen=True, kw_only=True)
class FedYogi(_Adaptive):
    """v ← v - (1-β₂) Δ² sign(v - Δ²)."""

    beta2: float = 0.99

    def __post_init__(self) -> None:
        super().__post_init__()
        between(beta2=self.beta2)

    def second(self, v: Floats, squared: Floats) -> Floats:
        """v - (1-β₂) Δ² sign(v - Δ²)."""
        return each(lambda v, s: v - (1 - self.beta2) * s * np.sign(v - s), v, squared)
