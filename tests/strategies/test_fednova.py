"""FedNova against Wang et al. 2020: unequal work is normalised away."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from contracts.learning import linear_task
from contracts.mechanism import total_of
from contracts.rounds import after, parabola, rounds_of
from tacit.client import Training
from tacit.privacy import Mean, Sampling, Secret
from tacit.strategies import FedAvg, FedNova, Fitted, Released, Strategy
from tacit.strategies.fednova import accumulated


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("steps", [1, 2, 5, 30])
def test_the_norm_of_a_is_how_far_unit_gradients_carry_the_optimizer(
    steps: int, momentum: float
) -> None:
    """Δ = -η Σ a_k g_k, so with every g_k = 1 and η = 1 the way travelled is ‖a‖₁."""
    weight = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = torch.optim.SGD([weight], lr=1.0, momentum=momentum)
    for _ in range(steps):
        weight.grad = torch.ones(1, dtype=torch.float64)
        optimizer.step()
    assert accumulated(steps, momentum) == pytest.approx(-float(weight.detach()), rel=1e-12)


def test_a_round_follows_the_paper() -> None:
    """x ← x - τ_eff η Σ p_i d_i, d_i = G_i a_i / ‖a_i‖₁, τ_eff = Σ p_i ‖a_i‖₁; η d_i ‖a_i‖₁ = -Δ_i."""
    rng = np.random.default_rng(0)
    strategy, mechanism = FedNova(learning_rate=0.8), Mean(weighting="examples")
    x, rows, steps, momentum = rng.normal(size=5), [3, 50, 17], [1, 12, 4], 0.5
    deltas = [rng.normal(size=5) for _ in rows]
    parts = [
        strategy.contribute(
            Fitted(delta={"w": delta}, steps=count, learning_rate=0.1, momentum=momentum), {}, {}
        )[0]
        for delta, count in zip(deltas, steps, strict=True)
    ]
    total = total_of(mechanism, parts, rows)
    everyone = Sampling(scheme="everyone", clients=3, participation=1.0)
    mean, _ = mechanism.release(total, everyone, {}, Secret.fresh().stream())
    assert mean is not None
    state = strategy.step(strategy.init({"w": x}), Released(mean=mean, participation=1.0))

    p = np.array(rows) / sum(rows)
    a = [
        sum((1 - momentum ** (count - k)) / (1 - momentum) for k in range(count)) for count in steps
    ]
    tau = p @ a
    wanted = x + 0.8 * tau * sum(p[i] * deltas[i] / a[i] for i in range(3))
    np.testing.assert_allclose(state.parameters["w"], wanted, rtol=0, atol=1e-8)


def test_equal_work_is_federated_averaging() -> None:
    rng = np.random.default_rng(0)
    delta = {"w": rng.normal(size=5)}
    fitted = Fitted(delta=delta, steps=7, learning_rate=0.1)
    states = []
    for strategy in (FedNova(), FedAvg()):
        part, _ = strategy.contribute(fitted, {}, {})
        state = strategy.step(
            strategy.init({"w": np.zeros(5)}), Released(mean=part, participation=1.0)
        )
        states.append(state.parameters["w"])
    np.testing.assert_allclose(states[0], states[1], rtol=1e-12)


def settle(strategy: Strategy, folder: Path, rounds: int = 120, momentum: float = 0.0) -> float:
    """Where two clients with 1 and 10 steps a round end: their minima are at -1 and 1."""
    data = {"few": parabola(1.0, -1.0, rows=4), "many": parabola(1.0, 1.0, rows=40)}
    states = rounds_of(
        strategy,
        data=data,
        task=linear_task(1),
        training=Training(learning_rate=0.01, batch_size=4, momentum=momentum),
        initial={"weight": np.full((1, 1), 0.3)},
        folder=folder,
    )
    return float(after(rounds, states).parameters["weight"][0, 0])


def test_the_one_who_works_more_does_not_pull_the_average(tmp_path: Path) -> None:
    """Theorem 1: federated averaging minimises Σ p_i τ_i F_i, here at 9/11; the mean loss, at 0.

    What is left of the bias is of the order of η τ: with rate 0.01, (1 - 0.99^10)/10 for 0.01.
    """
    few, many = 1 - 0.99, 1 - 0.99**10
    biased = (many - few) / (many + few)
    assert settle(FedAvg(), tmp_path) == pytest.approx(biased, abs=1e-3)
    left = (many / 10 - few) / (many / 10 + few)
    assert settle(FedNova(), tmp_path) == pytest.approx(left, abs=1e-3)
    assert abs(left) < 0.03 < 0.8 < biased


def test_momentum_is_counted_as_work(tmp_path: Path) -> None:
    """Left out, the second client's 10 steps would carry over 3 times as far as 10."""
    assert abs(settle(FedNova(), tmp_path, 40, momentum=0.9)) < 0.15
    assert settle(FedAvg(), tmp_path, 40, momentum=0.9) > 0.8
