"""Ditto against Li et al. 2021, algorithm 1."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from contracts.bits import assert_same_bits
from contracts.learning import clients, diabetes, linear_task, shards
from contracts.rounds import after, parabola, rounds_of
from numpy.typing import NDArray
from tacit.client import Client, Data, Memory, Training
from tacit.privacy import Mean
from tacit.simulations.config import make_config
from tacit.simulations.run import simulate
from tacit.strategies import Ditto, FedAvg, Strategy
from tacit.wire import Instruction, Purpose

CLIENTS = {"a": 30, "b": 55, "c": 12}
ETA, STEPS = 0.1, 4
TRAINING = Training(learning_rate=ETA, batch_size=1000, steps=STEPS)


def gradient(w: NDArray[np.float64], rows: Data) -> NDArray[np.float64]:
    found: NDArray[np.float64] = rows.features.T @ (rows.features @ w - rows.targets) / len(rows)
    return found


@pytest.mark.parametrize("pull", [0.0, 0.3, 2.0])
def test_every_personal_model_follows_algorithm_1(pull: float, tmp_path: Path) -> None:
    """v ← v - η (∇F(v) + λ (v - w)), from the v of the last round; half of the clients at a time."""
    data, turns = shards(diabetes(), CLIENTS), {1: "ab", 2: "bc", 3: "ac", 4: "ab"}
    states = rounds_of(
        Ditto(pull=pull),
        data=data,
        task=linear_task(10),
        training=TRAINING,
        initial={"weight": np.ones((1, 10))},
        folder=tmp_path,
        choose=lambda number: list(turns[number]),
    )
    w, own = np.ones(10), dict[str, NDArray[np.float64]]()
    for number, state in zip(turns, states, strict=False):
        for name in turns[number]:
            v = own.get(name, w).copy()
            for _ in range(STEPS):
                v -= ETA * (gradient(v, data[name]) + pull * (v - w))
            own[name] = v
            found = Memory(tmp_path).read(name, number + 1)["weight"][0]
            np.testing.assert_allclose(found, v, rtol=0, atol=1e-10)
        w = state.parameters["weight"][0]


def test_the_shared_model_is_that_of_federated_averaging_bit_by_bit(tmp_path: Path) -> None:
    strategies: dict[str, Strategy] = {"ditto": Ditto(pull=0.5), "fedavg": FedAvg()}
    one, other = (
        after(
            4,
            rounds_of(
                strategy,
                data=shards(diabetes(), CLIENTS),
                task=linear_task(10),
                training=Training(learning_rate=ETA, batch_size=8),
                initial={"weight": np.ones((1, 10))},
                folder=tmp_path / name,
            ),
        )
        for name, strategy in strategies.items()
    )
    assert_same_bits(one.parameters, other.parameters)


@pytest.mark.parametrize("pull", [0.0, 1.0])
def test_personal_models_settle_between_their_own_minimum_and_the_shared_one(
    pull: float, tmp_path: Path
) -> None:
    """With curvatures c = 4 and 9 and minima m = -1 and 1, w is 5/13, and v is (cm + λw)/(c + λ)."""
    states = rounds_of(
        Ditto(pull=pull),
        data={"flat": parabola(4.0, -1.0), "steep": parabola(9.0, 1.0)},
        task=linear_task(1),
        training=Training(learning_rate=0.1, steps=1),
        initial={"weight": np.zeros((1, 1))},
        folder=tmp_path,
    )
    assert after(40, states).parameters["weight"][0, 0] == pytest.approx(5 / 13, abs=1e-6)
    for name, curvature, minimum in (("flat", 4.0, -1.0), ("steep", 9.0, 1.0)):
        found = Memory(tmp_path).read(name, 41)["weight"][0, 0]
        wanted = (curvature * minimum + pull * 5 / 13) / (curvature + pull)
        assert found == pytest.approx(wanted, abs=1e-6)


def own_client(folder: Path) -> Client:
    data, mechanism = {"a": diabetes().rows(slice(0, 30))}, Mean()
    return clients(data, linear_task(10), Ditto(), mechanism, folder)["a"]


def ask(purpose: Purpose, round: int) -> Instruction:
    return Instruction(
        round=round,
        purpose=purpose,
        seed=0,
        parameters={"weight": np.ones((1, 10))},
        settings=TRAINING.settings(),
    )


def test_an_evaluation_counts_what_both_models_do(tmp_path: Path) -> None:
    """The personal model is that of the round which is evaluated, and there is none before the first."""
    client = own_client(tmp_path)
    before = client.answer(ask(Purpose.EVALUATE, 0)).statistics
    assert not any(name.startswith("personal_") for name in before)
    client.answer(ask(Purpose.FIT, 1))
    after_one = client.answer(ask(Purpose.EVALUATE, 1)).statistics
    client.answer(ask(Purpose.FIT, 2))
    assert client.answer(ask(Purpose.EVALUATE, 1)).statistics == after_one
    again = client.answer(ask(Purpose.EVALUATE, 2)).statistics
    own = client.trainer.evaluate(Memory(tmp_path).read("a", 3), client.test)
    assert {k: v for k, v in again.items() if not k.startswith("personal_")} == before
    assert {f"personal_{name}": value for name, value in own.items()}.items() <= again.items()
    assert again["personal_loss"] < after_one["personal_loss"] < before["loss"]


def test_training_alone_is_measured_without_a_personal_model(tmp_path: Path) -> None:
    client = own_client(tmp_path)
    client.answer(ask(Purpose.FIT, 1))
    alone = client.answer(ask(Purpose.ALONE, 1)).statistics
    assert (
        alone.keys() == client.trainer.evaluate(ask(Purpose.FIT, 1).parameters, client.test).keys()
    )


def test_personal_models_serve_clients_that_differ_better_than_the_shared_one() -> None:
    """Clients with two of ten digits each: the worst of them gains, on rows that were held out."""
    table = {
        "seed": 1,
        "rounds": 8,
        "data": {"name": "digits"},
        "partition": {"kind": "shards", "clients": 10, "shards_per_client": 2},
        "model": {"kind": "mlp", "hidden": [16]},
        "train": {"learning_rate": 0.2, "batch_size": 16},
        "strategy": {"kind": "ditto", "pull": 0.1},
        "run": {"workers": 0, "device": "cpu"},
    }
    found = simulate(make_config(table)).clients.values()
    shared = [rates["accuracy"] for rates in found]
    personal = [rates["personal_accuracy"] for rates in found]
    assert min(personal) > min(shared) + 0.1
    assert np.mean(personal) > np.mean(shared)
