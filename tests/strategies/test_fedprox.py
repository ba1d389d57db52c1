"""FedProx against Li et al. 2020: clients minimise h(w) = F(w) + μ/2 ‖w - x‖²."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from contracts.bits import assert_same_bits
from contracts.learning import diabetes, linear_task, shards
from contracts.rounds import after, rounds_of
from tacit.client import Training
from tacit.strategies import FedAvg, FedProx, ServerState, Strategy

DATA = {"a": 30, "b": 50}
ETA, STEPS = 0.1, 7


def states(strategy: Strategy, folder: Path) -> Iterator[ServerState]:
    return rounds_of(
        strategy,
        data=shards(diabetes(), DATA),
        task=linear_task(10),
        training=Training(learning_rate=ETA, batch_size=1000, steps=STEPS),
        initial={"weight": np.ones((1, 10))},
        folder=folder,
    )


@pytest.mark.parametrize("mu", [0.1, 3.0])
def test_clients_descend_on_the_proximal_objective(mu: float, tmp_path: Path) -> None:
    """∇h(w) = ∇F(w) + μ (w - x), written out for least squares, over three rounds."""
    x = np.ones(10)
    for _, state in zip(range(3), states(FedProx(mu=mu), tmp_path), strict=False):
        ends = []
        for rows in shards(diabetes(), DATA).values():
            w = x.copy()
            for _ in range(STEPS):
                residual = rows.features @ w - rows.targets
                w -= ETA * (rows.features.T @ residual / len(rows) + mu * (w - x))
            ends.append(w)
        x = np.mean(ends, axis=0)
        np.testing.assert_allclose(state.parameters["weight"][0], x, rtol=0, atol=1e-8)


def test_without_a_pull_it_is_federated_averaging(tmp_path: Path) -> None:
    one = after(3, states(FedProx(mu=0.0, learning_rate=0.5), tmp_path))
    other = after(3, states(FedAvg(learning_rate=0.5), tmp_path))
    assert_same_bits(one.parameters, other.parameters)


def test_a_stronger_pull_keeps_clients_nearer(tmp_path: Path) -> None:
    ends = [after(1, states(FedProx(mu=mu), tmp_path)) for mu in (0.0, 0.1, 1.0, 5.0)]
    moved = [float(np.linalg.norm(state.parameters["weight"] - 1.0)) for state in ends]
    assert moved == sorted(moved, reverse=True)
    assert moved[-1] < 0.5 * moved[0]
