"""A multi-layer perceptron; without hidden layers it is linear or logistic regression."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn


class MLP(nn.Module):
    """Flattens each row, then linear layers with ReLU and dropout between them.

    Input (B, ...) of `inputs` numbers a row; output (B, outputs).

    >>> import torch
    >>> MLP(inputs=4, outputs=2, hidden=[8])(torch.zeros(3, 2, 2)).shape
    torch.Size([3, 2])
    """

    def __init__(
        self, *, inputs: int, outputs: int, hidden: Sequence[int] = (64,), dropout: float = 0.0
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Flatten()]
        for wide, narrow in pairwise([inputs, *hidden]):
            layers += [nn.Linear(wide, narrow), nn.ReLU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear([inputs, *hidden][-1], outputs)

    def forward(self, rows: Tensor) -> Tensor:
        """Logits, or predictions, of shape (B, outputs)."""
        output: Tensor = self.head(self.layers(rows))
        return output
