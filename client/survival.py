"""Who has the event first: Cox's proportional hazards, of rows that were followed for different times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from ..fairness.concordance import PAIRS, count_pairs


@dataclass(frozen=True, kw_only=True)
class Cox:
    """A log risk for each row: outputs of shape (B, 1); targets of shape (B, 2), time and event.

    The event is 1 if it happened at that time, and 0 if the row was only followed until then. The loss
    is the negative log partial likelihood (D. Cox, JRSS B 34, 1972; ties as N. Breslow has them),
    where those at risk are the rows of the batch: small batches compare few. So the loss of a row
    depends on the others, which no clip of single rows bounds: DP-SGD refuses it.

    >>> task = Cox(build=lambda: nn.Linear(2, 1))
    >>> outputs, targets = torch.zeros(2, 1), torch.tensor([[1.0, 1.0], [2.0, 0.0]])
    >>> task.loss(outputs, targets)
    tensor([0.6931, 0.0000])
    """

    build: Callable[[], nn.Module] = field(repr=False)

    def model(self) -> nn.Module:
        """A fresh model."""
        return self.build()

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Of each event, -log of its share in the hazard of all who were followed until then; else 0."""
        risks, times, events = outputs[:, 0], targets[:, 0], targets[:, 1]
        at_risk = times >= times.unsqueeze(1)
        hazards = risks.expand(len(risks), -1).masked_fill(~at_risk, -torch.inf)
        return events * (hazards.logsumexp(1) - risks)

    def guesses(self, outputs: Tensor) -> Tensor:
        """The log risks, shape (B,)."""
        return outputs[:, 0]

    def scores(self, outputs: Tensor) -> Tensor:
        """None: zeros, shape (B,)."""
        return torch.zeros(len(outputs))

    def statistics(self, outputs: Tensor, targets: Tensor) -> Mapping[str, Tensor]:
        """Pairs of rows of the batch: comparable, concordant, tied."""
        codes = np.zeros(len(outputs), np.int64)
        risks = self.guesses(outputs).detach().cpu().numpy()
        pairs = count_pairs(targets.cpu().numpy(), risks, codes, 1)
        return dict(zip(PAIRS, torch.from_numpy(pairs[0]), strict=True))
