"""FairFed: clients whose view of fairness is that of everyone weigh more in the average.

Ezzeldin et al., FairFed: Enabling Group Fairness in Federated Learning, AAAI 2023 (arXiv 2110.00857v3),
algorithm 1, with the local reweighing that the paper evaluates it with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..wire.lazy import each
from ..wire.messages import Arrays, named, part
from .checks import known, not_negative, positive
from .compatibility import UNCOVERED, Composes, No, Yes
from .reweighing import independent
from .strategy import Correction, Delta, Fitted, Local, Received, Released, ServerState

Metric = Literal["opportunity", "parity"]

UNIT = 2.0**-10
"""Rows are contributed in this unit, as counts and as weights: times a change, they are to be summed."""

GLOBAL = ("rounds", "rows", "fairness", "defined", "accuracy", "gap")


@dataclass(frozen=True, kw_only=True)
class FairFed(Delta):
    """x ← x + η Σ ω_k Δ_k / Σ ω_k, where ω_k ← max(ω_k - β n (G_k - mean G), 0), at first n_k.

    G_k = |F - F_k| compares the client's fairness with that of everyone, n rows together: F is the
    probability of ŷ = 1 for group 0 less that for group 1, among rows of y = 1 ("opportunity") or all
    rows ("parity"). Where F or F_k is undefined, G_k compares accuracies. With `reweigh`, clients make
    group and class independent by weights, as the paper does in all experiments.

    The paper asks every client twice a round. Here F, the accuracy and mean G travel with the model and
    are one round late: they are of the model before, and F_k is of the one that travels. Only sums
    leave a client, which keeps its ω_k itself; the weighting of the mechanism is to be uniform, because
    ω_k is the weight.
    """

    composes: ClassVar[Composes] = Composes(
        client_dp=No("noised sums of weights and counts would divide the step and the fairness"),
        row_dp=UNCOVERED,
        secure_aggregation=Yes(),
        sampling=Yes("F and mean G are then those of the last cohort"),
        weighting=No("a client's weight is its own ω"),
        reveals="of all rows their number, the accuracy, and the selected by group; means of ω and G",
    )
    asks: ClassVar[bool] = True
    attribute: str
    groups: int | None = None
    classes: int | None = None
    clients: int | None = None
    learning_rate: float = 1.0
    beta: float = 1.0
    metric: Metric = "opportunity"
    reweigh: bool = True

    def __post_init__(self) -> None:
        positive(learning_rate=self.learning_rate)
        not_negative(beta=self.beta)
        if self.metric not in (known_metrics := get_args(Metric)):
            raise ValueError(f"Expected metric in {known_metrics}, got {self.metric!r}.")
        for name in ("groups", "classes"):
            if (value := vars(self)[name]) not in (None, 2):
                raise ValueError(f"Expected 2 {name}, got {value}: the paper compares two of them.")

    def init(self, parameters: Arrays) -> ServerState:
        """Nothing is known of the clients yet."""
        known("clients", self.clients)
        blank = {name: np.zeros(()) for name in GLOBAL}
        return ServerState(round=0, parameters=parameters, memory={"global": blank})

    def extras(self, state: ServerState) -> Arrays:
        """What the round before said about everyone."""
        return dict(state.memory["global"])

    def correct(self, extras: Arrays, memory: Arrays, local: Local) -> Correction:
        """With `reweigh`, the weights that make group and class independent."""
        if not self.reweigh:
            return Correction()
        return Correction(weights=independent(local.groups[self.attribute], local.labels))

    def contribute(
        self, fitted: Fitted, extras: Arrays, memory: Arrays
    ) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
        """ω_k and the change times it, G_k, and the counts of which F and the accuracy are made."""
        local, received = fitted.local, fitted.received
        assert received is not None, "it asks"
        rows = len(local.labels)
        counts = self._counts(local, received)
        right = float(np.sum(received.guesses == local.labels))
        gap = self._gap(counts, right / rows, extras)
        weight = float(memory["weight"]) if memory else float(rows)
        if extras["rounds"] >= 2:  # before that, mean G is not known
            weight -= self.beta * float(extras["rows"]) * (gap - float(extras["gap"]))
        weight = max(weight, 0.0)
        contribution = {
            **named("delta", {k: weight * UNIT * d for k, d in fitted.delta.items()}),
            "weight": np.array(weight * UNIT),
            "gap": np.array(gap),
            "counts": UNIT * counts,
            "right": np.array(UNIT * right),
            "rows": np.array(UNIT * rows),
        }
        return contribution, {"weight": np.array(weight)}

    def step(self, state: ServerState, released: Released) -> ServerState:
        """x ← x + η Σ ω_k Δ_k / Σ ω_k, and what is known of everyone."""
        mean, past = released.mean, state.memory["global"]
        rows, weight = float(mean["rows"]), float(mean["weight"])
        fairness = difference(mean["counts"])
        found = {
            "rounds": past["rounds"] + 1,
            "rows": np.array(rows / UNIT * known("clients", self.clients)),
            "fairness": np.array(fairness or 0.0),
            "defined": np.array(float(fairness is not None)),
            "accuracy": mean["right"] / rows,
            "gap": np.array(float(mean["gap"])),
        }
        rate = self.learning_rate / weight if weight > 0 else 0.0  # nobody counts: nothing moves
        delta = part("delta", mean)
        return state.moved(each(lambda d: rate * d, delta), **{"global": found})

    def _counts(self, local: Local, received: Received) -> NDArray[np.float64]:
        """Shape (2, 2): of each group the rows that are asked about, and those among them with ŷ = 1."""
        codes = local.groups[self.attribute]
        asked = local.labels == 1 if self.metric == "opportunity" else np.ones(len(codes), bool)
        given = asked & (received.guesses == 1)
        counts = [np.bincount(codes[which], minlength=2) for which in (asked, given)]
        return np.stack(counts, axis=1).astype(np.float64)

    def _gap(self, counts: NDArray[np.float64], accuracy: float, extras: Arrays) -> float:
        """G_k; 0 in the first round, in which nothing is known of the others."""
        if not extras["rounds"]:
            return 0.0
        own = difference(counts)
        if own is None or not extras["defined"]:
            return abs(float(extras["accuracy"]) - accuracy)
        return abs(float(extras["fairness"]) - own)


def difference(counts: NDArray[np.float64]) -> float | None:
    """P(ŷ=1) of group 0 less that of group 1, from counts (group, (asked, given)); None if undefined.

    >>> difference(np.array([[4.0, 2.0], [10.0, 2.0]])), difference(np.array([[4.0, 2.0], [0.0, 0.0]]))
    (0.3, None)
    """
    if not np.all(counts[:, 0] > 0):
        return None
    rates = counts[:, 1] / counts[:, 0]
    return float(rates[0] - rates[1])
