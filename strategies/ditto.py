"""Ditto: beside the shared model, every client has one of its own that stays near it.

Li et al., Ditto: Fair and Robust Federated Learning Through Personalization, ICML 2021 (arXiv
2012.04221), algorithm 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from numpy.typing import NDArray

from ..wire.messages import Arrays
from .checks import not_negative
from .compatibility import WITH_ANY, Composes, No, Yes
from .fedavg import FedAvg
from .strategy import Correction, Fitted, Personal


@dataclass(frozen=True, kw_only=True)
class Ditto(FedAvg):
    """Client k minimises F_k(v) + λ/2 ‖v - w‖² for itself; w is federated averaging's, bit by bit.

    After it has trained what it contributes, the client takes as many steps
    v ← v - η (∇F_k(v) + λ (v - w)) from the v of its last round, at first from w, where w is what it
    received. `pull` is λ: with 0, v is trained alone. v is all that the client remembers, and it never
    leaves. What leaves are counts of what v does on held-out rows, as of w.

    >>> import numpy as np
    >>> received, own = {"x": np.ones(2)}, {"x": np.zeros(2)}
    >>> Ditto().personal(received, own).parameters is own
    True
    """

    composes: ClassVar[Composes] = replace(
        WITH_ANY,
        client_dp=Yes("for the shared model; what clients' own do on held-out rows has no noise"),
        row_dp=No("what own models do on held-out rows would tell of train rows without noise"),
    )
    pull: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        not_negative(pull=self.pull)

    def personal(self, received: Arrays, memory: Arrays) -> Personal | None:
        """v, and its pull to w."""
        correction = Correction(proximal=self.pull, anchor=received)
        return Personal(parameters=memory or received, correction=correction)

    def contribute(
        self, fitted: Fitted, extras: Arrays, memory: Arrays
    ) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
        """The change of the shared model; remembers v."""
        return dict(fitted.delta), dict(fitted.personal)
