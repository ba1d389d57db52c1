"""FedMinMax: the model whose worst group is served best, whichever clients hold that group's rows.

Papadaki et al., Minimax Demographic Group Fairness in Federated Learning, FAccT 2022 (arXiv
2201.08304), algorithm 1.
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
from .compatibility import UNCOVERED, Composes, Yes
from .shares import UNIT, proportions, shares
from .strategy import Correction, Delta, Fitted, Local, Released, ServerState

LEAST = 1e-3
"""The share of rows that a group counts for at least: a step on one of its rows must not be a jump."""


@dataclass(frozen=True, kw_only=True)
class FedMinMax(Delta):
    """min over w, max over μ in the simplex of Σ μₐ rₐ(w), where rₐ is the mean loss of group a.

    Clients minimise the mean of (μₐ/ρₐ) ℓ over their rows, where a is the group of the row by
    `attribute` and ρₐ the share of group a in all rows; then μ ← Π(μ + γ r), with r of the model that was
    sent, and Π the nearest point of the simplex. At first μ = ρ, which is FedAvg. `mixing_rate` is γ.
    Sums over clients are all that μ and ρ are made of; ρ is of all rounds, and a group that nobody in
    a cohort holds keeps its last r. "All rows" are weighted as the mechanism weighs clients.

    >>> strategy = FedMinMax(attribute="sex", groups=2)
    >>> strategy.extras(strategy.init({"w": np.zeros(3)}))
    {'weights': array([1., 1.])}
    """

    composes: ClassVar[Composes] = Composes(
        client_dp=Yes("groups' shares and losses have the same clip as the change"),
        row_dp=UNCOVERED,
        secure_aggregation=Yes(),
        sampling=Yes(),
        reveals="the share of each group in all rows, and its mean loss",
    )
    asks: ClassVar[bool] = True
    attribute: str
    groups: int | None = None
    learning_rate: float = 1.0
    mixing_rate: float = 0.1

    def __post_init__(self) -> None:
        positive(learning_rate=self.learning_rate, mixing_rate=self.mixing_rate)

    def init(self, parameters: Arrays) -> ServerState:
        """Nothing is known of the groups: μ, the sums of ρ and r are zero."""
        groups = known("groups", self.groups)
        blank = {name: np.zeros(groups) for name in ("mu", "rows", "risk")}
        return ServerState(round=0, parameters=parameters, memory={"groups": blank})

    def extras(self, state: ServerState) -> Arrays:
        """μₐ/ρₐ, by which the rows of group a count."""
        past = state.memory["groups"]
        if not past["mu"].any():
            return {"weights": np.ones_like(past["mu"])}
        return {"weights": past["mu"] / np.maximum(proportions(past["rows"]), LEAST)}

    def correct(self, extras: Arrays, memory: Arrays, local: Local) -> Correction:
        """Each row counts as its group does."""
        return Correction(weights=extras["weights"][local.groups[self.attribute]])

    def contribute(
        self, fitted: Fitted, extras: Arrays, memory: Arrays
    ) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
        """The change, and of each group its share of the client's rows and of their mean loss."""
        assert fitted.received is not None, "it asks"
        codes, shape = [fitted.local.groups[self.attribute]], extras["weights"].shape
        return {
            **named("delta", fitted.delta),
            "rows": UNIT * shares(codes, shape),
            "losses": UNIT * shares(codes, shape, fitted.received.losses),
        }, {}

    def step(self, state: ServerState, released: Released) -> ServerState:
        """x ← x + η mean(Δ),  μ ← Π(μ + γ r)."""
        past = state.memory["groups"]
        rows, losses = released.mean["rows"] / UNIT, released.mean["losses"] / UNIT
        here = rows > LEAST
        risk = np.where(here, np.maximum(losses, 0) / np.where(here, rows, 1), past["risk"])
        total = past["rows"] + rows
        mu = past["mu"] if past["mu"].any() else proportions(total)
        found = {"mu": onto_simplex(mu + self.mixing_rate * risk), "rows": total, "risk": risk}
        delta = part("delta", released.mean)
        return state.moved(each(lambda d: self.learning_rate * d, delta), groups=found)
