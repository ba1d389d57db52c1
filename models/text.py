"""The next character of a text, by causal convolutions: every layer has per-example gradients."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class CharacterCNN(nn.Module):
    """An embedding, then dilated convolutions that look only backwards, each added to its input.

    van den Oord et al., WaveNet, 2016 (arXiv 1609.03499), without gates.

    Input (B, T) of character codes; output (B, characters, T): logits of the character after each.

    >>> CharacterCNN(characters=77)(torch.zeros(2, 80, dtype=torch.int64)).shape
    torch.Size([2, 77, 80])
    """

    def __init__(self, *, characters: int, width: int = 64, layers: int = 4) -> None:
        super().__init__()
        self.embedding = nn.Embedding(characters, width)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(width, width, kernel_size=3, dilation=2**depth) for depth in range(layers)
        )
        self.head = nn.Conv1d(width, characters, kernel_size=1)

    def forward(self, rows: Tensor) -> Tensor:
        """Logits of shape (B, characters, T)."""
        state: Tensor = self.embedding(rows).transpose(1, 2)
        for depth, convolution in enumerate(self.convolutions):
            state = state + torch.relu(convolution(functional.pad(state, (2 ** (depth + 1), 0))))
        logits: Tensor = self.head(state)
        return logits
