"""SCAFFOLD against Karimireddy et al. 2020, algorithm 1 with option II."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from contracts.bits import bits
from contracts.learning import diabetes, linear_task, shards
from contracts.rounds import after, parabola, rounds_of
from numpy.typing import NDArray
from tacit.client import Data, Memory, Training
from tacit.strategies import FedAvg, Fitted, Scaffold, Strategy
from tacit.wire import Arrays

CLIENTS = {"a": 30, "b": 55, "c": 12, "d": 20}
ETA, STEPS, SERVER = 0.1, 4, 0.7
PARTIAL: dict[int, Sequence[str]] = {1: "ab", 2: "cd", 3: "ac", 4: "bc", 5: "ad", 6: "bd"}


def gradient(w: NDArray[np.float64], rows: Data) -> NDArray[np.float64]:
    found: NDArray[np.float64] = rows.features.T @ (rows.features @ w - rows.targets) / len(rows)
    return found


@pytest.mark.parametrize("partial", [False, True])
def test_every_round_follows_algorithm_1(partial: bool, tmp_path: Path) -> None:
    data = shards(diabetes(), CLIENTS)
    states = rounds_of(
        Scaffold(learning_rate=SERVER),
        data=data,
        task=linear_task(10),
        training=Training(learning_rate=ETA, batch_size=1000, steps=STEPS),
        initial={"weight": np.ones((1, 10))},
        folder=tmp_path,
        choose=(lambda number: PARTIAL[number]) if partial else None,
    )
    x, c, controls = np.ones(10), np.zeros(10), {name: np.zeros(10) for name in data}
    for number, state in zip(range(1, 7), states, strict=False):
        cohort = list(PARTIAL[number]) if partial else list(data)
        moves, changes = [], []
        for name in cohort:
            y = x.copy()
            for _ in range(STEPS):
                y = y - ETA * (gradient(y, data[name]) - controls[name] + c)
            fresh = controls[name] - c + (x - y) / (STEPS * ETA)
            moves.append(y - x)
            changes.append(fresh - controls[name])
            controls[name] = fresh
        x = x + SERVER * np.mean(moves, axis=0)
        c = c + len(cohort) / len(data) * np.mean(changes, axis=0)
        np.testing.assert_allclose(state.parameters["weight"][0], x, rtol=0, atol=1e-7)
        np.testing.assert_allclose(state.memory["c"]["weight"][0], c, rtol=0, atol=1e-7)
        for name in cohort:
            found = Memory(tmp_path).read(name, number + 1)["weight"][0]
            np.testing.assert_allclose(found, controls[name], rtol=0, atol=1e-7)


@pytest.mark.parametrize("partial", [False, True])
def test_the_control_of_the_server_is_the_mean_of_the_clients(
    partial: bool, tmp_path: Path
) -> None:
    """Those who never took part count with the zero that they start from."""
    data = shards(diabetes(), CLIENTS)
    states = rounds_of(
        Scaffold(),
        data=data,
        task=linear_task(10),
        training=Training(learning_rate=ETA, batch_size=8, epochs=2),
        initial={"weight": np.ones((1, 10))},
        folder=tmp_path,
        choose=(lambda number: PARTIAL[number]) if partial else None,
    )
    for number, state in zip(range(1, 5), states, strict=False):
        memories = [Memory(tmp_path).read(name, number + 1) for name in data]
        held = [memory["weight"] if memory else np.zeros((1, 10)) for memory in memories]
        found = state.memory["c"]["weight"]
        np.testing.assert_allclose(found, np.mean(held, axis=0), rtol=0, atol=1e-8)


LOCAL = Training(learning_rate=0.05, steps=10)


def settle(
    strategy: Strategy,
    folder: Path,
    rounds: int,
    partial: bool = False,
    training: Training = LOCAL,
) -> float:
    """Where clients end whose minima, -1 and 1, have curvatures 1 and 9: the mean loss, at 0.8."""
    states = rounds_of(
        strategy,
        data={"flat": parabola(1.0, -1.0), "steep": parabola(9.0, 1.0)},
        task=linear_task(1),
        training=training,
        initial={"weight": np.zeros((1, 1))},
        folder=folder,
        choose=(lambda number: ["flat", "steep"][number % 2 :][:1]) if partial else None,
    )
    return float(after(rounds, states).parameters["weight"][0, 0])


def test_it_reaches_the_minimum_where_averaging_drifts(tmp_path: Path) -> None:
    """Averaging settles where (1 - 0.95^10)(w + 1) + (1 - 0.55^10)(w - 1) = 0."""
    flat, steep = 1 - 0.95**10, 1 - 0.55**10
    drifted = (steep - flat) / (steep + flat)
    assert settle(FedAvg(), tmp_path, rounds=30) == pytest.approx(drifted, abs=1e-6)
    assert drifted < 0.5
    assert settle(Scaffold(), tmp_path, rounds=30) == pytest.approx(0.8, abs=1e-6)


def test_it_reaches_the_minimum_with_half_of_the_clients_at_a_time(tmp_path: Path) -> None:
    slow = Scaffold(learning_rate=0.5)
    assert settle(slow, tmp_path, rounds=40, partial=True) == pytest.approx(0.8, abs=1e-6)


@pytest.mark.parametrize(
    "training",
    [
        Training(learning_rate=0.05, steps=10, momentum=0.5),
        Training(learning_rate=0.005, steps=10, momentum=0.9),
        Training(learning_rate=0.05, steps=10, clip=0.5),
    ],
    ids=["momentum", "heavy momentum", "clip"],
)
def test_it_reaches_the_minimum_with_local_momentum_and_clipping(
    tmp_path: Path, training: Training
) -> None:
    """(x - y)/(K η) is up to 10 times the gradient at momentum 0.9: with it the controls explode."""
    assert settle(Scaffold(), tmp_path, 30, training=training) == pytest.approx(0.8, abs=1e-5)


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_a_first_control_is_the_gradient_that_was_followed(momentum: float) -> None:
    """Unit gradients for 3 steps at rate 0.1: whatever the momentum, the gradient was 1."""
    way = sum((1 - momentum ** (3 - k)) / (1 - momentum) for k in range(3))
    fitted = Fitted(
        delta={"w": np.array([-0.1 * way])}, steps=3, learning_rate=0.1, momentum=momentum
    )
    _, control = Scaffold().contribute(fitted, {"w": np.zeros(1)}, {})
    np.testing.assert_allclose(control["w"], [1.0], rtol=1e-12)


def test_a_control_travels_in_the_dtype_of_its_parameter() -> None:
    parameters: Arrays = {"w": np.ones(2, np.float32), "b": np.ones(2)}
    state, strategy = Scaffold().init(parameters), Scaffold()
    extras = strategy.extras(state)
    part, control = strategy.contribute(
        Fitted(delta=parameters, steps=1, learning_rate=0.1), extras, {}
    )
    for name, array in parameters.items():
        assert state.memory["c"][name].dtype == np.float64
        assert extras[name].dtype == control[name].dtype == array.dtype
        assert part[f"control/{name}"].dtype == part[f"delta/{name}"].dtype == array.dtype


def test_a_client_that_sat_out_goes_on_from_what_it_remembers(tmp_path: Path) -> None:
    data = shards(diabetes(), CLIENTS)
    states = rounds_of(
        Scaffold(),
        data=data,
        task=linear_task(10),
        training=Training(learning_rate=ETA, batch_size=8),
        initial={"weight": np.ones((1, 10))},
        folder=tmp_path,
        choose=lambda number: PARTIAL[number],
    )
    after(2, states)
    kept = Memory(tmp_path).read("a", 2)
    assert kept
    assert bits(Memory(tmp_path).read("a", 3)) == bits(kept)
