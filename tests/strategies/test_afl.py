"""AFL against Mohri et al. 2019, algorithm 1."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from contracts.bits import assert_same_bits
from contracts.learning import diabetes, linear_task, shards
from contracts.rounds import rounds_of, settled
from numpy.typing import NDArray
from tacit.client import Training
from tacit.privacy import Mean
from tacit.privacy.simplex import onto_simplex
from tacit.strategies import AFL, FedAvg, Released

UNIFORM = Mean(weighting="uniform")
CLIENTS = {"a": 30, "b": 55, "c": 12}
ETA, GAMMA = 0.1, 0.3


def test_every_round_follows_algorithm_1(tmp_path: Path) -> None:
    """With one full step each, the weighted mean of the changes is the gradient of the mixture."""
    data = shards(diabetes(), CLIENTS)
    states = rounds_of(
        AFL(clients=3, learning_rate=0.7, mixing_rate=GAMMA),
        data=data,
        task=linear_task(10),
        training=Training(learning_rate=ETA, batch_size=1000, steps=1),
        initial={"weight": np.ones((1, 10))},
        folder=tmp_path,
        mechanism=UNIFORM,
    )
    w, mixture, path = np.ones(10), np.full(3, 1 / 3), list[NDArray[np.float64]]()
    for _, state in zip(range(5), states, strict=False):
        errors = [rows.features @ w - rows.targets for rows in data.values()]
        gradients = [
            rows.features.T @ e / len(e) for rows, e in zip(data.values(), errors, strict=True)
        ]
        losses = np.array([np.mean(e**2) / 2 for e in errors])
        w = w - 0.7 * ETA * mixture @ np.array(gradients)
        mixture = onto_simplex(mixture + GAMMA * losses)
        np.testing.assert_allclose(state.memory["x"]["weight"][0], w, rtol=0, atol=1e-7)
        path.append(w)
        mean = np.mean(path, axis=0)
        np.testing.assert_allclose(state.parameters["weight"][0], mean, rtol=0, atol=1e-7)
        np.testing.assert_allclose(state.memory["mixture"]["lambda"], mixture, rtol=0, atol=1e-7)


def test_it_ends_where_the_losses_are_equal(tmp_path: Path) -> None:
    """Averaging leaves the lone client a loss of 1.1; the minimax is at 0, and 0.5 for both."""
    fair = AFL(clients=2, mixing_rate=0.2)
    w = settled(fair, tmp_path, rounds=60, rate=0.3, mechanism=UNIFORM)
    assert w == pytest.approx(0.0, abs=0.02)
    assert settled(FedAvg(), tmp_path) == pytest.approx(-0.5, abs=1e-3)


def test_a_client_that_does_not_answer_counts_with_its_last_loss() -> None:
    strategy = AFL(clients=3, mixing_rate=0.1)
    state = strategy.init({"w": np.zeros(1)})
    mean = {
        "delta/w": np.array([1.0]),
        "losses": np.array([1.0, 0.0, 0.5]),  # of two that came: losses 2 and 1
        "present": np.array([0.5, 0.0, 0.5]),
    }
    after = strategy.step(state, Released(mean=mean, participation=1.0))
    wanted = onto_simplex(np.array([1, 1, 1]) / 3 + np.array([0.2, 0.0, 0.1]))
    np.testing.assert_allclose(after.memory["mixture"]["lambda"], wanted, rtol=1e-12)
    assert_same_bits(after.parameters, {"w": np.array([2.0])})
    mean |= {"losses": np.array([0.0, 1.5, 0.0]), "present": np.array([0.0, 0.5, 0.5])}
    later = strategy.step(after, Released(mean=mean, participation=1.0))
    wanted = onto_simplex(wanted + np.array([0.2, 0.3, 0.0]))  # the first stays at 2
    np.testing.assert_allclose(later.memory["mixture"]["lambda"], wanted, rtol=1e-12)


def test_without_the_number_of_clients_it_does_not_begin() -> None:
    with pytest.raises(ValueError, match="Expected the number of clients"):
        AFL().init({"w": np.zeros(1)})
