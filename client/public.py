"""What a fit adds to the gradients of the rows: made of public numbers alone, it costs no privacy."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..strategies.strategy import Correction
from .training import Training


class Public:
    """The penalties of `training` and a strategy's `correction`, from where `model` stands now."""

    def __init__(self, model: nn.Module, training: Training, correction: Correction) -> None:
        self.trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        self._training = training
        self._anchor = {
            name: torch.tensor(correction.anchor[name], device=weight.device)
            if correction.anchor
            else weight.detach().clone()
            for name, weight in self.trained
        }
        self._proximal = correction.proximal
        self._pull = {
            name: torch.tensor(correction.gradient[name], device=weight.device)
            for name, weight in self.trained
            if name in correction.gradient
        }

    @property
    def weights(self) -> list[nn.Parameter]:
        """What is trained."""
        return [weight for _, weight in self.trained]

    def penalty(self) -> Tensor | float:
        """l1 ‖w‖₁ + l2/2 ‖w‖² over the trained parameters."""
        total: Tensor | float = 0.0
        for weight in self.weights:
            if self._training.l1:
                total = total + self._training.l1 * weight.abs().sum()
            if self._training.l2:
                total = total + self._training.l2 / 2 * weight.square().sum()
        return total

    def correct(self) -> None:
        """Adds the strategy's correction to every gradient."""
        for name, weight in self.trained:
            if weight.grad is None:
                continue
            if self._proximal:
                weight.grad.add_(weight.detach() - self._anchor[name], alpha=self._proximal)
            if name in self._pull:
                weight.grad.add_(self._pull[name])
