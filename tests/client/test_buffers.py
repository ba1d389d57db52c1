"""What a model keeps for itself in one client's training is not carried to the next client's."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from contracts.bits import assert_same_bits
from contracts.learning import wine
from tacit.client import Classification, Plain, Training, initial_parameters
from tacit.strategies import Correction
from torch import Tensor, nn


class Counting(nn.Module):
    """Its output depends on how often it was called, which a buffer outside state_dict counts."""

    calls: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(13, 3)
        self.register_buffer("calls", torch.zeros(1), persistent=False)

    def forward(self, rows: Tensor) -> Tensor:
        self.calls += 1
        output: Tensor = self.layer(rows) * (1 + self.calls)
        return output


def test_a_buffer_that_is_not_in_the_state_starts_anew_for_every_client() -> None:
    task = Classification(build=partial(Counting))
    trainer, parameters = Plain(task, torch.device("cpu")), initial_parameters(task, 0)

    def fit() -> dict[str, np.ndarray]:
        rng = np.random.default_rng(0)
        fitted = trainer.fit(parameters, wine(), Training(steps=3), 0.1, Correction(), rng)
        return dict(fitted.delta)

    assert_same_bits(fit(), fit())
