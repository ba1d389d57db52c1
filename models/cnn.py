"""A small convolutional network with GroupNorm: no statistic of a batch outlives the batch."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn


class CNN(nn.Module):
    """Convolution, GroupNorm, ReLU and pooling for each width, then two linear layers.

    BatchNorm would mix rows, which neither differential privacy nor clients with unlike data allow;
    GroupNorm (Wu and He, 2018, arXiv 1803.08494) normalises each row by itself.

    Input (B, channels, height, width); output (B, outputs).

    >>> import torch
    >>> CNN(shape=(1, 8, 8), outputs=10)(torch.zeros(3, 1, 8, 8)).shape
    torch.Size([3, 10])
    """

    def __init__(
        self,
        *,
        shape: tuple[int, int, int],
        outputs: int,
        channels: Sequence[int] = (16, 32),
        hidden: int = 64,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        wide, height, width = shape
        blocks: list[nn.Module] = []
        for narrow in channels:
            blocks += [
                nn.Conv2d(wide, narrow, kernel_size=3, padding=1),
                nn.GroupNorm(math.gcd(8, narrow), narrow),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ]
            wide, height, width = narrow, height // 2, width // 2
        if height < 1 or width < 1:
            raise ValueError(
                f"Expected images of at least {2 ** len(channels)} pixels a side for "
                f"{len(channels)} poolings, got {shape[1]} x {shape[2]}."
            )
        self.features = nn.Sequential(*blocks, nn.Flatten())
        self.head = nn.Sequential(
            nn.Linear(wide * height * width, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, outputs),
        )

    def forward(self, rows: Tensor) -> Tensor:
        """Logits of shape (B, outputs)."""
        output: Tensor = self.head(self.features(rows))
        return output
