"""FedMGDA+: a step that is downhill for every client.

Hu et al., Federated Learning Meets Multi-Objective Optimization, IEEE Transactions on Network Science
and Engineering 9(4), 2022 (arXiv 2006.11489), algorithm 2. The quadratic program is solved by the
working sets of two of Fan et al., Working Set Selection Using Second Order Information, JMLR 2005.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..wire.lazy import each
from ..wire.messages import Arrays, part
from .checks import known, positive
from .compatibility import Composes, No, Yes
from .listing import THERE, listed
from .strategy import Delta, Fitted, Released, ServerState

Vector = NDArray[np.float64]

CLOSE = 1e-10
"""How far from optimal λ may be: the most that moving weight between two clients would still gain."""
MOST_STEPS = 100_000


@dataclass(frozen=True, kw_only=True)
class FedMGDA(Delta):
    """x ← x + η Σ λ_k g_k with g_k = Δ_k/‖Δ_k‖ and λ = argmin ‖Σ λ_k g_k‖².

    λ is of the simplex with |λ_k - λ⁰_k| ≤ ε, where λ⁰ is the weighting of the mechanism: the share of
    the rows, or 1/K. With ε = 1 the step hurts no client, to first order; with ε = 0 it is the average
    of directions.

    λ needs every update, not their sum. So a contribution has a place for each of the `clients`, in which
    its own is the only one filled: the sum is the list. An update is as many times larger, which suits
    tens of clients, and no masking could hide what is listed.
    """

    composes: ClassVar[Composes] = Composes(
        client_dp=No("the server needs every client's update, of which noise would leave nothing"),
        row_dp=Yes(),
        secure_aggregation=No("the server needs every client's update, not their sum"),
        sampling=Yes("no client of the cohort is hurt; others may be"),
        reveals="the update of every single client",
    )
    clients: int | None = None
    learning_rate: float = 1.0
    epsilon: float = 0.1

    def __post_init__(self) -> None:
        positive(learning_rate=self.learning_rate)
        if not 0 <= self.epsilon <= 1:
            raise ValueError(f"Expected 0 <= epsilon <= 1, got {self.epsilon}.")

    def init(self, parameters: Arrays) -> ServerState:
        """Nothing to remember. Raises ValueError if the number of clients is still open."""
        known("clients", self.clients)
        return ServerState(round=0, parameters=parameters)

    def contribute(
        self, fitted: Fitted, extras: Arrays, memory: Arrays
    ) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
        """The change, and that the client is there: each in the client's place of a list."""
        return listed(fitted.delta, fitted.local.position, known("clients", self.clients)), {}

    def step(self, state: ServerState, released: Released) -> ServerState:
        """x ← x + η Σ λ_k Δ_k/‖Δ_k‖ over those who are there."""
        share = released.mean[THERE]  # of the weight that the mechanism gives to each
        there = np.flatnonzero(share > 0)
        updates = {k: d[there] for k, d in part("delta", released.mean).items()}
        flat = [array.reshape(len(there), -1) for array in updates.values()]
        gram = sum((a @ a.T for a in flat), np.zeros((len(there), len(there))))
        lengths = np.sqrt(np.diag(gram))
        norms = np.where(lengths > 0, lengths, 1.0)
        center = share[there] / share.sum()
        weights = least_norm(gram / np.outer(norms, norms), center, self.epsilon) / norms
        return state.moved(
            each(lambda d: self.learning_rate * np.tensordot(weights, d, axes=1), updates)
        )


def least_norm(gram: Vector, center: Vector, epsilon: float) -> Vector:
    """argmin λᵀGλ over the λ of the simplex with |λ - center| ≤ ε; `center` is of the simplex.

    >>> least_norm(np.diag([1.0, 3.0]), np.array([0.5, 0.5]), epsilon=1.0).round(6)
    array([0.75, 0.25])
    """
    low, high = np.maximum(center - epsilon, 0.0), np.minimum(center + epsilon, 1.0)
    found = center.copy()
    for _ in range(MOST_STEPS):
        slope = gram @ found
        source = int(np.argmax(np.where(found > low, slope, -np.inf)))
        target = int(np.argmin(np.where(found < high, slope, np.inf)))
        gain = slope[source] - slope[target]
        if not gain > CLOSE:
            break
        curve = gram[source, source] + gram[target, target] - 2 * gram[source, target]
        least, most = found[source] - low[source], high[target] - found[target]
        shift = min(least, most, gain / curve if curve > 0 else 1.0)
        # A bound that is reached is reached exactly: rounding would leave crumbs to be moved for ever.
        found[source] = low[source] if shift == least else found[source] - shift
        found[target] = high[target] if shift == most else found[target] + shift
    return found
