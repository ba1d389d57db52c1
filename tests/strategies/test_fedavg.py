"""Federated averaging against its papers: McMahan et al. 2017, and Hsu et al. 2019 for momentum."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from contracts.learning import CPU, diabetes, linear_task, shards, wine, wine_task
from contracts.rounds import after, rounds_of
from tacit.client import Plain, Training, initial_parameters
from tacit.privacy import Mean
from tacit.strategies import Correction, FedAvg, FedAvgM, Released

SIZES = {"a": 60, "b": 7, "c": 31}


def test_the_model_is_the_mean_of_the_clients_models_weighted_by_rows(tmp_path: Path) -> None:
    """McMahan et al., algorithm 1: w ← Σ n_k/n w_k, where each w_k was trained from w."""
    data, task, training = shards(wine(), SIZES), wine_task(), Training(batch_size=1000, epochs=3)
    initial = initial_parameters(task, seed=1)
    state = after(
        1,
        rounds_of(
            FedAvg(),
            data=data,
            task=task,
            training=training,
            initial=initial,
            folder=tmp_path,
            mechanism=Mean(weighting="examples"),
        ),
    )
    trainer, rng = Plain(task, CPU), np.random.default_rng(0)
    for name, array in initial.items():
        wanted = np.zeros(array.shape)
        for rows in data.values():
            delta = trainer.fit(initial, rows, training, 0.1, Correction(), rng).delta
            wanted += len(rows) / sum(SIZES.values()) * (array + delta[name])
        np.testing.assert_allclose(state.parameters[name], wanted, rtol=1e-5, atol=1e-6)


def test_one_full_step_of_everyone_is_a_step_on_all_rows_together(tmp_path: Path) -> None:
    """What McMahan et al. call FedSGD, here against gradient descent written out for all rows."""
    training = Training(learning_rate=0.05, batch_size=10**6)
    states = rounds_of(
        FedAvg(),
        data=shards(diabetes(), SIZES),
        task=linear_task(10),
        training=training,
        initial={"weight": np.zeros((1, 10))},
        folder=tmp_path,
        mechanism=Mean(weighting="examples"),
    )
    total = sum(SIZES.values())
    x, y, w = diabetes().features[:total], diabetes().targets[:total], np.zeros(10)
    for _, state in zip(range(5), states, strict=False):
        w -= 0.05 * x.T @ (x @ w - y) / total
        np.testing.assert_allclose(state.parameters["weight"][0], w, rtol=0, atol=1e-8)


@pytest.mark.parametrize(("eta", "beta"), [(1.0, 0.9), (0.3, 0.0), (0.1, 0.99)])
def test_momentum_follows_the_paper(eta: float, beta: float) -> None:
    """Hsu et al., section 4.3: v ← β v + Δw, w ← w - v; their Δw is w - w_k, ours the opposite."""
    rng = np.random.default_rng(0)
    strategy = FedAvgM(learning_rate=eta, momentum=beta)
    state = strategy.init({"w": rng.normal(size=(3, 2))})
    w, v = state.parameters["w"], np.zeros((3, 2))
    for _ in range(6):
        delta = rng.normal(size=(3, 2))
        state = strategy.step(state, Released(mean={"w": delta}, participation=0.2))
        v = beta * v + delta
        w = w + eta * v
        np.testing.assert_allclose(state.parameters["w"], w, rtol=1e-13)
        np.testing.assert_allclose(state.memory["v"]["w"], v, rtol=1e-13)


def test_the_server_learning_rate_scales_the_step() -> None:
    state = FedAvg(learning_rate=0.25).init({"w": np.array([1.0], np.float32)})
    released = Released(mean={"w": np.array([4.0])}, participation=1.0)
    after_one = FedAvg(learning_rate=0.25).step(state, released)
    np.testing.assert_array_equal(after_one.parameters["w"], [2.0])
