"""The gate: whatever an update holds, it adds its bounded contribution once, or nothing at all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from contracts.bits import assert_same_bits, backwards, bits
from numpy.typing import NDArray
from tacit.privacy import Mean
from tacit.server import Admission
from tacit.strategies import FedAvg, FedNova, Fitted, Scaffold, Strategy
from tacit.wire import (
    Arrays,
    CodecError,
    Fold,
    Instruction,
    Purpose,
    Receipt,
    Refusal,
    Stored,
    Update,
    encode,
)

PARAMETERS: Arrays = {
    "weight": np.ones((3, 2), np.float32),
    "bias": np.ones(2, np.float64),
    "scale": np.ones((), np.float32),
}
MEMBERS = ["ann", "bob", "cyd"]
STRATEGIES: list[Strategy] = [FedAvg(), FedNova(), Scaffold()]
Weighting = Literal["examples", "uniform"]


def instruction(strategy: Strategy, purpose: Purpose = Purpose.FIT, round: int = 4) -> Instruction:
    state = strategy.init(PARAMETERS)
    return Instruction(
        round=round,
        purpose=purpose,
        seed=0,
        parameters=PARAMETERS,
        extras=strategy.extras(state) if purpose is Purpose.FIT else {},
    )


def honest(strategy: Strategy, client: str = "bob", examples: int = 5) -> Update:
    """What a real client of this strategy sends."""
    rng = np.random.default_rng(len(client))
    delta = {k: rng.normal(size=a.shape).astype(a.dtype) for k, a in PARAMETERS.items()}
    fitted = Fitted(delta=delta, steps=3, learning_rate=0.1)
    part, _ = strategy.contribute(fitted, instruction(strategy).extras, {})
    return Update(
        client=client,
        round=4,
        examples=examples,
        contribution=part,
        statistics={"examples": float(examples), "loss": 1.5},
    )


def spoiled(update: Update, value: float) -> Update:
    """The last number of its last array replaced."""
    name = max(update.contribution)
    array = np.array(update.contribution[name])
    array.flat[-1:] = value
    return replace(update, contribution={**update.contribution, name: array})


def changed(update: Update, arrays: Mapping[str, NDArray[Any] | None]) -> Update:
    """Arrays added or replaced, or left out where they are None."""
    merged = {**update.contribution, **arrays}
    kept = {key: array for key, array in merged.items() if array is not None}
    return replace(update, contribution=kept)


def first(update: Update) -> tuple[str, Any]:
    name = min(update.contribution)
    return name, update.contribution[name]


def reshaped(update: Update, change: str) -> Update:
    name = next(name for name in update.contribution if name.endswith("weight"))
    array = update.contribution[name]
    forms = {
        "transposed": array.T.copy(),
        "flat": array.ravel(),
        "one more axis": array[np.newaxis],
        "broadcastable": array[:1],
        "a single number": np.zeros((), array.dtype),
        "empty": array[:0],
        "float64": array.astype(np.float64),
        "float16": array.astype(np.float16),
        "int64": array.astype(np.int64),
        "the other byte order": array.astype(array.dtype.newbyteorder(">")),
        "bool": array > 0,
        "complex": array.astype(np.complex64),
    }
    return changed(update, {name: forms[change]})


def without_one(update: Update) -> Update:
    return changed(update, {first(update)[0]: None})


def hostile(update: Update) -> dict[str, tuple[Update, str]]:
    """Updates that must not be let in, and what their refusal says."""
    name, array = first(update)
    last = update.contribution[max(update.contribution)]
    huge = float(np.finfo(last.dtype).max)
    wrong = {
        "from a stranger": (replace(update, client="eve"), "unknown client"),
        "from nobody": (replace(update, client=""), "unknown client"),
        "from another case": (replace(update, client="Bob"), "unknown client"),
        "from one who answered": (replace(update, client="ann"), "duplicate"),
        "for the last round": (replace(update, round=3), "wrong round"),
        "for the next round": (replace(update, round=5), "wrong round"),
        "without an array": (without_one(update), "wrong arrays"),
        "without arrays": (replace(update, contribution={}), "wrong arrays"),
        "with one more": (changed(update, {"more": np.zeros(1)}), "wrong arrays"),
        "under a long name": (changed(update, {"x" * 10**6: np.zeros(1)}), "wrong arrays"),
        "renamed": (changed(without_one(update), {f"{name}_": array}), "wrong arrays"),
        "NaN": (spoiled(update, math.nan), "not finite"),
        "infinite": (spoiled(update, math.inf), "not finite"),
        "minus infinite": (spoiled(update, -math.inf), "not finite"),
        "the largest float": (spoiled(update, huge), "too large"),
        "the smallest float": (spoiled(update, -huge), "too large"),
        "large for its kind": (spoiled(update, huge / 1e6), "too large"),
        "just too large": (spoiled(update, 2.0**30 / 3 / 5 * 1.01), "too large"),
        "without rows": (replace(update, examples=0), "no rows"),
        "with less than no rows": (replace(update, examples=-5), "no rows"),
        "counting other rows": (
            replace(update, statistics={"examples": -100.0, "loss": 1.5}),
            "statistics of other rows",
        ),
        "counting everything": (
            replace(update, statistics={f"x{i}": 0.0 for i in range(100_000)}),
            "too many statistics",
        ),
        "with every row there is": (replace(update, examples=10**400), "too many rows"),
        "with NaN rows": (replace(update, examples=math.nan), "too many rows"),  # type: ignore[arg-type]
    }
    for value in (math.nan, math.inf, -math.inf, 1e301, 10**400):
        statistics = {**update.statistics, "loss": value}
        wrong[f"counting {value:.3}" if value != 10**400 else "counting beyond floats"] = (
            replace(update, statistics=statistics),
            "not finite",
        )
    for change in (
        "transposed",
        "flat",
        "one more axis",
        "broadcastable",
        "a single number",
        "empty",
    ):
        wrong[change] = (reshaped(update, change), "wrong shape")
    for change in ("float64", "float16", "int64", "the other byte order", "bool", "complex"):
        wrong[change] = (reshaped(update, change), "wrong dtype")
    return wrong


@pytest.mark.parametrize("strategy", STRATEGIES, ids=repr)
@pytest.mark.parametrize("kind", hostile(honest(FedAvg())))
def test_a_hostile_update_leaves_the_sum_as_it_was_and_one_reason(
    strategy: Strategy, kind: str
) -> None:
    gate = Admission(strategy=strategy, mechanism=Mean()).open(instruction(strategy), MEMBERS)
    fold = Fold()
    gate(fold, honest(strategy, "ann"))
    before, receipts = bits(fold.sums), fold.receipts
    update, reason = hostile(honest(strategy))[kind]
    gate(fold, update)
    assert bits(fold.sums) == before
    assert fold.receipts == receipts
    (refusal,) = fold.refusals
    assert refusal.client == update.client
    assert reason in refusal.reason
    assert len(refusal.reason) < 300
    gate(fold, honest(strategy, "cyd"))
    assert [receipt.client for receipt in fold.receipts] == ["ann", "cyd"]


@pytest.mark.parametrize("strategy", STRATEGIES, ids=repr)
def test_a_reason_tells_nothing_that_is_private(strategy: Strategy) -> None:
    update = replace(honest(strategy), examples=86421, statistics={"loss": math.nan, "x": 97531.0})
    for other, _ in hostile(update).values():
        gate = Admission(strategy=strategy, mechanism=Mean()).open(instruction(strategy), MEMBERS)
        fold = Fold()
        gate(fold, other)
        for refusal in fold.refusals:
            assert "86421" not in refusal.reason
            assert "97531" not in refusal.reason


@pytest.mark.parametrize("weighting", ["examples", "uniform"])
@pytest.mark.parametrize("strategy", STRATEGIES, ids=repr)
def test_an_honest_update_adds_exactly_its_bounded_contribution(
    strategy: Strategy, weighting: Weighting
) -> None:
    """Whatever order its arrays are named in."""
    mechanism, update = Mean(weighting=weighting), honest(strategy)
    receive = Admission(strategy=strategy, mechanism=mechanism).open(instruction(strategy), MEMBERS)
    wanted = Fold()
    wanted.add(
        mechanism.bound(update.contribution, update.examples, {}), Receipt(client="bob", examples=5)
    )
    for arrays in (update.contribution, backwards(update.contribution)):
        fold = Fold()
        receive(fold, replace(update, contribution=arrays))
        assert fold.refusals == []
        assert_same_bits(fold.sums, wanted.sums)
        assert fold.receipts[0].statistics == update.statistics


@pytest.mark.parametrize("strategy", STRATEGIES, ids=repr)
def test_an_update_in_a_file_is_let_in_or_refused_like_one_in_memory(
    strategy: Strategy, tmp_path: Path
) -> None:
    admission = Admission(strategy=strategy, mechanism=Mean())
    wrong = [update for update, _ in hostile(honest(strategy)).values()]
    for number, update in enumerate([honest(strategy), *wrong]):
        try:
            data = encode(update.contribution)
        except CodecError:
            continue  # a dtype that does not travel
        path = tmp_path / str(number)
        path.write_bytes(data)
        folds = Fold(), Fold()
        for fold, contribution in zip(folds, (update.contribution, Stored(path)), strict=True):
            gate = admission.open(instruction(strategy), MEMBERS)
            gate(fold, honest(strategy, "ann"))
            gate(fold, replace(update, contribution=contribution))
        assert bits(folds[0].sums) == bits(folds[1].sums)
        assert folds[0].refusals == folds[1].refusals


def test_a_million_claimed_rows_weigh_one_where_clients_are_equal() -> None:
    mechanism, strategy = Mean(weighting="uniform"), FedAvg()
    gate = Admission(strategy=strategy, mechanism=mechanism).open(instruction(strategy), MEMBERS)
    greedy, modest = Fold(), Fold()
    gate(greedy, honest(strategy, examples=10**6))
    gate(modest, honest(strategy, examples=1))
    assert_same_bits(greedy.sums, modest.sums)
    assert greedy.total()["weight"] == 1.0


def test_a_full_cohort_of_the_largest_that_are_let_in_adds_up() -> None:
    """Or the sum would wrap around to the other sign."""
    strategy, members = FedAvg(), [f"{i}" for i in range(100)]
    gate = Admission(strategy=strategy, mechanism=Mean(weighting="uniform")).open(
        instruction(strategy), members
    )
    fold = Fold()
    for member in members:
        update = honest(strategy, member)
        most = {k: np.full_like(a, 2.0**30 / 128) for k, a in update.contribution.items()}
        gate(fold, replace(update, contribution=most))
    assert fold.refusals == []
    for name in PARAMETERS:
        np.testing.assert_array_equal(fold.total()[f"sum/{name}"], 100 * 2.0**30 / 128)


@pytest.mark.parametrize("purpose", [Purpose.EVALUATE, Purpose.ALONE])
def test_an_evaluation_brings_counts_and_no_arrays(purpose: Purpose) -> None:
    strategy = Scaffold()
    gate = Admission(strategy=strategy, mechanism=Mean()).open(
        instruction(strategy, purpose), MEMBERS
    )
    fold = Fold()
    gate(fold, replace(honest(strategy, examples=0), contribution={}))
    gate(fold, honest(strategy, "ann"))
    assert [receipt.client for receipt in fold.receipts] == ["bob"]
    assert fold.refusals[0].client == "ann"
    assert "wrong arrays" in fold.refusals[0].reason


def test_what_a_strategy_contributes_is_what_is_expected_of_it() -> None:
    for strategy in STRATEGIES:
        found = Admission(strategy=strategy, mechanism=Mean()).expected(instruction(strategy))
        sent = honest(strategy).contribution
        assert found.keys() == sent.keys()
        for name, array in sent.items():
            assert (found[name].shape, found[name].dtype) == (array.shape, array.dtype)


def test_a_refusal_is_the_only_trace() -> None:
    strategy = FedAvg()
    gate = Admission(strategy=strategy, mechanism=Mean()).open(instruction(strategy), MEMBERS)
    fold = Fold()
    gate(fold, spoiled(honest(strategy), math.nan))
    assert fold.refusals == [
        Refusal(client="bob", reason="not finite: 'weight' holds NaN or infinity")
    ]
    assert (fold.total(), fold.receipts, fold.failures) == ({}, [], [])
    gate(fold, honest(strategy))
    assert [receipt.client for receipt in fold.receipts] == ["bob"]
