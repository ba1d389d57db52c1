"""Reweighing against Kamiran and Calders 2012, section 4.2."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from contracts.dpsgd import FAINT, fit, private, some
from contracts.groups import parity_gap
from contracts.learning import digits_task
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tacit.client import Training
from tacit.strategies import FedAvg, Local, Reweighing
from tacit.strategies.reweighing import independent

ROWS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=50)
FIXED = Reweighing(attribute="sex", weights=((1.0, 2.0), (0.5, 0.0)))


def weights(
    strategy: Reweighing, groups: NDArray[np.int64], labels: NDArray[np.int64]
) -> NDArray[np.float64]:
    found = strategy.correct({}, {}, Local(labels=labels, groups={"sex": groups})).weights
    assert found is not None
    return found


def test_the_weights_are_those_of_the_papers_example() -> None:
    """Their job applicants: 5 of 10 are men, of whom 4 have a job, and 2 of 5 women have one."""
    men = np.array([1] * 5 + [0] * 5)
    job = np.array([1, 1, 1, 1, 0, 1, 1, 0, 0, 0])
    found = independent(men, job)
    np.testing.assert_allclose(found[:5], [0.75, 0.75, 0.75, 0.75, 2.0])
    np.testing.assert_allclose(found[5:], [1.5, 1.5, 2 / 3, 2 / 3, 2 / 3])


@given(ROWS)
def test_so_weighted_group_and_class_are_independent(rows: list[tuple[int, int]]) -> None:
    """In every cell that has rows, their weights add up to n P(a) P(y)."""
    groups, labels = np.array(rows).T
    found = independent(groups, labels)
    for a, y in set(rows):
        wanted = np.mean(groups == a) * np.mean(labels == y) * len(rows)
        assert found[(groups == a) & (labels == y)].sum() == pytest.approx(wanted)


def test_rows_that_are_independent_already_count_alike() -> None:
    groups, labels = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    assert weights(Reweighing(attribute="sex"), groups, labels).tolist() == [1.0] * 4


@given(ROWS, st.data())
def test_a_given_weight_depends_on_its_own_row_alone(
    rows: list[tuple[int, int]], data: st.DataObject
) -> None:
    """So with DP-SGD one row more moves a sum by no more than its own clip."""
    groups, labels = np.array(rows).T % 2
    one = weights(FIXED, groups, labels)
    changed = data.draw(st.integers(0, len(rows) - 1))
    others = np.arange(len(rows)) != changed
    other = weights(FIXED, np.where(others, groups, 1 - groups), labels)
    np.testing.assert_array_equal(one[others], other[others])


@pytest.mark.parametrize("weight", [1e-3, 1.0, 1e6])
def test_however_large_its_weight_a_row_moves_a_private_step_by_at_most_its_clip(
    weight: float,
) -> None:
    """DP-SGD without noise to speak of, on all rows and on all but one, which is of the other group."""
    strategy = Reweighing(attribute="sex", weights=((1.0,) * 10, (weight,) * 10))
    whole = replace(some(), groups={"sex": np.arange(12) // 11})
    sums = []
    for rows in (whole, whole.rows(slice(0, 11))):
        trainer, training = private(digits_task(0.0), FAINT), Training(steps=1, batch_size=12)
        correction = strategy.correct({}, {}, Local(labels=rows.targets, groups=rows.groups))
        delta = fit(trainer, rows, training, correction).delta
        sums.append(len(rows) * np.concatenate([array.ravel() for array in delta.values()]))
    assert 0 < np.linalg.norm(sums[0] - sums[1]) <= FAINT.clip * (1 + 1e-5)


def test_a_weight_of_own_frequencies_says_something_of_other_rows() -> None:
    """Which is why DP-SGD does not go with them."""
    groups, labels = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    one, other = (
        weights(Reweighing(attribute="sex"), groups, each)
        for each in (labels, np.array([1, 1, 0, 1]))
    )
    assert one[3] != other[3]


def test_groups_are_selected_more_alike_than_by_averaging(tmp_path: Path) -> None:
    before, at_first = parity_gap(FedAvg(), tmp_path)
    gap, accuracy = parity_gap(Reweighing(attribute="sex"), tmp_path)
    assert abs(gap) < before / 2
    assert accuracy > at_first - 0.15


@pytest.mark.parametrize("wrong", [-1.0, np.nan, np.inf])
def test_a_weight_that_is_none_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match=r"^Expected weights >= 0"):
        Reweighing(attribute="sex", weights=((1.0, wrong), (1.0, 1.0)))


@pytest.mark.parametrize("table", [((1.0, 1.0),), ((1.0,), (1.0,)), ((1.0, 1.0), (1.0,)), ()])
def test_a_table_of_other_groups_or_classes_is_refused(table: tuple[tuple[float, ...]]) -> None:
    with pytest.raises(ValueError, match=r"^Expected weights of 2 groups by 2 classes"):
        Reweighing(attribute="sex", groups=2, classes=2, weights=table)


def test_numbers_to_predict_have_no_frequencies() -> None:
    with pytest.raises(ValueError, match=r"^Expected classes"):
        Reweighing(attribute="sex", classes=0)
