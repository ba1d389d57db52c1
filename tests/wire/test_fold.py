"""The exact sum: the same bits in any order, each client once, and never out of int64."""

from __future__ import annotations

import random
from fractions import Fraction

import numpy as np
import pytest
from contracts.bits import assert_same_bits, bits
from hypothesis import given, settings
from hypothesis import strategies as st
from tacit.wire import Failure, Fold, Lazy, Receipt, Refusal, each
from tacit.wire.fold import BLOCK, FRACTION_BITS, from_fixed, largest, to_fixed

VALUES = st.floats(-(2.0**26), 2.0**26, allow_nan=False)
ROWS = st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=16)
quick = settings(derandomize=True, database=None, deadline=None, max_examples=200)


def receipt(client: object) -> Receipt:
    return Receipt(client=str(client), examples=1)


def leaf(client: int, row: tuple[float, float]) -> Fold:
    fold = Fold()
    fold.add({"x": np.array(row), "y": np.array(row[0])}, receipt(client))
    return fold


@quick
@given(ROWS, st.randoms(use_true_random=False))
def test_any_order_and_any_tree_of_merges_give_the_same_bits(
    rows: list[tuple[float, float]], chance: random.Random
) -> None:
    straight = Fold()
    for client, row in enumerate(rows):
        straight.merge(leaf(client, row))
    forest = [leaf(client, row) for client, row in enumerate(rows)]
    while len(forest) > 1:
        chance.shuffle(forest)
        other = forest.pop()
        forest[0].merge(other)
    assert_same_bits(forest[0].total(), straight.total())
    assert_same_bits(forest[0].sums, straight.sums)
    assert forest[0].receipts == straight.receipts


@quick
@given(ROWS)
def test_the_total_is_the_sum_to_within_half_a_unit_for_each_client(
    rows: list[tuple[float, float]],
) -> None:
    """And one rounding to float64, which is half a unit in the last place of the sum."""
    fold = Fold()
    for client, row in enumerate(rows):
        fold.merge(leaf(client, row))
    for column, found in enumerate(fold.total()["x"]):
        exact = sum((Fraction(row[column]) for row in rows), start=Fraction(0))
        unit = Fraction(1, 2 ** (FRACTION_BITS + 1))
        assert abs(Fraction(float(found)) - exact) <= len(rows) * unit + abs(exact) / 2**52


@quick
@given(VALUES)
def test_a_value_is_rounded_once_to_the_nearest_unit_ties_to_even(value: float) -> None:
    assert int(to_fixed(np.array([value]))[0]) == round(Fraction(value) * 2**FRACTION_BITS)


@pytest.mark.parametrize("members", [1, 2, 3, 7, 10, 1000, 10**6 + 3, 2**30, 2**31 + 1])
@pytest.mark.parametrize("sign", [-1, 1])
def test_as_many_members_as_were_said_cannot_leave_int64(members: int, sign: int) -> None:
    """In exact integers, and with half of the range to spare for rounding."""
    one = int(to_fixed(np.array([sign * largest(members)]))[0])
    assert abs(one) * members <= 2**62 + 2**11 + members
    assert -(2**63) <= one * members < 2**63


def test_a_full_cohort_of_largest_values_adds_up() -> None:
    fold = Fold()
    for client in range(1000):
        fold.add({"x": np.array([largest(1000), -largest(1000)])}, receipt(client))
    np.testing.assert_allclose(fold.total()["x"], [2.0**30, -(2.0**30)], rtol=1e-9)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 2.0**30 * (1 + 2**-50), 1e308])
def test_what_does_not_fit_is_refused_and_leaves_nothing_behind(value: float) -> None:
    fold = leaf(0, (1.5, -2.5))
    before = fold.total()
    with pytest.raises(ValueError, match="Expected finite values of magnitude"):
        fold.add({"x": np.array([0.0, 1.0]), "y": np.array(value)}, receipt(1))
    assert_same_bits(fold.total(), before)
    assert fold.receipts == [receipt(0)]
    fold.add({"x": np.array([0.0, 1.0]), "y": np.array(0.0)}, receipt(1))


