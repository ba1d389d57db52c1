"""FedProx: local training that is pulled back to where it started.

Li et al., Federated Optimization in Heterogeneous Networks, MLSys 2020 (arXiv 1812.06127).
"""

from __future__ import annotations

from dataclasses import dataclass

from ..wire.messages import Arrays
from .checks import not_negative
from .fedavg import FedAvg
from .strategy import Correction, Local


@dataclass(frozen=True, kw_only=True)
class FedProx(FedAvg):
    """Each client minimises F(w) + μ/2 ‖w - x‖²; the server averages as FedAvg does.

    >>> FedProx(mu=0.01).correct({}, {}, Local()).proximal
    0.01
    """

    mu: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        not_negative(mu=self.mu)

    def correct(self, extras: Arrays, memory: Arrays, local: Local) -> Correction:
        """The gradient of μ/2 ‖w - x‖² is μ (w - x)."""
        return Correction(proximal=self.mu)
