"""The clipped sum, against torch's own gradients of single rows, and what one row can do to it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from contracts.dpsgd import FAINT, clipped_sum, engines, one_step, some, variants
from contracts.learning import digits_task
from numpy.typing import NDArray
from opacus.layers import DPLSTM
from tacit.client import Classification, Data, Task, initial_parameters
from tacit.client.clipping import GHOST_SLACK, SLACK, clip_factors
from tacit.client.dpsgd import DPSGD
from tacit.models import CNN, CharacterCNN
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = DPLSTM(8, 6, batch_first=True), nn.Linear(6, 10)

    def forward(self, rows: Tensor) -> Tensor:
        logits: Tensor = self.head(self.lstm(rows)[0][:, -1])
        return logits


class FourAxes(nn.Module):
    """A linear layer over (B, 2, 8, 4), for which Opacus 1.6 has no norm under "ghost"."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 10)

    def forward(self, rows: Tensor) -> Tensor:
        logits: Tensor = self.layer(rows.reshape(len(rows), 2, 8, 4)).sum((1, 2))
        return logits


class Bare(nn.Module):
    """Parameters of no layer, one of them a number."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.ones(64)), nn.Parameter(torch.tensor(0.5))
        self.head = nn.Linear(64, 10)

    def forward(self, rows: Tensor) -> Tensor:
        logits: Tensor = self.head(rows * self.scale + self.shift)
        return logits


def texts() -> Data:
    codes = (some().features * 16).astype(np.int64)
    return Data(features=codes[:, :12], targets=codes[:, 1:13])


PROBLEMS: dict[str, tuple[Callable[[], nn.Module], Data]] = {
    "mlp": (digits_task(dropout=0.0).model, some()),
    "cnn": (partial(CNN, shape=(1, 8, 8), outputs=10, channels=(4,)), some((1, 8, 8))),
    "text": (partial(CharacterCNN, characters=17, width=8, layers=2), texts()),
    "lstm": (Recurrent, some((8, 8))),
    "four axes": (FourAxes, some()),
    "bare": (Bare, some()),
}


def reference(task: Task, data: Data, clip: float, slack: float, by_layer: bool) -> NDArray[Any]:
    """The sum of clipped gradients by vmap, in float64."""
    model = task.model().double()
    given = initial_parameters(task, seed=1)
    weights = {name: torch.tensor(given[name]).double() for name, _ in model.named_parameters()}

    def loss(weights: dict[str, Tensor], row: Tensor, target: Tensor) -> Tensor:
        outputs = functional_call(model, weights, (row[None],))
        return task.loss(outputs, target[None])[0]

    rows = torch.from_numpy(data.features)
    wide = rows.double() if rows.is_floating_point() else rows
    by_row = vmap(grad(loss), in_dims=(None, 0, 0))
    gradients = by_row(weights, wide, torch.from_numpy(data.targets))
    flat = {name: g.reshape(len(data), -1) for name, g in gradients.items()}
    norms = torch.stack([g.norm(dim=1) for g in flat.values()], 1)
    bound = clip / math.sqrt(norms.shape[1]) if by_layer else clip
    if not by_layer:
        norms = norms.norm(dim=1, keepdim=True).expand_as(norms)
    factors = (bound / (norms * (1 + slack))).clamp(max=1.0)
    parts = [f @ g for f, g in zip(factors.unbind(1), flat.values(), strict=True)]
    found: NDArray[Any] = torch.cat(parts).numpy()
    return found


@pytest.mark.parametrize("clip", [0.05, 1.0, 100.0])
@pytest.mark.parametrize("name", PROBLEMS)
@variants
def test_the_sum_is_that_of_the_clipped_gradients_of_single_rows(
    terms: DPSGD, name: str, clip: float
) -> None:
    build, data = PROBLEMS[name]
    task = Classification(build=build)
    slack = GHOST_SLACK if terms.engine == "ghost" else SLACK
    wanted = reference(task, data, clip, slack, terms.clipping == "per_layer")
    found = one_step(task, data, replace(terms, clip=clip))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * max(1, abs(wanted).max()))


@engines
def test_dropout_has_one_mask_for_the_norm_and_for_the_gradient(terms: DPSGD) -> None:
    """Hooks and ghost draw the same masks under one key, and agree."""
    task, free = digits_task(dropout=0.5), replace(FAINT, clip=1e3)
    wanted = one_step(task, some(), free)
    found = one_step(task, some(), replace(terms, clip=1e3))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4)


def with_first(data: Data, value: float) -> Data:
    features = data.features.copy()
    features[0] = features[0] + value if math.isfinite(value) else value
    return Data(features=features, targets=data.targets)


@pytest.mark.parametrize("value", [0.0, 1.0, 1e3, -1e12, 1e25, 3e38])
@variants
def test_no_row_adds_more_than_the_clip(terms: DPSGD, value: float) -> None:
    """Also where its gradient overflows; the rest is for rounding in float32 of a sum of 12."""
    task, terms = digits_task(dropout=0.0), replace(terms, clip=0.3)
    data = with_first(some(), value)
    without = clipped_sum(task, data.rows(slice(1, None)), terms)
    apart = clipped_sum(task, data, terms) - without
    assert np.linalg.norm(apart) <= 0.3 * (1 + 1e-6)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@variants
def test_a_row_without_a_finite_gradient_adds_nothing(terms: DPSGD, value: float) -> None:
    task, data = digits_task(dropout=0.0), with_first(some(), value)
    found = clipped_sum(task, data, terms)
    wanted = clipped_sum(task, data.rows(slice(1, None)), terms)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)
    assert np.all(np.isfinite(one_step(task, data, terms)))


@variants
def test_rows_of_which_none_has_a_finite_gradient_leave_the_noise(terms: DPSGD) -> None:
    data = Data(features=np.full((4, 64), np.nan, np.float32), targets=np.zeros(4, np.int64))
    found = one_step(digits_task(dropout=0.0), data, replace(terms, noise_multiplier=1.0))
    assert np.all(np.isfinite(found))
    assert np.all(found != 0)


class OverTime(nn.Module):
    """A linear layer on every step of a sequence, summed."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 10)

    def forward(self, rows: Tensor) -> Tensor:
        logits: Tensor = self.layer(rows).sum(1)
        return logits


