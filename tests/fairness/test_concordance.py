"""Harrell's C, from pairs that are counted where the rows are."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tacit.fairness.concordance import concordance, count_pairs
from tacit.fairness.rate import Array

quick = settings(derandomize=True, database=None, deadline=None, max_examples=60)


def some_rows(rows: int, seed: int) -> tuple[Array, Array, np.ndarray]:
    """Times and risks with many ties."""
    rng = np.random.default_rng(seed)
    targets = np.stack([rng.integers(1, 12, rows), rng.integers(0, 2, rows)], 1).astype(float)
    return targets, rng.integers(0, 8, rows).astype(float), rng.integers(0, 3, rows)


def one_by_one(targets: Array, risks: Array) -> list[float]:
    """Pair by pair, as Harrell says it."""
    comparable = concordant = tied = 0
    for i, j in combinations(range(len(risks)), 2):
        (t, happened), (u, other) = targets[i], targets[j]
        if t == u and happened == other:
            continue
        first, second = (i, j) if (t, -happened) < (u, -other) else (j, i)
        if not targets[first, 1]:
            continue
        comparable += 1
        concordant += risks[first] > risks[second]
        tied += risks[first] == risks[second]
    return [comparable, concordant, tied]


@quick
@given(st.integers(0, 40), st.integers(0, 999))
def test_pairs_are_counted_within_groups_as_one_by_one(rows: int, seed: int) -> None:
    targets, risks, codes = some_rows(rows, seed)
    found = count_pairs(targets, risks, codes, 4)
    for group in range(3):
        own = codes == group
        assert found[group].tolist() == one_by_one(targets[own], risks[own])
    assert not found[3].any()


def test_the_c_of_perfect_of_reversed_and_of_no_risks() -> None:
    targets = np.stack([np.arange(1.0, 9), np.ones(8)], 1)
    codes = np.zeros(8, np.int64)
    for risks, wanted in ((-targets[:, 0], 1), (targets[:, 0], 0), (np.ones(8), 0.5)):
        rate = concordance(count_pairs(targets, risks, codes, 1))
        assert rate.value.tolist() == [wanted]
        assert rate.rows.tolist() == [28]


def test_who_was_only_followed_has_no_pair_and_no_number() -> None:
    targets = np.array([[5.0, 0.0], [9.0, 0.0]])
    assert np.isnan(concordance(count_pairs(targets, np.ones(2), np.zeros(2, np.int64), 1)).value)


def test_pairs_of_two_clients_add_up_to_a_c_between_theirs() -> None:
    """Pairs across clients are not counted: the merged C is stratified by client."""
    parts = [count_pairs(*some_rows(30, seed), 3) for seed in (1, 2)]
    merged = concordance(np.sum(parts, axis=0))
    each = [concordance(part) for part in parts]
    weights = [rate.rows / merged.rows for rate in each]
    mean = sum(rate.value * weight for rate, weight in zip(each, weights, strict=True))
    assert merged.value == pytest.approx(mean)


def test_a_risk_that_is_not_a_number_is_the_lowest() -> None:
    targets = np.array([[1.0, 1.0], [2.0, 1.0]])
    found = count_pairs(targets, np.array([np.nan, -5.0]), np.zeros(2, np.int64), 1)
    assert found.tolist() == [[1.0, 0.0, 0.0]]
