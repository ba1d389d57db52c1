"""FedFB: rows are weighed so that every group is as likely to get the good outcome.

Zeng et al., Improving Fairness via Federated Learning, 2021 (arXiv 2110.15545), for demographic
parity, in the form of the authors' code, with steps of α/√t.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..wire.lazy import each
from ..wire.messages import Arrays, named, part
from .checks import known, positive
from .compatibility import UNCOVERED, Composes, Yes
from .shares import UNIT, proportions, shares
from .strategy import Correction, Delta, Fitted, Local, Released, ServerState

LEAST = 1e-3
"""The share of rows below which a group is not heard: its sums would be quotients of next to nothing."""


@dataclass(frozen=True, kw_only=True)
class FedFB(Delta):
    """Clients minimise the mean of λ_{y,z}/ρ_z ℓ, where y is the row's class, 0 or 1, and z its group.

    ρ_z is the share of group z in all rows, and the server balances λ_{0,z} + λ_{1,z} = 2ρ_z: with
    f_z = P(ŷ=1|z) - P(ŷ=1|0), in which losses stand for errors,

        λ_{0,z} ← λ_{0,z} + α/√t f_z for z > 0,   λ_{0,0} ← λ_{0,0} - α/√t Σ f_z,

    and what leaves [0, 2ρ_z] is cut off there. At first λ_{y,z} = ρ_z, which is FedAvg. The state holds
    λ/ρ. f is of the model that was sent, so λ follows it one round later. Where the authors' code cuts
    off every group at 2ρ_0, each group has its own bound here.

    >>> strategy = FedFB(attribute="sex", groups=3)
    >>> strategy.extras(strategy.init({"w": np.zeros(3)}))["weights"].shape
    (2, 3)
    """

    composes: ClassVar[Composes] = Composes(
        client_dp=Yes("groups' shares and losses have the same clip as the change"),
        row_dp=UNCOVERED,
        secure_aggregation=Yes(),
        sampling=Yes(),
        reveals="of each class and group the share in all rows, and the mean loss",
    )
    asks: ClassVar[bool] = True
    attribute: str
    groups: int | None = None
    classes: int | None = None
    learning_rate: float = 1.0
    alpha: float = 0.3

    def __post_init__(self) -> None:
        positive(learning_rate=self.learning_rate, alpha=self.alpha)
        if self.classes not in (None, 2):
            raise ValueError(
                f"Expected 2 classes, got {self.classes}: demographic parity has no more."
            )

    def init(self, parameters: Arrays) -> ServerState:
        """All rows count alike."""
        shape = (2, known("groups", self.groups))
        blank = {"weights": np.ones(shape), "rows": np.zeros(shape)}
        return ServerState(round=0, parameters=parameters, memory={"cells": blank})

    def extras(self, state: ServerState) -> Arrays:
        """λ_{y,z}/ρ_z, shape (2, groups)."""
        return {"weights": state.memory["cells"]["weights"]}

    def correct(self, extras: Arrays, memory: Arrays, local: Local) -> Correction:
        """Each row counts as its class and group do."""
        return Correction(weights=extras["weights"][local.labels, local.groups[self.attribute]])

    def contribute(
        self, fitted: Fitted, extras: Arrays, memory: Arrays
    ) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
        """The change, and of each class and group its share of the rows and of their mean loss."""
        assert fitted.received is not None, "it asks"
        local = fitted.local
        codes, shape = [local.labels, local.groups[self.attribute]], extras["weights"].shape
        return {
            **named("delta", fitted.delta),
            "rows": UNIT * shares(codes, shape),
            "losses": UNIT * shares(codes, shape, fitted.received.losses),
        }, {}

    def step(self, state: ServerState, released: Released) -> ServerState:
        """x ← x + η mean(Δ), and λ after what the groups were given."""
        past, delta = state.memory["cells"], part("delta", released.mean)
        rows = past["rows"] + released.mean["rows"] / UNIT  # of all rounds, where noise cancels
        share = proportions(rows.sum(0))
        gap = excess(released.mean["rows"] / UNIT, released.mean["losses"] / UNIT)
        step = self.alpha / np.sqrt(state.round + 1) * np.array([-gap.sum(), *gap[1:]])
        zero = np.clip(past["weights"][0] + step / np.maximum(share, LEAST), 0.0, 2.0)
        found = {"weights": np.stack([zero, 2.0 - zero]), "rows": rows}
        return state.moved(each(lambda d: self.learning_rate * d, delta), cells=found)


def excess(rows: NDArray[np.float64], losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """f: how much likelier each group is to get ŷ = 1 than group 0, from shares of shape (2, groups).

    It is exact for the 0-1 loss. A group that is not there, or a group 0 that is not, gives 0.

    >>> rows, wrong = np.full((2, 2), 0.25), np.array([[0.0, 0.0], [0.0, 0.25]])
    >>> excess(rows, wrong)
    array([ 0. , -0.5])
    """
    size = rows.sum(0)
    here = size > LEAST
    given = (losses[0] - losses[1] + rows[1]) / np.where(here, size, 1.0)
    return np.where(here & here[:1], given - given[:1], 0.0)