@pytest.mark.parametrize("seed", range(5))
@engines
def test_a_sequence_whose_steps_cancel_adds_no_more_than_the_clip(terms: DPSGD, seed: int) -> None:
    """Its gradient is far smaller than its terms, so that Gram matrices in float32 miss its norm.

    Hooks scale what was measured. Ghost sums a second time, and rounds otherwise: here by 10^-3 at most.
    """
    rng = np.random.default_rng(seed)
    half = rng.normal(size=(6, 4, 8)).astype(np.float32) * np.float32(3e4)
    features = np.concatenate([half, -half + rng.normal(size=half.shape).astype(np.float32)], 1)
    data = Data(features=features, targets=np.arange(6))
    for row in range(6):
        only = data.rows(slice(row, row + 1))
        found = clipped_sum(Classification(build=OverTime), only, replace(terms, clip=0.3))
        assert np.linalg.norm(found) <= 0.3 * (1 + (1e-3 if terms.engine == "ghost" else 1e-6))


@pytest.mark.parametrize("slack", [0.0, SLACK, GHOST_SLACK])
def test_a_factor_never_lengthens_a_row_nor_leaves_it_too_long(slack: float) -> None:
    norms = torch.logspace(-30, 30, 601, dtype=torch.float64)
    factors = clip_factors(norms, 1.0, slack)
    assert bool((factors <= 1).all())
    assert bool((factors * norms <= 1 + 1e-15).all())
