"""FedFB against Zeng et al. 2021, for demographic parity."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from contracts.groups import (
    chance,
    check_first_round_is_averaging,
    in_three_groups,
    logistic,
    parity_gap,
)
from contracts.rounds import rounds_of
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tacit.client import Data, Training
from tacit.privacy import Mean
from tacit.strategies import FedAvg, FedFB, Released
from tacit.strategies.fedfb import excess
from tacit.strategies.shares import UNIT, proportions, shares

CLIENTS = {"a": 30, "b": 55, "c": 12}
ETA, STEPS, ALPHA = 0.05, 3, 0.2


def grouped() -> dict[str, Data]:
    """Two classes, of which the good one is rarer in each group than in the one before."""
    return {
        name: replace(rows, targets=(rows.targets > 0.2 * rows.groups["sex"]).astype(np.int64))
        for name, rows in in_three_groups(CLIENTS).items()
    }


def test_every_round_follows_the_rule(tmp_path: Path) -> None:
    """λ as the paper and its code have it, with sums over all rows, clients weighted by their rows."""
    data = grouped()
    states = rounds_of(
        FedFB(attribute="sex", groups=3, alpha=ALPHA),
        data=data,
        task=logistic(10),
        training=Training(learning_rate=ETA, batch_size=1000, steps=STEPS),
        initial={"weight": np.ones((1, 10)) / 5},
        folder=tmp_path,
        mechanism=Mean(weighting="examples"),
    )
    x = np.concatenate([rows.features for rows in data.values()])
    y = np.concatenate([rows.targets for rows in data.values()])
    z = np.concatenate([rows.groups["sex"] for rows in data.values()])
    m = np.array([[np.sum((y == c) & (z == g)) for g in range(3)] for c in range(2)])
    size, total = m.sum(0), m.sum()
    w, lam = np.ones(10) / 5, np.stack([size, size]) / total
    for number, state in zip(range(1, 7), states, strict=False):
        loss = -np.log(np.where(y == 1, chance(x @ w), 1 - chance(x @ w)))
        sums = np.array([[loss[(y == c) & (z == g)].sum() for g in range(3)] for c in range(2)])
        w = np.average(
            [descended(w, rows, lam * total / size) for rows in data.values()],
            axis=0,
            weights=[len(rows) for rows in data.values()],
        )
        f = (
            -sums[0, 0] / size[0]
            + sums[0] / size
            + sums[1, 0] / size[0]
            - sums[1] / size
            + m[0, 0] / size[0]
            - m[0] / size
        )
        lam[0, 1:] += ALPHA / np.sqrt(number) * f[1:]
        lam[0, 0] -= ALPHA / np.sqrt(number) * f[1:].sum()
        lam[0] = np.clip(lam[0], 0, 2 * size / total)
        lam[1] = 2 * size / total - lam[0]
        np.testing.assert_allclose(state.parameters["weight"][0], w, rtol=0, atol=1e-7)
        found = state.memory["cells"]["weights"]
        np.testing.assert_allclose(found, lam * total / size, rtol=0, atol=1e-6)


def descended(
    w: NDArray[np.float64], rows: Data, weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    counts = weights[rows.targets, rows.groups["sex"]]
    for _ in range(STEPS):
        slopes = counts * (chance(rows.features @ w) - rows.targets)
        w = w - ETA * rows.features.T @ slopes / len(rows)
    return w


def test_the_first_round_is_federated_averaging_bit_by_bit(tmp_path: Path) -> None:
    strategy = FedFB(attribute="sex", groups=3)
    check_first_round_is_averaging(strategy, grouped(), logistic(10), tmp_path)


@given(st.lists(st.tuples(*[st.integers(0, 1)] * 2, st.integers(0, 2)), min_size=1, max_size=40))
def test_with_errors_for_losses_the_excess_is_the_gap_of_selection_rates(
    rows: list[tuple[int, int, int]],
) -> None:
    labels, guesses, groups = np.array(rows).T
    codes, shape = [labels, groups], (2, 3)
    found = excess(shares(codes, shape), shares(codes, shape, (labels != guesses) * 1.0))
    for group in range(3):
        mine, first = guesses[groups == group], guesses[groups == 0]
        wanted = mine.mean() - first.mean() if len(mine) and len(first) else 0.0
        assert found[group] == pytest.approx(wanted, abs=1e-12)


def test_groups_get_the_good_outcome_more_alike_than_by_averaging(tmp_path: Path) -> None:
    before, at_first = parity_gap(FedAvg(), tmp_path)
    gap, accuracy = parity_gap(FedFB(attribute="sex", groups=2, alpha=0.3), tmp_path)
    assert before > 0.5
    assert abs(gap) < before / 2
    assert accuracy > at_first - 0.15


@given(
    st.lists(st.floats(-1e9, 1e9), min_size=8, max_size=8), st.floats(1e-6, 1e3), st.integers(1, 3)
)
def test_whatever_noise_does_to_the_sums_the_weights_stay_between_0_and_2(
    sums: list[float], alpha: float, rounds: int
) -> None:
    strategy = FedFB(attribute="sex", groups=2, alpha=alpha)
    state = strategy.init({"w": np.zeros(2)})
    rows, losses = np.array(sums).reshape(2, 2, 2)
    mean = {"delta/w": np.ones(2), "rows": rows, "losses": losses}
    for _ in range(rounds):
        state = strategy.step(state, Released(mean=mean, participation=1.0))
    weights = strategy.extras(state)["weights"]
    assert np.all((weights >= 0) & (weights <= 2))
    np.testing.assert_allclose(weights.sum(0), 2.0)


def test_noise_on_a_rare_group_cancels_over_the_rounds() -> None:
    """Noise of 0.1 a round on a share of 0.01; over 400 rounds 7 deviations are 0.05 of the sum."""
    strategy = FedFB(attribute="sex", groups=2)
    state, rng = strategy.init({"w": np.zeros(2)}), np.random.default_rng(0)
    truth = np.array([[0.495, 0.005], [0.495, 0.005]])
    for _ in range(400):
        rows = UNIT * (truth + 0.1 * rng.standard_normal((2, 2)))
        mean = {"delta/w": np.zeros(2), "rows": rows, "losses": UNIT * truth}
        state = strategy.step(state, Released(mean=mean, participation=1.0))
    share = proportions(state.memory["cells"]["rows"].sum(0))
    assert share[1] == pytest.approx(0.01, abs=0.05)  # clipped in every round it would be near 0.08


@pytest.mark.parametrize("classes", [0, 1, 3])
def test_other_numbers_of_classes_are_refused(classes: int) -> None:
    with pytest.raises(ValueError, match=f"^Expected 2 classes, got {classes}: demographic parity"):
        FedFB(attribute="sex", classes=classes)
