"""PropFair against Zhang et al. 2023: clients minimise -log(1 - ℓ/M)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from contracts.rounds import settled
from tacit.strategies import FedAvg, PropFair


def test_the_transform_is_the_logarithm_and_then_its_tangent() -> None:
    strategy = PropFair(baseline=2.0, margin=0.2)
    losses = torch.tensor([0.0, 0.5, 1.7, 1.8, 1.9, 50.0], dtype=torch.float64, requires_grad=True)
    found = strategy.transform(losses)
    found.sum().backward()
    near = -np.log(1 - np.array([0.0, 0.5, 1.7, 1.8]) / 2)
    far = -np.log(0.1) + (np.array([1.9, 50.0]) - 1.8) / 0.2
    np.testing.assert_allclose(found.detach().numpy(), [*near, *far], rtol=1e-12)
    assert losses.grad is not None
    slopes = [1 / 2, 1 / 1.5, 1 / 0.3, 5, 5, 5]
    np.testing.assert_allclose(losses.grad.numpy(), slopes, rtol=1e-9)


@pytest.mark.parametrize("baseline", [2.5, 4.0])
def test_it_ends_where_the_product_of_utilities_is_largest(baseline: float, tmp_path: Path) -> None:
    """There 3 (w + 1)/(M - F₁) + (w - 1)/(M - F₂) is 0. Averaging ends at -0.5."""

    def slope(w: float) -> float:
        many, lone = (w + 1) ** 2 / 2, (w - 1) ** 2 / 2
        return 3 * (w + 1) / (baseline - many) + (w - 1) / (baseline - lone)

    grid = np.linspace(-1, 1, 20_001)
    wanted = float(grid[np.abs([slope(w) for w in grid]).argmin()])
    strategy = PropFair(baseline=baseline)
    found = settled(strategy, tmp_path, rounds=40, rate=0.4 * baseline)
    assert found == pytest.approx(wanted, abs=5e-3)
    assert wanted > -0.46


def test_with_a_baseline_far_away_it_is_federated_averaging(tmp_path: Path) -> None:
    found = settled(PropFair(baseline=1e6), tmp_path, rounds=3, rate=0.3e6)
    assert found == pytest.approx(settled(FedAvg(), tmp_path, rounds=3, rate=0.3), abs=1e-5)


def test_a_margin_is_less_than_the_baseline() -> None:
    with pytest.raises(ValueError, match=r"Expected margin < baseline, got 2.0 and 2.0"):
        PropFair(baseline=2.0, margin=2.0)
