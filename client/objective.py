"""What local training minimises: the losses of the rows, as a strategy weighs and transforms them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..strategies.strategy import Correction


class Objective:
    """The `weights` and the `transform` of a strategy's `correction`; see there."""

    def __init__(self, correction: Correction, device: torch.device) -> None:
        given = correction.weights
        self._weights = None if given is None else _single(given).to(device)
        self._transform = correction.transform

    def of_rows(self, losses: Tensor, rows: Tensor) -> Tensor:
        """f(wᵢℓᵢ) for the train rows of these indices, shape (B,)."""
        weighted = self._weighted(losses, rows)
        return weighted if self._transform is None else self._transform(weighted)

    def of_batch(self, losses: Tensor, rows: Tensor) -> Tensor:
        """f(mean of wᵢℓᵢ), a scalar."""
        mean = self._weighted(losses, rows).mean()
        return mean if self._transform is None else self._transform(mean)

    def _weighted(self, losses: Tensor, rows: Tensor) -> Tensor:
        if self._weights is None:
            return losses
        return losses * self._weights[rows].to(losses.dtype)


def _single(weights: NDArray[np.float64]) -> Tensor:
    """As float32: not every device holds more."""
    return torch.as_tensor(weights, dtype=torch.float32)
