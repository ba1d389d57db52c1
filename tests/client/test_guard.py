"""What a client allows: its budget holds over rounds, runs and restarts, whatever it is asked."""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from contracts.bits import bits
from contracts.learning import CPU, shards, wine, wine_task
from tacit.client import DPSGD, Client, Data, Guard, Memory, Plain, Training, initial_parameters
from tacit.client.guard import own_secret
from tacit.privacy import Adjacency, Budget, Ledger, Mean, Unit
from tacit.privacy.accountants import rdp_epsilon
from tacit.strategies import Ditto, FedAvg, FedProx, Scaffold, Strategy
from tacit.wire import Instruction, Purpose
from tacit.wire.errors import Declined, StoreError
from tacit.wire.messages import SPENT

TERMS = DPSGD(clip=1.0, noise_multiplier=1.0)
UNLIMITED = Budget(epsilon=math.inf)
TRAINING = Training(batch_size=20, steps=10)
ROWS = Data(
    features=np.random.default_rng(0).normal(size=(200, 13)).astype(np.float32),
    targets=np.arange(200) % 3,
)


def guard(folder: Path, budget: Budget = UNLIMITED) -> Guard:
    return Guard(
        folder=folder, population="wine/ann", terms=TERMS, budget=budget, secret=own_secret(folder)
    )


def client(folder: Path, budget: Budget = UNLIMITED, strategy: Strategy | None = None) -> Client:
    """As after a restart: everything that it knows is in its folder."""
    return Client(
        name="ann",
        train=ROWS,
        test=shards(wine(), {"test": 30})["test"],
        trainer=Plain(wine_task(dropout=0.3), CPU),
        strategy=strategy or FedAvg(),
        mechanism=Mean(),
        secret=own_secret(folder),
        memory=Memory(folder / "memory"),
        rounds=3,
        guard=guard(folder, budget),
    )


def ask(
    round: int = 1, run: str = "r", training: Training = TRAINING, seed: int = 2
) -> Instruction:
    parameters = initial_parameters(wine_task(), seed=seed)
    return Instruction(
        run=run,
        round=round,
        purpose=Purpose.FIT,
        seed=5,
        parameters=parameters,
        extras={name: np.zeros_like(array) for name, array in parameters.items()},
        settings=training.settings(),
    )


def spent(folder: Path) -> float:
    with closing(Ledger(folder / "ledger.db")) as ledger:
        counts = ledger.counts("wine/ann", Unit.EXAMPLE)
    return rdp_epsilon(counts, 1e-5, Adjacency.ADD_REMOVE)


def test_rounds_with_a_rebuilt_trainer_compose(tmp_path: Path) -> None:
    """200 rows, batches of 20, σ = 1, 10 steps a round: 3.44, 4.22, 4.85; not 3.44 three times."""
    found = []
    for round in (1, 2, 3):
        client(tmp_path).answer(ask(round))  # another client object, trainer and engine every time
        found.append(round_to(spent(tmp_path)))
    assert found == [3.44, 4.22, 4.85]


def round_to(epsilon: float) -> float:
    return round(epsilon, 2)


def test_the_cap_holds_over_rounds_runs_and_restarts(tmp_path: Path) -> None:
    cap = Budget(epsilon=4.5, delta=1e-5)
    client(tmp_path, cap).answer(ask(1))
    client(tmp_path, cap).answer(ask(2))
    for run, number in (("r", 3), ("another", 1), ("r", 3)):
        with pytest.raises(Declined, match=SPENT):
            client(tmp_path, cap).answer(ask(number, run))
    assert spent(tmp_path) == pytest.approx(4.224, abs=1e-3)


def test_no_instruction_talks_a_client_into_more_than_its_cap(tmp_path: Path) -> None:
    """More steps, larger batches, another round, another run: whatever is asked is paid for first."""
    cap = Budget(epsilon=4.0, delta=1e-5)
    hungry = [
        ask(1, training=replace(TRAINING, steps=100_000)),
        ask(2, training=replace(TRAINING, batch_size=200, steps=10)),
        ask(-1, run="", training=replace(TRAINING, steps=500)),
    ]
    for instruction in hungry:
        with pytest.raises(Declined):
            client(tmp_path, cap).answer(instruction)
    assert spent(tmp_path) == 0.0
    client(tmp_path, cap).answer(ask())
    assert spent(tmp_path) <= 4.0


def test_the_same_question_gets_the_same_answer_and_is_charged_once(tmp_path: Path) -> None:
    first = client(tmp_path).answer(ask())
    before = spent(tmp_path)
    again = client(tmp_path).answer(ask())
    assert bits(first.contribution) == bits(again.contribution)
    assert spent(tmp_path) == before


