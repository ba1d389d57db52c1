"""Cox's model: the likelihood as it is written down, pairs, and why DP-SGD refuses it."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from tacit.client import DPSGD, Classification, Cox, Data
from tacit.client.fitness import unfit
from torch import Tensor, nn

LINEAR = partial(nn.Linear, 2, 1)


def rows(seed: int, number: int = 12) -> tuple[Tensor, Tensor]:
    """Log risks and targets with ties in time."""
    rng = np.random.default_rng(seed)
    targets = np.stack([rng.integers(1, 7, number), rng.integers(0, 2, number)], 1)
    return torch.from_numpy(rng.normal(size=(number, 1))), torch.from_numpy(targets).double()


@pytest.mark.parametrize("seed", range(5))
def test_the_loss_is_the_partial_likelihood_as_breslow_has_it(seed: int) -> None:
    outputs, targets = rows(seed)
    risks, (times, events) = outputs[:, 0].tolist(), targets.T.tolist()
    wanted = [
        -happened
        * math.log(
            math.exp(risk) / sum(math.exp(r) for r, u in zip(risks, times, strict=True) if u >= t)
        )
        for risk, t, happened in zip(risks, times, events, strict=True)
    ]
    assert Cox(build=LINEAR).loss(outputs, targets).tolist() == pytest.approx(wanted)


def test_large_risks_do_not_overflow_and_no_rows_have_no_loss() -> None:
    task = Cox(build=LINEAR)
    outputs = torch.tensor([[1000.0], [-1000.0]])
    targets = torch.tensor([[1.0, 1.0], [2.0, 1.0]])
    assert task.loss(outputs, targets).tolist() == [0, 0]
    assert task.loss(outputs[:0], targets[:0]).shape == (0,)


def test_following_the_gradient_puts_those_with_early_events_at_higher_risk() -> None:
    features = torch.linspace(-1, 1, 20).reshape(-1, 1)
    targets = torch.stack([torch.linspace(20, 1, 20), torch.ones(20)], 1)
    torch.manual_seed(0)
    model = nn.Linear(1, 1)
    task, optimizer = Cox(build=LINEAR), torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(50):
        optimizer.zero_grad()
        task.loss(model(features), targets).mean().backward()
        optimizer.step()
    found = {
        name: float(value) for name, value in task.statistics(model(features), targets).items()
    }
    assert found == {"comparable": 190, "concordant": 190, "tied": 0}


@pytest.mark.parametrize("events", [0.0, 1.0])
def test_dp_sgd_refuses_a_loss_of_pairs_also_if_no_row_that_is_tried_has_an_event(
    events: float,
) -> None:
    targets = np.stack([np.arange(1.0, 5), np.full(4, events)], 1).astype(np.float32)
    sample = Data(features=np.eye(4, 2, dtype=np.float32), targets=targets)
    (why,) = unfit(Cox(build=LINEAR), DPSGD(noise_multiplier=1.0), sample)
    assert why.startswith("the loss mixes rows")


class Centred(Classification):
    """A task of someone's own, whose loss is less the mean of the batch."""

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        losses = super().loss(outputs, targets)
        return losses - losses.mean() / 2


def test_dp_sgd_refuses_any_loss_that_mixes_rows() -> None:
    sample = Data(features=np.eye(4, 2, dtype=np.float32), targets=np.array([0, 1, 1, 0]))
    (why,) = unfit(Centred(build=LINEAR), DPSGD(noise_multiplier=1.0), sample)
    assert why.startswith("the loss mixes rows")
