"""TERM against Li et al. 2021: the gradient of the tilted loss weighs clients by e^(tF)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from contracts.learning import diabetes, linear_task, shards
from contracts.rounds import after, rounds_of, settled
from tacit.client import Training
from tacit.privacy import Mean
from tacit.strategies import TERM, FedAvg, Fitted, Received, Released
from tacit.strategies.tilt import UNIT

CLIENTS = {"a": 30, "b": 55, "c": 12}
ETA = 0.05
FULL = Training(learning_rate=ETA, batch_size=1000, steps=1)


@pytest.mark.parametrize("t", [0.5, 4.0])
@pytest.mark.parametrize("weighting", ["uniform", "examples"])
def test_a_round_of_single_steps_descends_on_the_tilted_loss(
    t: float, weighting: Literal["uniform", "examples"], tmp_path: Path
) -> None:
    data = shards(diabetes(), CLIENTS)
    states = rounds_of(
        TERM(t=t, learning_rate=0.8),
        data=data,
        task=linear_task(10),
        training=FULL,
        initial={"weight": np.zeros((1, 10))},
        folder=tmp_path,
        mechanism=Mean(weighting=weighting),
    )
    w = np.zeros(10)
    shares = np.array([*CLIENTS.values()] if weighting == "examples" else [1, 1, 1], float)
    for _, state in zip(range(4), states, strict=False):
        errors = [rows.features @ w - rows.targets for rows in data.values()]
        gradients = [
            rows.features.T @ e / len(e) for rows, e in zip(data.values(), errors, strict=True)
        ]
        losses = np.array([np.mean(e**2) / 2 for e in errors])
        tilts = shares * np.exp(t * losses)
        w = w - 0.8 * ETA * tilts @ np.array(gradients) / tilts.sum()
        tilted = np.log((shares / shares.sum()) @ np.exp(t * losses)) / t
        np.testing.assert_allclose(state.parameters["weight"][0], w, rtol=0, atol=1e-7)
        assert state.memory["tilted"]["mean"] == pytest.approx(tilted, abs=1e-6)


def test_with_little_tilt_it_is_federated_averaging(tmp_path: Path) -> None:
    one, other = (
        after(
            3,
            rounds_of(
                strategy,
                data=shards(diabetes(), CLIENTS),
                task=linear_task(10),
                training=Training(learning_rate=ETA, batch_size=8),
                initial={"weight": np.ones((1, 10))},
                folder=tmp_path,
            ),
        )
        for strategy in (TERM(t=1e-6), FedAvg())
    )
    np.testing.assert_allclose(
        one.parameters["weight"], other.parameters["weight"], rtol=0, atol=1e-5
    )


def test_a_larger_tilt_helps_the_worst(tmp_path: Path) -> None:
    found = [settled(TERM(t=t), tmp_path, rate=0.5) for t in (0.01, 0.2, 1.0, 5.0)]
    assert found == sorted(found)
    assert found[-1] > -0.15
    assert settled(FedAvg(), tmp_path) == pytest.approx(-0.5, abs=1e-3)


@pytest.mark.parametrize("t", [0.1, 3.0, 50.0])
@pytest.mark.parametrize("loss", [0.0, 1e-12, 1e6])
def test_losses_of_any_size_neither_overflow_nor_vanish(t: float, loss: float) -> None:
    """After one round a weight is about 1. Equal losses move the model as averaging does."""
    strategy = TERM(t=t)
    state = strategy.init({"w": np.ones(1)})
    received = Received(losses=np.full(3, loss), guesses=np.zeros(3, np.int64))
    seen = Fitted(delta={"w": np.ones(1)}, steps=1, learning_rate=0.1, received=received)
    for number in range(1, 4):
        part, _ = strategy.contribute(seen, strategy.extras(state), {})
        state = strategy.step(state, Released(mean=part, participation=1.0))
        assert state.parameters["w"][0] == pytest.approx(1 + number)
        assert state.memory["tilted"]["mean"] == pytest.approx(loss)
    assert float(part["tilt"]) / UNIT == pytest.approx(1.0)


def test_losses_that_fall_fast_are_found_again() -> None:
    strategy = TERM(t=50.0)
    state = strategy.init({"w": np.ones(1)})
    for loss in (3.0, *(20 * [0.5])):
        received = Received(losses=np.full(3, loss), guesses=np.zeros(3, np.int64))
        seen = Fitted(delta={"w": np.ones(1)}, steps=1, learning_rate=0.1, received=received)
        part, _ = strategy.contribute(seen, strategy.extras(state), {})
        state = strategy.step(state, Released(mean=part, participation=1.0))
    assert state.memory["tilted"]["mean"] == pytest.approx(0.5)
