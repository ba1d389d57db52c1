"""Clipped rows as a client counts them: what it pays, and what one row can change."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from contracts.bits import assert_same_bits, bits
from contracts.learning import CPU, wine_task
from tacit.client import Client, Data, Guard, Memory, Plain, Training, initial_parameters
from tacit.client.dpsgd import DPSGD
from tacit.client.guard import own_secret
from tacit.client.measure import Measure
from tacit.fairness.tables import Attribute, Schema
from tacit.privacy import Budget, Ledger, Mean, Secret
from tacit.privacy.accountants import pld_epsilon
from tacit.privacy.budget import Adjacency
from tacit.privacy.counts import RowCounts
from tacit.privacy.distinguishing import lower_bound
from tacit.strategies import FedAvg
from tacit.wire import Arrays, Instruction, Purpose
from tacit.wire.errors import Declined
from tacit.wire.messages import SPENT

TERMS = DPSGD(clip=1.0, noise_multiplier=1.0)
GROUP = Attribute(name="group", groups=("a", "b"))
SCHEMA = Schema(attributes=(GROUP,), classes=3, bins=4, clipping=True)
UNLIMITED = Budget(epsilon=math.inf)


def some(rows: int, seed: int) -> Data:
    rng = np.random.default_rng(seed)
    return Data(
        features=rng.normal(size=(rows, 13)).astype(np.float32),
        targets=rng.integers(0, 3, rows),
        groups={"group": rng.integers(0, 2, rows)},
    )


def without(data: Data, row: int) -> Data:
    return data.rows(np.delete(np.arange(len(data)), row))


def counting(
    folder: Path,
    train: Data,
    test: Data,
    *,
    schema: Schema = SCHEMA,
    budget: Budget = UNLIMITED,
    multiplier: float = 1.0,
    by: str = "coordinator",
) -> Client:
    secret = own_secret(folder)
    return Client(
        name="ann",
        train=train,
        test=test,
        trainer=Plain(wine_task(), CPU),
        strategy=FedAvg(),
        mechanism=Mean(),
        secret=secret,
        memory=Memory(folder / "memory"),
        rounds=3,
        measure=Measure(schema=schema),
        noise=RowCounts(
            sensitivity=schema.sensitivity,
            noise_multiplier=multiplier,
            by="clients" if by == "clients" else "coordinator",
        ),
        guard=Guard(
            folder=folder, population="wine/ann", terms=TERMS, budget=budget, secret=secret
        ),
    )


def ask(round: int = 1) -> Instruction:
    return Instruction(
        run="r",
        round=round,
        purpose=Purpose.EVALUATE,
        seed=5,
        parameters=initial_parameters(wine_task(), seed=2),
        settings=Training(batch_size=7).settings(),
    )


def charges(folder: Path) -> list[tuple[str, int]]:
    with closing(Ledger(folder / "ledger.db")) as ledger:
        return [(entry.release, entry.times) for entry in ledger.verify()]


def distance(one: Arrays, other: Arrays) -> float:
    return math.sqrt(sum(float(np.sum((one[name] - other[name]) ** 2)) for name in one))


def test_one_row_less_moves_the_answer_by_at_most_the_sensitivity(tmp_path: Path) -> None:
    """Each row, held out or trained on, through the whole client; the coordinator would add the noise."""
    train, test = some(12, 1), some(6, 2)
    train.features[:5] *= 0.1
    exact = counting(tmp_path / "whole", train, test).answer(ask()).contribution
    assert exact["group/clipped"].sum(0).tolist()[0] == 12
    assert 0 < exact["group/clipped"].sum(0)[1] < 12
    worlds = [(without(train, row), test) for row in range(len(train))]
    worlds += [(train, without(test, row)) for row in range(len(test))]
    for number, (kept, held) in enumerate(worlds):
        found = counting(tmp_path / str(number), kept, held).answer(ask()).contribution
        moved = distance(exact, found)
        assert 1 < moved <= SCHEMA.sensitivity + 1e-3


def test_an_evaluation_is_charged_once_whatever_it_counts(tmp_path: Path) -> None:
    train, test = some(12, 1), some(6, 2)
    counting(tmp_path, train, test).answer(ask())
    again = counting(tmp_path, train, test).answer(ask())
    assert charges(tmp_path) == [("evaluation", 1)]
    assert_same_bits(again.contribution, counting(tmp_path, train, test).answer(ask()).contribution)
    assert again.statistics == {}
    assert again.examples == 0


CHANGES: dict[str, Callable[[Data], Data]] = {
    "features": lambda data: replace(data, features=data.features + 1),
    "targets": lambda data: replace(data, targets=(data.targets + 1) % 3),
    "groups": lambda data: replace(data, groups={"group": 1 - data.groups["group"]}),
    "a row": lambda data: without(data, 3),
}


@pytest.mark.parametrize("kind", ["train", "test"])
@pytest.mark.parametrize("what", CHANGES)
def test_other_rows_of_either_kind_are_another_question(
    what: str, kind: str, tmp_path: Path
) -> None:
    """Or the difference of two answers to what is paid for once would show what changed."""
    train, test = some(12, 1), some(6, 2)
    one = counting(tmp_path, train, test, by="clients").answer(ask())
    if kind == "train":
        train = CHANGES[what](train)
    else:
        test = CHANGES[what](test)
    other = counting(tmp_path, train, test, by="clients").answer(ask())
    assert len(charges(tmp_path)) == 2
    assert bits(one.contribution) != bits(other.contribution)


def test_train_rows_are_not_asked_about_where_they_are_not_counted(tmp_path: Path) -> None:
    """Then what they are is no part of the question, and changes nothing."""
    plain = replace(SCHEMA, clipping=False)
    for train in (some(12, 1), some(12, 9)):
        found = counting(tmp_path, train, some(6, 2), schema=plain).answer(ask()).contribution
        assert "group/clipped" not in found
    assert charges(tmp_path) == [("evaluation", 1)]


def test_who_cannot_pay_says_nothing(tmp_path: Path) -> None:
    spent = Budget(epsilon=0.5, delta=1e-5)
    with pytest.raises(Declined, match=SPENT):
        counting(tmp_path, some(12, 1), some(6, 2), budget=spent).answer(ask())
    assert charges(tmp_path) == []


def test_without_a_guard_nothing_is_said_of_train_rows(tmp_path: Path) -> None:
    client = replace(counting(tmp_path, some(12, 1), some(6, 2)), guard=None)
    found = client.answer(ask()).contribution
    assert found["group/confusion"].any()
    assert not found["group/clipped"].any()
    assert not found["group/fit_loss"].any()


def told_apart(sensitivity: float, tmp_path: Path) -> tuple[float, float]:
    """By how much a clipped train row of the largest loss shows, and what is claimed: ε at δ = 0.05.

    The tables are the client's own, with the row and without; the noise on them is drawn 20 000 times.
    """
    delta, trials, train = 0.05, 20_000, some(12, 1)
    train.features[3] *= 1000.0
    schema = Schema(classes=None, most=0.5, clipping=True)
    noise = RowCounts(sensitivity=sensitivity, noise_multiplier=1.0)
    seen = []
    for number, rows in enumerate((train, without(train, 3))):
        client = counting(tmp_path / str(number), rows, some(6, 2), schema=schema)
        tables = client.answer(ask()).contribution
        often = {name: np.stack([tables[name].ravel()] * trials) for name in tables}
        noised = noise.perturb(often, {}, Secret.from_test_seed(number))
        seen.append(np.concatenate([noised[name] for name in sorted(noised)], 1))
    claimed = pld_epsilon({noise.row_event: 1}, delta, Adjacency.ADD_REMOVE)
    assert claimed is not None
    return lower_bound(seen[0], seen[1], delta, 0.999), claimed


def test_a_clipped_row_is_not_told_apart_better_than_is_claimed(tmp_path: Path) -> None:
    """One correct program in 1000 fails; the seeds are fixed. The row does all that a row can."""
    found, claimed = told_apart(Schema(classes=None, clipping=True).sensitivity, tmp_path)
    assert 0.6 * claimed < found <= claimed


def test_noise_for_half_of_the_sensitivity_would_be_noticed(tmp_path: Path) -> None:
    found, claimed = told_apart(Schema(classes=None, clipping=True).sensitivity / 2, tmp_path)
    assert found > claimed
