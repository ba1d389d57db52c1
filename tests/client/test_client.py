"""One client: its answer depends on the instruction, its rows and its memory, and on nothing else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from contracts.bits import assert_same_bits, bits
from contracts.learning import CPU, shards, wine, wine_task
from numpy.typing import NDArray
from tacit.client import Client, Memory, Plain, Training, initial_parameters
from tacit.privacy import Mean, Secret
from tacit.strategies import Correction, FedAvg, Fitted, Local, Scaffold, Strategy
from tacit.wire import Arrays, Instruction, Purpose, Update

ROUNDS = 3
TRAINING = Training(learning_rate=0.2, batch_size=8, schedule="linear")


def client(folder: Path, name: str = "ann", strategy: Strategy | None = None) -> Client:
    rows = shards(wine(), {"train": 40, "test": 30})
    return Client(
        name=name,
        train=rows["train"],
        test=rows["test"],
        trainer=Plain(wine_task(dropout=0.3), CPU),
        strategy=strategy or FedAvg(),
        mechanism=Mean(),
        secret=Secret.fresh(),
        memory=Memory(folder),
        rounds=ROUNDS,
    )


def ask(purpose: Purpose = Purpose.FIT, round: int = 1, seed: int = 5) -> Instruction:
    parameters = initial_parameters(wine_task(), seed=2)
    return Instruction(
        round=round,
        purpose=purpose,
        seed=seed,
        parameters=parameters,
        extras={name: np.zeros_like(array) for name, array in parameters.items()},
        settings=TRAINING.settings(),
    )


def test_to_fit_is_to_contribute_how_far_training_moved(tmp_path: Path) -> None:
    update = client(tmp_path).answer(ask())
    assert (update.client, update.round, update.examples) == ("ann", 1, 40)
    assert update.statistics["examples"] == 40
    assert update.contribution.keys() == ask().parameters.keys()
    own, asked = client(tmp_path), ask()
    moved = {k: a + update.contribution[k] for k, a in asked.parameters.items()}
    before = own.trainer.evaluate(asked.parameters, own.train)["loss"]
    assert own.trainer.evaluate(moved, own.train)["loss"] < before
    assert update.statistics["loss"] == pytest.approx(before, rel=0.5)


def same(one: Update, other: Update) -> bool:
    return bits(one.contribution) == bits(other.contribution)


def test_the_answer_depends_on_the_round_the_seed_and_the_name(tmp_path: Path) -> None:
    steady = Training(batch_size=8).settings()
    asked, own = replace(ask(), settings=steady), client(tmp_path)
    first = own.answer(asked)
    own.answer(ask(round=2))
    own.answer(ask(Purpose.ALONE))
    assert same(own.answer(asked), first)
    assert same(client(tmp_path).answer(asked), first)
    assert not same(own.answer(replace(asked, round=2)), first)
    assert not same(own.answer(replace(asked, seed=6)), first)
    assert not same(client(tmp_path, name="bob").answer(asked), first)


def test_the_rate_follows_the_schedule_of_the_whole_run(tmp_path: Path) -> None:
    """Linear over 3 rounds: the first is at 0.2, the third at a third of it."""
    own = client(tmp_path)
    parameters, rows = ask().parameters, own.train
    once = replace(TRAINING, batch_size=1000)
    for round in (1, 2, 3):
        asked = replace(ask(round=round), settings=once.settings())
        update = replace(own, trainer=Plain(wine_task(), CPU)).answer(asked)
        rate = 0.2 * (1 - (round - 1) / 3)
        delta = (
            Plain(wine_task(), CPU)
            .fit(parameters, rows, once, rate, Correction(), np.random.default_rng(0))
            .delta
        )
        for name, array in update.contribution.items():
            np.testing.assert_allclose(array, delta[name], rtol=1e-4, atol=1e-7)


def test_a_repeated_round_repeats_its_result_with_what_was_remembered(tmp_path: Path) -> None:
    own = client(tmp_path, strategy=Scaffold())
    own.answer(ask(round=1))
    second = own.answer(ask(round=2))
    again = client(tmp_path, strategy=Scaffold()).answer(ask(round=2))
    assert same(again, second)
    fresh = client(tmp_path / "fresh", strategy=Scaffold()).answer(ask(round=2))
    assert not same(fresh, second)


def test_to_evaluate_is_to_count_on_the_rows_that_were_held_out(tmp_path: Path) -> None:
    own, asked = client(tmp_path, strategy=Scaffold()), ask(Purpose.EVALUATE)
    update = own.answer(asked)
    assert (update.examples, update.contribution) == (30, {})
    assert update.statistics == own.trainer.evaluate(asked.parameters, own.test)
    assert list(tmp_path.iterdir()) == []


def test_alone_is_a_whole_run_by_oneself_then_evaluated(tmp_path: Path) -> None:
    """At the rates of the schedule, with neither corrections nor a memory."""
    own, asked = client(tmp_path, strategy=Scaffold()), ask(Purpose.ALONE)
    update = own.answer(asked)
    assert (update.examples, update.contribution) == (30, {})
    assert same(own.answer(asked), update)
    assert own.answer(asked).statistics == update.statistics
    assert list(tmp_path.iterdir()) == []
    plain = client(tmp_path, strategy=FedAvg())
    assert plain.answer(asked).statistics == update.statistics
    untrained = own.trainer.evaluate(asked.parameters, own.test)
    assert update.statistics["loss"] < untrained["loss"]
    longer = replace(plain, rounds=30).answer(asked)
    assert longer.statistics["loss"] != update.statistics["loss"]


@dataclass(frozen=True, kw_only=True)
class Witness(FedAvg):
    """Contributes what it is told, so that a test can see it."""

    asks: ClassVar[bool] = True

    def correct(self, extras: Arrays, memory: Arrays, local: Local) -> Correction:
        return Correction(weights=np.arange(40.0) * (local.position == 2))

    def contribute(
        self, fitted: Fitted, extras: Arrays, memory: Arrays
    ) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
        local, received = fitted.local, fitted.received
        assert received is not None
        place = np.array([local.position, local.clients])
        told = {"place": place, "labels": local.labels, "sex": local.groups["sex"]}
        return {**told, **vars(received), **fitted.delta}, {}


def test_a_strategy_that_asks_is_told_of_the_received_model_and_of_the_rows(tmp_path: Path) -> None:
    own, asked = client(tmp_path, strategy=Witness()), ask()
    own = replace(own, train=replace(own.train, groups={"sex": np.arange(40) % 2}))
    told = replace(own, position=2, clients=5).answer(asked).contribution
    assert told["place"].tolist() == [2, 5]
    np.testing.assert_array_equal(told["labels"], own.train.targets)
    np.testing.assert_array_equal(told["sex"], np.arange(40) % 2)
    measured = own.trainer.evaluate(asked.parameters, own.train)
    assert told["losses"].sum() == pytest.approx(measured["loss"], rel=1e-6)
    assert (told["guesses"] == own.train.targets).sum() == measured["correct"]
    elsewhere = own.answer(asked).contribution  # its weights are all zero
    assert not any(elsewhere[name].any() for name in asked.parameters)
    assert any(told[name].any() for name in asked.parameters)


def test_to_be_asked_does_not_change_how_training_goes(tmp_path: Path) -> None:
    """Dropout included: what the received model does is measured without chance."""

    @dataclass(frozen=True, kw_only=True)
    class Asking(FedAvg):
        asks: ClassVar[bool] = True

    one, other = (client(tmp_path, strategy=s).answer(ask()) for s in (FedAvg(), Asking()))
    assert same(one, other)


def test_settings_that_are_no_training_are_refused(tmp_path: Path) -> None:
    for settings in ({"optimizer": "none"}, {"unknown": 1}):
        with pytest.raises(ValueError, match=r"optimizer|describe a training"):
            client(tmp_path).answer(replace(ask(), settings=settings))


def test_no_row_prints(tmp_path: Path) -> None:
    own = client(tmp_path)
    value = f"{own.train.features[0, 0]:.4f}"
    for text in (repr(own), str(own), repr(own.train), repr(own.answer(ask()))):
        assert value not in text
        assert "array" not in text


def test_an_answer_does_not_touch_the_rows_or_the_instruction(tmp_path: Path) -> None:
    own, asked = client(tmp_path), ask()
    rows = bits({"x": own.train.features, "y": own.train.targets})
    kept = {name: array.copy() for name, array in asked.parameters.items()}
    for purpose in Purpose:
        own.answer(replace(asked, purpose=purpose))
    assert bits({"x": own.train.features, "y": own.train.targets}) == rows
    assert_same_bits(asked.parameters, kept)
