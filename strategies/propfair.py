"""PropFair: clients trade by proportions, so that no one's gain is worth another's ruin.

Zhang et al., Proportional Fairness in Federated Learning, TMLR 2023 (arXiv 2202.01666).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from ..wire.messages import Arrays
from .checks import positive
from .compatibility import WITH_ANY, Composes, Yes
from .fedavg import FedAvg
from .strategy import Correction, Local


@dataclass(frozen=True, kw_only=True)
class PropFair(FedAvg):
    """Each client minimises -log(1 - ℓ/M) in place of ℓ; the server averages as FedAvg does.

    M - ℓ is a client's utility, of which the product is maximised: ℓ is the mean loss of a batch, and M
    (`baseline`) a loss that is worth nothing. Where less than ε (`margin`) is left of M - ℓ, the
    logarithm goes on as its tangent, of slope 1/ε. A large M is FedAvg at 1/M of the learning rate. With
    DP-SGD, ℓ is the loss of a row.
    """

    composes: ClassVar[Composes] = replace(
        WITH_ANY, row_dp=Yes("of the loss of each row, in place of a batch's")
    )
    baseline: float = 2.0
    margin: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(baseline=self.baseline, margin=self.margin)
        if not self.margin < self.baseline:
            raise ValueError(
                f"Expected margin < baseline, got {self.margin} and {self.baseline}: ε is of M."
            )

    def correct(self, extras: Arrays, memory: Arrays, local: Local) -> Correction:
        """The loss is transformed."""
        return Correction(transform=self.transform)

    def transform(self, loss: Any) -> Any:  # noqa: ANN401 - a tensor, whose library is not known here
        """-log(1 - ℓ/M) for each ℓ of a tensor, and its tangent from ℓ = M - ε on."""
        inside = loss.clamp(max=self.baseline - self.margin)
        return -(1 - inside / self.baseline).log() + (loss - inside) / self.margin
