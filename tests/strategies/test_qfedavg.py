"""q-FedAvg against Li et al. 2020, algorithm 2."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from contracts.bits import assert_same_bits
from contracts.learning import diabetes, linear_task, shards
from contracts.rounds import after, rounds_of, settled
from numpy.typing import NDArray
from tacit.client import Data, Training
from tacit.privacy import Mean
from tacit.strategies import FedAvg, Fitted, QFedAvg, Received, Released
from tacit.strategies.qfedavg import LEAST
from tacit.strategies.tilt import UNIT

CLIENTS = {"a": 30, "b": 55, "c": 12}
ETA, STEPS = 0.05, 3


def loss(w: NDArray[np.float64], rows: Data) -> float:
    return float(np.mean((rows.features @ w - rows.targets) ** 2) / 2)


def descended(w: NDArray[np.float64], rows: Data) -> NDArray[np.float64]:
    for _ in range(STEPS):
        w = w - ETA * rows.features.T @ (rows.features @ w - rows.targets) / len(rows)
    return w


@pytest.mark.parametrize("q", [0.5, 1.0, 5.0])
@pytest.mark.parametrize("weighting", ["uniform", "examples"])
def test_every_round_follows_algorithm_2(
    q: float, weighting: Literal["uniform", "examples"], tmp_path: Path
) -> None:
    """As the paper writes it, L = 1/η and all; F is that of the received model."""
    data = shards(diabetes(), CLIENTS)
    states = rounds_of(
        QFedAvg(q=q),
        data=data,
        task=linear_task(10),
        training=Training(learning_rate=ETA, batch_size=1000, steps=STEPS),
        initial={"weight": np.full((1, 10), 0.5)},
        folder=tmp_path,
        mechanism=Mean(weighting=weighting),
    )
    w, bend = np.full(10, 0.5), 1 / ETA
    shares = {name: size if weighting == "examples" else 1 for name, size in CLIENTS.items()}
    for _, state in zip(range(4), states, strict=False):
        up, down = np.zeros(10), 0.0
        for name, rows in data.items():
            f = loss(w, rows) + 1e-10
            g = bend * (w - descended(w, rows))
            up += shares[name] * f**q * g
            down += shares[name] * (q * f ** (q - 1) * float(g @ g) + bend * f**q)
        w = w - up / down
        np.testing.assert_allclose(state.parameters["weight"][0], w, rtol=0, atol=1e-6)


def test_without_q_it_is_federated_averaging(tmp_path: Path) -> None:
    data = shards(diabetes(), CLIENTS)
    one, other = (
        after(
            2,
            rounds_of(
                strategy,
                data=data,
                task=linear_task(10),
                training=Training(learning_rate=ETA, batch_size=8),
                initial={"weight": np.ones((1, 10))},
                folder=tmp_path,
            ),
        )
        for strategy in (QFedAvg(q=0.0), FedAvg())
    )
    assert_same_bits(one.parameters, other.parameters)


def test_a_larger_q_helps_the_worst(tmp_path: Path) -> None:
    """The minimum of 3 |w+1|^p + |1-w|^p with p = 2(q+1): (1-w)/(1+w) = 3^(1/(p-1))."""
    worst = []
    for q in (0.0, 1.0, 4.0):
        ratio = 3 ** (1 / (2 * q + 1))
        w = (1 - ratio) / (1 + ratio)
        found = settled(QFedAvg(q=q), tmp_path)
        assert found == pytest.approx(w, abs=1e-3)
        worst.append((1 - found) ** 2 / 2)
    assert worst[0] > 1.5 * worst[1] > 1.5 * worst[2] > 0.75


def seen(value: float, delta: float = 0.0) -> Fitted:
    return Fitted(
        delta={"w": np.full(1, delta)},
        steps=1,
        learning_rate=0.1,
        received=Received(losses=np.full(3, value), guesses=np.zeros(3, np.int64)),
    )


@pytest.mark.parametrize("q", [0.1, 1.0, 15.0])
@pytest.mark.parametrize("value", [0.0, 1e-12, 1e12])
def test_the_unit_finds_losses_however_small_or_large(q: float, value: float) -> None:
    """Nothing overflows on the way, and in the end a weight is about 1."""
    strategy = QFedAvg(q=q)
    state = strategy.init({"w": np.ones(1)})
    for _ in range(200):
        part, _ = strategy.contribute(seen(value), strategy.extras(state), {})
        assert all(np.all(np.isfinite(array)) for array in part.values())
        assert 2.0**-20 <= float(part["power"]) / UNIT <= 2.0**10
        state = strategy.step(state, Released(mean=part, participation=1.0))
    wanted = 1.0 if value < 1 / LEAST else (value * LEAST) ** q
    assert float(part["power"]) / UNIT == pytest.approx(min(wanted, 2.0**10), rel=1e-6)
    np.testing.assert_array_equal(state.parameters["w"], np.ones(1))


def test_a_negative_loss_has_no_power() -> None:
    with pytest.raises(ValueError, match="Expected a loss >= 0"):
        QFedAvg().contribute(seen(-1.0), {"loss": np.ones(())}, {})
