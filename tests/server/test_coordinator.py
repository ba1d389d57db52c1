"""The coordinator over real clients: what is observed, what is kept, and what decides the result."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from contracts.bits import assert_same_bits, bits, nested_bits
from contracts.learning import shards, wine
from contracts.run import SIZES, Backwards, Run, Wrap
from tacit.client import Client, Data, Training
from tacit.server import (
    POOLED,
    Began,
    Committed,
    Evaluated,
    Everyone,
    Failed,
    Poisson,
    Progress,
    Refused,
)
from tacit.strategies import FedAdam, FedAvg, ServerState
from tacit.wire import ClientsFailed, InMemory, Instruction, Purpose, Transport, Update


def same(one: ServerState, other: ServerState) -> bool:
    memories = nested_bits(one.memory) == nested_bits(other.memory)
    return one.round == other.round and memories and bits(one.parameters) == bits(other.parameters)


def test_everything_is_observed_once_and_after_it_is_durable(tmp_path: Path) -> None:
    run = Run(folder=tmp_path, rounds=3)
    seen: list[Progress] = []

    def observe(progress: Progress) -> None:
        seen.append(progress)
        match progress:
            case Committed(round=round):
                assert run.stored().round == round
            case Evaluated(round=round):
                assert len(run.history()) == round

    state = replace(run, observe=observe).start()
    said = [(type(each), each.round) for each in seen]
    assert said == [
        (Began, 1), (Committed, 1),
        (Began, 2), (Committed, 2), (Evaluated, 2),
        (Began, 3), (Committed, 3), (Evaluated, 3),
    ]  # fmt: skip
    assert all(each.cohort == 2 for each in seen if isinstance(each, Began))
    assert same(run.stored(), state)


def test_the_history_is_what_was_observed(tmp_path: Path) -> None:
    run = Run(folder=tmp_path)
    _, seen = run.watched()
    committed = [
        replace(each, seconds=0.0, ledger="") for each in seen if isinstance(each, Committed)
    ]
    evaluated = {
        each.round: replace(each, seconds=0.0) for each in seen if isinstance(each, Evaluated)
    }
    assert run.history() == [(each, evaluated.get(each.round)) for each in committed]
    assert all(each.training["examples"] > 0 for each in committed)
    assert sorted(evaluated[4].clients) == sorted(SIZES)


def test_the_same_arguments_give_the_same_bits(tmp_path: Path) -> None:
    first = Run(folder=tmp_path / "a").start()
    assert same(Run(folder=tmp_path / "b").start(), first)
    assert not same(Run(folder=tmp_path / "c", seed=8).start(), first)


def test_the_order_of_arrival_does_not_matter(tmp_path: Path) -> None:
    first = Run(folder=tmp_path / "a", sampler=Everyone())
    other = replace(first, folder=tmp_path / "b", wrap=lambda transport: Backwards(inner=transport))
    assert same(other.start(), first.start())
    assert other.history() == first.history()


def test_training_helps(tmp_path: Path) -> None:
    run = Run(folder=tmp_path, rounds=12, strategy=FedAvg(), evaluate_every=1)
    _, seen = run.watched()
    losses = [
        sum(counts["loss"] for counts in each.clients.values())
        for each in seen
        if isinstance(each, Evaluated)
    ]
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize(
    ("rounds", "every", "due"),
    [(5, 2, [2, 4, 5]), (4, 2, [2, 4]), (3, 100, [3]), (3, 1, [1, 2, 3])],
)
def test_a_model_is_measured_every_few_rounds_and_at_the_end(
    tmp_path: Path, rounds: int, every: int, due: list[int]
) -> None:
    _, seen = Run(folder=tmp_path, rounds=rounds, evaluate_every=every).watched()
    assert [each.round for each in seen if isinstance(each, Evaluated)] == due


def test_nothing_is_measured_where_nobody_holds_rows_out(tmp_path: Path) -> None:
    _, seen = Run(folder=tmp_path, measured=()).watched()
    assert not any(isinstance(each, Evaluated) for each in seen)


def test_the_pooled_rows_are_measured_apart_and_never_train(tmp_path: Path) -> None:
    data = {**shards(wine(), SIZES), POOLED: wine().rows(slice(100, 178))}

    def with_pool(transport: InMemory) -> Transport:
        ann = transport.clients["ann"]
        assert isinstance(ann, Client)
        pool = replace(ann, name=POOLED, train=data[POOLED], test=data[POOLED])
        return InMemory(clients={**transport.clients, POOLED: pool}, admit=transport.admit)

    run = Run(folder=tmp_path, sampler=Everyone(), wrap=with_pool, measured=["ann", POOLED])
    _, seen = run.watched()
    for each in seen:
        if isinstance(each, Committed):
            assert each.training["examples"] == sum(SIZES.values())
        if isinstance(each, Evaluated):
            assert list(each.clients) == ["ann"]
            assert each.pooled["examples"] == 78


def test_empty_cohorts_leave_the_state_where_it_was(tmp_path: Path) -> None:
    states: list[ServerState] = []
    run = Run(folder=tmp_path, rounds=12, sampler=Poisson(rate=0.15), strategy=FedAdam())

    def observe(progress: Progress) -> None:
        if isinstance(progress, Committed):
            states.append(run.stored())

    final = replace(run, observe=observe).start()
    before = FedAdam().init(run.initial())
    empty = 0
    for (committed, _), state in zip(run.history(), states, strict=True):
        unmoved = same(replace(before, round=before.round + 1), state)
        assert unmoved == (committed.cohort == 0)
        empty += unmoved
        before = state
    assert 0 < empty < 12
    assert final.round == 12


def test_no_rounds_are_no_work(tmp_path: Path) -> None:
    run = Run(folder=tmp_path, rounds=0)
    state, seen = run.watched()
    assert (state.round, seen, run.history()) == (0, [], [])
    assert_same_bits(state.parameters, run.initial())


def test_a_finished_run_is_not_done_again(tmp_path: Path) -> None:
    run = Run(folder=tmp_path)
    state = run.start()
    for fewer in (run, replace(run, rounds=2)):
        again, seen = fewer.watched()
        assert same(again, state)
        assert seen == []


def test_a_longer_run_goes_on_from_a_shorter_one(tmp_path: Path) -> None:
    whole = Run(folder=tmp_path / "a", rounds=5)
    half = Run(folder=tmp_path / "b", rounds=3)
    half.start()
    assert same(replace(half, rounds=5).start(), whole.start())


@dataclass(frozen=True, kw_only=True)
class Flaky:
    """A client that raises when it is asked for one thing."""

    inner: Client
    purpose: Purpose
    round: int

    def answer(self, instruction: Instruction) -> Update:
        if (instruction.purpose, instruction.round) == (self.purpose, self.round):
            raise OSError("the disk of this site is full")
        return self.inner.answer(instruction)


def flaky(name: str, purpose: Purpose, round: int) -> Wrap:
    def wrap(transport: InMemory) -> Transport:
        inner = transport.clients[name]
        assert isinstance(inner, Client)
        broken = Flaky(inner=inner, purpose=purpose, round=round)
        return InMemory(clients={**transport.clients, name: broken}, admit=transport.admit)

    return wrap


@pytest.mark.parametrize(
    ("purpose", "round", "kept"),
    [(Purpose.FIT, 3, 2), (Purpose.FIT, 1, 0), (Purpose.EVALUATE, 2, 2)],
)
def test_a_failing_client_stops_the_run_and_keeps_what_was_done(
    tmp_path: Path, purpose: Purpose, round: int, kept: int
) -> None:
    run = Run(folder=tmp_path / "a", sampler=Everyone())
    seen: list[Progress] = []
    broken = replace(run, wrap=flaky("cyd", purpose, round), observe=seen.append)
    with pytest.raises(ClientsFailed, match=rf"1 of 4 clients failed in round {round}") as caught:
        broken.start()
    (failure,) = caught.value.failures
    assert (caught.value.round, failure.client) == (round, "cyd")
    assert failure.error == "OSError: the disk of this site is full"
    assert 'raise OSError("the disk of this site is full")' in failure.traceback
    assert "cyd" in str(caught.value)
    assert [each.failure for each in seen if isinstance(each, Failed)] == [failure]
    assert run.stored().round == kept
    assert len(run.history()) == kept
    whole = Run(folder=tmp_path / "b", sampler=Everyone())
    assert same(run.start(), whole.start())
    assert run.history() == whole.history()


def test_a_run_that_diverges_says_so(tmp_path: Path) -> None:
    run = Run(folder=tmp_path, training=Training(learning_rate=1e30), sampler=Everyone())
    seen: list[Progress] = []
    with pytest.raises(
        ClientsFailed, match=r"All 4 updates of round \d+ were refused, for .*lower train"
    ):
        replace(run, observe=seen.append).start()
    refused = [each for each in seen if isinstance(each, Refused)]
    assert sorted(each.refusal.client for each in refused) == sorted(SIZES)
    assert run.stored().round == refused[0].round - 1


def spoiled(data: Data) -> Data:
    return replace(data, features=np.full_like(data.features, math.nan))


def test_a_refused_update_counts_for_nothing(tmp_path: Path) -> None:
    """The run is, bit for bit, that of the others."""
    data = shards(wine(), SIZES)
    others = ["ann", "bob", "dan"]
    run = Run(
        folder=tmp_path / "a",
        data={**data, "cyd": spoiled(data["cyd"])},
        sampler=Everyone(),
        strategy=FedAvg(),
        measured=others,
    )
    state, seen = run.watched()
    refused = [each for each in seen if isinstance(each, Refused)]
    assert [(each.round, each.refusal.client) for each in refused] == [
        (round, "cyd") for round in range(1, 5)
    ]
    for each in seen:
        if isinstance(each, Committed):
            assert (each.cohort, each.admitted, each.refused) == (4, 3, 1)
            assert each.training["examples"] == sum(SIZES[name] for name in others)
    alone = replace(run, folder=tmp_path / "b", data={name: data[name] for name in others})
    assert same(alone.start(), state)
