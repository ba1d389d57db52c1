"""FedNova: clients that take more steps do not pull the average towards themselves.

Wang et al., Tackling the Objective Inconsistency Problem in Heterogeneous Federated Optimization,
NeurIPS 2020 (arXiv 2007.07481), equations 6 to 9.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..wire.lazy import each
from ..wire.messages import Arrays, named, part
from .checks import positive
from .compatibility import WITH_ANY, Composes, Yes
from .strategy import Delta, Fitted, Released, ServerState

NORM_UNIT = 2.0**-16
"""‖a‖₁ is contributed in this unit: times a client's rows, it has to fit into an exact sum."""


@dataclass(frozen=True, kw_only=True)
class FedNova(Delta):
    """x ← x + η τ_eff Σ pᵢ Δᵢ/‖aᵢ‖₁ with τ_eff = Σ pᵢ ‖aᵢ‖₁.

    aᵢ weighs the gradients that a client's optimizer accumulated: ‖aᵢ‖₁ is the number of steps for
    plain SGD, and more with momentum. With equal ‖aᵢ‖₁ everywhere this is FedAvg. For optimizers
    other than SGD the paper gives no aᵢ, and the number of steps is used.
    """

    composes: ClassVar[Composes] = replace(
        WITH_ANY,
        client_dp=Yes("step counts are clipped and noised too: give all clients the same number"),
        reveals="the mean number of local steps",
    )
    learning_rate: float = 1.0

    def __post_init__(self) -> None:
        positive(learning_rate=self.learning_rate)

    def init(self, parameters: Arrays) -> ServerState:
        """Nothing to remember."""
        return ServerState(round=0, parameters=parameters)

    def contribute(
        self, fitted: Fitted, extras: Arrays, memory: Arrays
    ) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
        """The change per accumulated gradient, and how much was accumulated."""
        norm = accumulated(fitted.steps, fitted.momentum)
        direction = {k: d / norm for k, d in fitted.delta.items()}
        return {**named("direction", direction), "norm": np.array(norm * NORM_UNIT)}, {}

    def step(self, state: ServerState, released: Released) -> ServerState:
        """x ← x + η τ_eff Σ pᵢ Δᵢ/‖aᵢ‖₁."""
        tau = float(released.mean["norm"]) / NORM_UNIT
        direction = part("direction", released.mean)
        return state.moved(each(lambda d: self.learning_rate * tau * d, direction))


def accumulated(steps: int, momentum: float) -> float:
    """‖a‖₁ after `steps` of SGD with momentum ρ: Σₖ (1 - ρ^(τ-k)) / (1 - ρ), k = 0..τ-1.

    >>> accumulated(5, momentum=0.0), accumulated(2, momentum=0.5)
    (5.0, 2.5)
    """
    if steps < 1:
        return 1.0
    powers = momentum ** np.arange(1, steps + 1)
    return float(np.sum((1 - powers) / (1 - momentum)))
