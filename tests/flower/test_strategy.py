"""Strategies of Flower named in tacit: what Flower's own objects come to, and what is refused."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import tacit.simulations.flower_strategy
import tacit.strategies
from contracts.bits import assert_same_bits, bits, nested_bits
from contracts.learning import digits, digits_task, shards
from contracts.rounds import after, computed, rounds_of
from contracts.run import Run
from contracts.strategy import check_strategy
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import Strategy
from numpy.typing import NDArray
from tacit.client import Training, initial_parameters
from tacit.flower.roll import Roll
from tacit.flower.strategy import NAMED
from tacit.privacy import Mean
from tacit.reports.tables import settings
from tacit.server import Progress
from tacit.simulations import make_config, read_config, simulate
from tacit.simulations.flower_strategy import FlowerStrategy
from tacit.strategies import Fitted, Local, Released, ServerState
from tacit.strategies import Strategy as TacitStrategy
from tacit.wire import Arrays

CLIENTS = 7
OPTIONS: dict[str, dict[str, Any]] = {
    "FedAvgM": {"server_learning_rate": 0.7, "server_momentum": 0.9},
    "FedAdagrad": {"eta": 0.1, "tau": 0.1},
    "FedAdam": {"eta": 0.1, "tau": 0.1},
    "FedYogi": {"eta": 0.1, "tau": 0.1},
    "FedProx": {"proximal_mu": 0.5},
    "FedTrimmedAvg": {"beta": 0.2},
    "Krum": {"num_malicious_nodes": 1},
    "MultiKrum": {"num_malicious_nodes": 1, "num_nodes_to_select": 3},
    "Bulyan": {"num_malicious_nodes": 1},
    "QFedAvg": {"client_learning_rate": 0.1, "q": 0.5},
    "contracts.flower_strategies:Hoarder": {"log": [1.0]},
}
LOSS = {"QFedAvg": "train_loss"}


def named(name: str, clients: int = CLIENTS) -> FlowerStrategy:
    return FlowerStrategy(
        name=name, options=OPTIONS.get(name, {}), loss=LOSS.get(name), clients=clients
    )


CONTRACT = ["FedAvg", "FedAvgM", "FedAdam", "FedMedian", "FedProx", "Krum"]
"""One of each kind. Bulyan wants more than two clients, and QFedAvg losses."""


@pytest.mark.parametrize("name", CONTRACT)
def test_a_strategy_of_flower_keeps_the_contract(name: str, tmp_path: Path) -> None:
    check_strategy(named(name, clients=2), tmp_path)


# What comes of it is what Flower's object makes of the same replies.


def rows_of(client: int) -> int:
    return 10 + 3 * client


def model(seed: int) -> dict[str, NDArray[Any]]:
    """Arrays without ties, whose names are in no order."""
    rng = np.random.default_rng(seed)
    shapes = {"weight": (3, 2), "bias": (2,), "scale": (), "nothing": (0, 2)}
    dtypes = {"bias": np.float64}
    return {
        name: np.asarray(rng.normal(size=shape), dtypes.get(name, np.float32))
        for name, shape in shapes.items()
    }


def fitted(number: int, client: int) -> Fitted:
    return Fitted(
        delta=model(1 + 100 * number + client),
        steps=1,
        learning_rate=0.1,
        loss=1.0 + client / 8 + number,
        local=Local(position=client, clients=CLIENTS, labels=np.zeros(rows_of(client))),
    )


def by_tacit(strategy: FlowerStrategy, rounds: int, cohort: Sequence[int]) -> list[ServerState]:
    """The states after each round, with a mean weighted by rows."""
    states, total = [strategy.init(model(0))], sum(map(rows_of, cohort))
    for number in range(rounds):
        state = states[-1]
        parts = [
            (rows_of(client) / total, strategy.contribute(fitted(number, client), {}, {})[0])
            for client in cohort
        ]
        mean = {name: np.sum([w * part[name] for w, part in parts], 0) for name in parts[0][1]}
        states.append(computed(strategy.step(state, Released(mean=mean, participation=1.0))))
    return states[1:]


def by_flower(strategy: Strategy, rounds: int, cohort: Sequence[int]) -> Sequence[Arrays]:
    """The same by one object that is never put away."""
    states: list[dict[str, NDArray[Any]]] = [model(0)]
    for number in range(rounds):
        names, state = sorted(states[-1]), states[-1]
        sent = ArrayRecord({name: Array(np.asarray(state[name])) for name in names})
        list(strategy.configure_train(number + 1, sent, ConfigRecord(), Roll(CLIENTS)))
        replies = []
        for client in cohort:
            fit = fitted(number, client)
            arrays = {name: Array(np.asarray(state[name] + fit.delta[name])) for name in names}
            metrics: dict[str, Any] = {"num-examples": rows_of(client), "train_loss": fit.loss}
            content = RecordDict({"a": ArrayRecord(arrays), "m": MetricRecord(metrics)})
            replies.append(Message(content, reply_to=Message(RecordDict(), client + 1, "train")))
        gc.freeze()  # some collect garbage after each array, every time among all of torch
        record, _ = strategy.aggregate_train(number + 1, replies)
        gc.unfreeze()
        found = {} if record is None else {name: record[name].numpy() for name in names}
        states.append({name: found.get(name, x).astype(x.dtype) for name, x in state.items()})
    return states[1:]


@pytest.mark.parametrize("cohort", [range(CLIENTS), [5, 1, 2]], ids=["everyone", "three"])
@pytest.mark.parametrize("name", sorted(NAMED))
def test_rounds_are_those_of_flowers_object(name: str, cohort: Sequence[int]) -> None:
    made: Any = NAMED[name]
    made = made(**OPTIONS.get(name, {}))
    ours, theirs = by_tacit(named(name), 3, sorted(cohort)), by_flower(made, 3, sorted(cohort))
    for state, arrays in zip(ours, theirs, strict=True):
        for array, x in arrays.items():
            np.testing.assert_allclose(state.parameters[array], x, rtol=1e-6, atol=1e-6)


SIZES = {"a": 300, "b": 500, "c": 100}


def on_digits(strategy: TacitStrategy, mechanism: Mean, folder: Path) -> Arrays:
    """The parameters after three rounds of clients that train on pictures."""
    states = rounds_of(
        strategy,
        data=shards(digits(), SIZES),
        task=digits_task(),
        training=Training(learning_rate=0.1, batch_size=50),
        initial=initial_parameters(digits_task(), seed=1),
        folder=folder,
        mechanism=mechanism,
    )
    return after(3, states).parameters


@pytest.mark.parametrize(
    ("name", "options", "tacits", "weighting"),
    [
        ("FedAvg", {}, tacit.strategies.FedAvg(), "examples"),
        ("FedAvg", {}, tacit.strategies.FedAvg(), "uniform"),
        ("FedAvg", {"weighted_by_key": "rows"}, tacit.strategies.FedAvg(), "examples"),
        ("FedProx", {"proximal_mu": 2.0}, tacit.strategies.FedProx(mu=2.0), "examples"),
        (
            "FedAvgM",
            {"server_learning_rate": 0.5, "server_momentum": 0.9},
            tacit.strategies.FedAvgM(learning_rate=0.5, momentum=0.9),
            "examples",
        ),
    ],
)
def test_flowers_rounds_on_digits_are_those_of_tacits_own(
    name: str,
    options: dict[str, object],
    tacits: TacitStrategy,
    weighting: Literal["examples", "uniform"],
    tmp_path: Path,
) -> None:
    flowers, mean = FlowerStrategy(name=name, options=options, clients=3), Mean(weighting=weighting)
    theirs = on_digits(flowers, mean, tmp_path / "flower")
    ours = on_digits(tacits, mean, tmp_path / "tacit")
    for array, x in ours.items():
        np.testing.assert_allclose(theirs[array], x, rtol=0, atol=1e-6)


# What it remembers is in the state.


HOARDER = "contracts.flower_strategies:Hoarder"


class PowerCut(BaseException):
    """Not an error that anything may handle."""


@dataclass
class CutAt:
    """Lets so many events happen."""

    left: int

    def __call__(self, progress: Progress) -> None:
        self.left -= 1
        if not self.left:
            raise PowerCut


@pytest.mark.parametrize("name", ["FedAvgM", "FedYogi", HOARDER])
def test_a_run_that_is_cut_off_after_any_round_ends_in_the_same_bits(
    name: str, tmp_path: Path
) -> None:
    whole = Run(folder=tmp_path / "whole", strategy=named(name, clients=4), evaluate_every=9)
    state = whole.start()
    for event in (2, 5):  # each round begins and is committed
        cut = replace(whole, folder=tmp_path / f"cut-{event}", observe=CutAt(event))
        with pytest.raises(PowerCut):
            cut.start()
        again = replace(cut, observe=lambda progress: None).start()
        assert_same_bits(again.parameters, state.parameters)
        assert nested_bits(again.memory) == nested_bits(state.memory)


def test_without_what_it_remembers_the_rounds_would_be_others() -> None:
    """Or the test above could not fail."""
    strategy = named("FedAvgM")
    state = by_tacit(strategy, 1, range(CLIENTS))[0]
    assert "flower" in state.memory
    forgot = replace(state, memory={})
    mean = {"there": np.full(CLIENTS, 1 / CLIENTS), "rows": np.full(CLIENTS, 1.0)}
    mean |= {f"delta/{k}": np.zeros((CLIENTS, *x.shape)) for k, x in state.parameters.items()}
    still = Released(mean=mean, participation=1.0)
    one, other = (strategy.step(each, still).parameters for each in (state, forgot))
    assert bits(one) != bits(other)


# It is a strategy like any other in a file, a run and a report.


def test_a_file_that_names_one_is_read_run_and_reported(tmp_path: Path) -> None:
    config = make_config(
        {
            "rounds": 2,
            "data": {"name": "wine"},
            "partition": {"kind": "iid", "clients": 5},
            "run": {"workers": 0},
            "strategy": {"kind": "flower", "name": "FedTrimmedAvg", "options": {"beta": 0.2}},
        }
    )
    again = tmp_path / "tacit.toml"
    again.write_text(config.to_toml())
    assert read_config(again) == config
    done = simulate(read_config(again))
    assert len(done.history) == 2
    assert ("strategy", "flower, name FedTrimmedAvg, clients 5, beta 0.2") in settings(done.config)


def test_the_server_half_runs_without_torch(tmp_path: Path) -> None:
    """As a coordinator does."""
    code = (
        "import sys, numpy as np\n"
        "from tacit.simulations.flower_strategy import FlowerStrategy\n"
        "FlowerStrategy(name='FedAdam', clients=3).init({'w': np.ones(1)})\n"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