@pytest.mark.parametrize(
    "other",
    [
        ask(round=2),
        ask(run="another"),
        ask(seed=3),
        ask(training=replace(TRAINING, learning_rate=0.3)),
        replace(ask(), extras={name: a + 1 for name, a in ask().extras.items()}),
    ],
    ids=["round", "run", "parameters", "settings", "extras"],
)
def test_another_question_gets_other_noise_and_is_charged(
    other: Instruction, tmp_path: Path
) -> None:
    one = guard(tmp_path).admit(ask(), ROWS, TRAINING).random(4)
    two = guard(tmp_path).admit(other, ROWS, TRAINING).random(4)
    assert not np.array_equal(one, two)
    assert round_to(spent(tmp_path)) == 4.22


def test_other_rows_get_other_noise(tmp_path: Path) -> None:
    """Or the difference of two answers would show, without noise, what changed."""
    one = guard(tmp_path).admit(ask(), ROWS, TRAINING).random(4)
    regrouped = replace(ROWS, groups={"sex": np.zeros(len(ROWS), np.int64)})  # they may weigh rows
    changed = replace(ROWS, features=np.where(np.arange(13) == 3, 0, ROWS.features))
    for other in (changed, regrouped):
        assert not np.array_equal(one, guard(tmp_path).admit(ask(), other, TRAINING).random(4))


@pytest.mark.parametrize("lost", ["all of it", "the end of it"])
def test_a_ledger_that_went_missing_ends_all_training(lost: str, tmp_path: Path) -> None:
    client(tmp_path).answer(ask(1))
    before = {path.name: path.read_bytes() for path in tmp_path.glob("ledger.db*")}
    client(tmp_path).answer(ask(2))
    for path in tmp_path.glob("ledger.db*"):
        path.unlink()
    if lost == "the end of it":
        for name, data in before.items():
            (tmp_path / name).write_bytes(data)
    with pytest.raises(StoreError, match="is missing"):
        client(tmp_path).answer(ask(3))


def test_it_does_not_train_without_privacy_when_it_is_asked_to_train_alone(tmp_path: Path) -> None:
    with pytest.raises(Declined, match="with privacy only"):
        client(tmp_path).answer(replace(ask(), purpose=Purpose.ALONE))


def test_another_strategy_is_another_question(tmp_path: Path) -> None:
    """Its corrections would show, without noise, in the difference of two answers."""
    client(tmp_path, strategy=FedAvg()).answer(ask())
    client(tmp_path, strategy=FedProx(mu=1.0)).answer(ask())
    assert round_to(spent(tmp_path)) == 4.22


def test_two_clients_have_two_secrets(tmp_path: Path) -> None:
    one, other = own_secret(tmp_path / "ann"), own_secret(tmp_path / "bob")
    assert one.key != other.key
    assert own_secret(tmp_path / "ann") == one
    assert (tmp_path / "ann" / "secret.key").stat().st_mode & 0o077 == 0


def test_the_training_loss_does_not_leave(tmp_path: Path) -> None:
    assert client(tmp_path).answer(ask()).statistics == {"examples": 200}


def test_what_was_charged_is_what_was_done(tmp_path: Path) -> None:
    client(tmp_path).answer(ask(training=Training(batch_size=20, epochs=2)))
    with closing(Ledger(tmp_path / "ledger.db")) as ledger:
        [entry] = ledger.verify()
        counts = ledger.counts("wine/ann", Unit.EXAMPLE)
    assert (entry.times, entry.release, entry.run) == (20, "fit", "r")
    assert counts == {TERMS.event(200, 20): 20}


def test_control_variates_ride_along_at_no_extra_cost(tmp_path: Path) -> None:
    """They are computed from what is private already."""
    update = client(tmp_path, strategy=Scaffold()).answer(ask())
    assert any(name.startswith("control/") for name in update.contribution)
    assert round_to(spent(tmp_path)) == 3.44


def test_a_client_that_trains_with_privacy_does_not_say_what_the_received_model_does(
    tmp_path: Path,
) -> None:
    """No noise would cover it, and nothing is charged."""

    @dataclass(frozen=True, kw_only=True)
    class Asking(FedAvg):
        asks: ClassVar[bool] = True

    with pytest.raises(Declined, match="privacy only"):
        client(tmp_path, strategy=Asking()).answer(ask())
    assert spent(tmp_path) == 0.0


def test_a_client_that_trains_with_privacy_has_no_model_of_its_own(tmp_path: Path) -> None:
    """What it does on held-out rows would tell of train rows, and nothing is charged for it."""
    with pytest.raises(Declined, match="a model of its own would have none"):
        client(tmp_path, strategy=Ditto()).answer(ask())
    assert spent(tmp_path) == 0.0