def test_an_array_that_cannot_be_read_leaves_nothing_behind() -> None:
    """What was added before it is taken back, to the bit, and so are names that are new."""

    def broken() -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        raise OSError("the disk is gone")

    rng = np.random.default_rng(0)
    first = {"x": rng.normal(size=3 * BLOCK + 1), "y": rng.normal(size=(3, 2)).T}
    fold = Fold()
    fold.add(first, receipt(0))
    before = bits(fold.sums)
    other = {"z": rng.normal(size=5), **{k: rng.normal(size=a.shape) for k, a in first.items()}}
    with pytest.raises(OSError, match="the disk is gone"):
        fold.add(Lazy({**each(np.negative, other).parts, "last": broken}), receipt(1))
    assert bits(fold.sums) == before
    assert fold.receipts == [receipt(0)]


def test_the_total_can_be_taken_array_by_array_and_once() -> None:
    fold = leaf(0, (1.5, -2.5))
    wanted, taken = fold.total(), fold.take_total()
    assert list(taken) == ["x", "y"]
    assert_same_bits({name: taken[name] for name in reversed(list(taken))}, wanted)
    assert fold.sums == {}
    with pytest.raises(KeyError):
        taken["x"]


@pytest.mark.parametrize("shape", [(), (1,), (3,), (1, 2), (2, 1)])
def test_another_shape_is_refused_and_leaves_nothing_behind(shape: tuple[int, ...]) -> None:
    """numpy would stretch some of these over the sum."""
    fold = leaf(0, (1.5, -2.5))
    before = fold.total()
    odd = {"y": np.array(1.0), "x": np.ones(shape)}
    with pytest.raises(ValueError, match="'x' in the shape of the sum"):
        fold.add(odd, receipt(1))
    other = Fold()
    other.add(odd, receipt(2))
    other.refusals.append(Refusal(client="d", reason="late"))
    with pytest.raises(ValueError, match="'x' in the shape of the sum"):
        fold.merge(other)
    assert_same_bits(fold.total(), before)
    assert (fold.receipts, fold.refusals) == ([receipt(0)], [])


def test_a_second_update_from_one_client_is_refused_however_it_comes() -> None:
    fold, other = leaf(0, (1.0, 2.0)), leaf(0, (10.0, 20.0))
    other.merge(leaf(1, (3.0, 4.0)))
    before = fold.total()
    with pytest.raises(ValueError, match="Expected one update from each client, got two from '0'"):
        fold.merge(other)
    with pytest.raises(ValueError, match="got two from '0'"):
        fold.add({"x": np.zeros(2), "y": np.zeros(())}, receipt(0))
    with pytest.raises(ValueError, match="got two from '0'"):
        fold.merge(fold)
    assert_same_bits(fold.total(), before)
    assert "0" in fold
    assert "1" not in fold


def test_receipts_refusals_and_failures_are_merged_with_the_sum() -> None:
    fold, other = leaf(1, (1.0, 2.0)), leaf(0, (3.0, 4.0))
    fold.refusals.append(Refusal(client="c", reason="late"))
    other.refusals.append(Refusal(client="d", reason="wrong shape"))
    other.failures.append(Failure(client="e", error="OSError: gone", traceback="..."))
    fold.merge(other)
    assert [each.client for each in fold.receipts] == ["0", "1"]
    assert [each.client for each in fold.refusals] == ["c", "d"]
    assert [each.client for each in fold.failures] == ["e"]
    np.testing.assert_array_equal(fold.total()["x"], [4.0, 6.0])


def test_a_fold_shares_no_memory_with_what_was_merged_into_it() -> None:
    fold, other = Fold(), leaf(0, (1.0, 2.0))
    fold.merge(other)
    other.merge(leaf(1, (5.0, 5.0)))
    np.testing.assert_array_equal(fold.total()["x"], [1.0, 2.0])


def test_an_empty_fold_is_the_zero_of_merging() -> None:
    fold, before = leaf(0, (1.0, 2.0)), leaf(0, (1.0, 2.0))
    fold.merge(Fold())
    assert_same_bits(fold.total(), before.total())
    empty = Fold()
    empty.merge(before)
    assert_same_bits(empty.total(), before.total())
    assert Fold().total() == {}


def test_fixed_point_and_back_is_exact_for_what_fixed_point_can_hold() -> None:
    rng = np.random.default_rng(3)
    fixed = rng.integers(-(2**52), 2**52, 1000)
    np.testing.assert_array_equal(to_fixed(from_fixed(fixed)), fixed)
