"""How values are spread over clients, from the values and from sums over clients."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy  # type: ignore[import-untyped]
from tacit.fairness import Evenness, evenness
from tacit.fairness.clients import client_bin, client_moments, evenness_from_sums, gains

quick = settings(derandomize=True, database=None, deadline=None, max_examples=60)
VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=60)
BINS = 20


def by_definition(values: np.ndarray) -> dict[str, float]:
    """Straight from the definitions, pair by pair."""
    number = len(values)
    tenth = -(-number // 10)
    ordered = np.sort(values)
    return {
        "worst": ordered[0],
        "worst_tenth": ordered[:tenth].mean(),
        "mean": values.mean(),
        "best_tenth": ordered[-tenth:].mean(),
        "best": ordered[-1],
        "variance": values.var(),
        "deviation": values.std(),
        "gini": np.abs(values[:, np.newaxis] - values).mean() / (2 * values.mean()),
        "jain": values.sum() ** 2 / (number * (values**2).sum()),
        "entropy": entropy(values) / np.log(number),
    }


@quick
@given(st.lists(st.floats(1e-3, 1), min_size=2, max_size=60))
def test_each_number_is_what_its_definition_says(values: list[float]) -> None:
    found = evenness(np.array(values))
    for name, wanted in by_definition(np.array(values)).items():
        assert getattr(found, name) == pytest.approx(wanted, abs=1e-7), name
    worse = evenness(np.array(values), more_is_better=False)
    assert worse.worst == found.best
    assert worse.worst_tenth == pytest.approx(found.best_tenth)


@quick
@given(VALUES)
def test_sums_over_clients_say_the_same_up_to_the_error_of_bins(values: list[float]) -> None:
    exact = evenness(np.array(values))
    moments = np.sum([client_moments(value) for value in values], axis=0)
    histogram = np.sum([client_bin(value, BINS) for value in values], axis=0)
    found = evenness_from_sums(moments, histogram)
    assert found.clients == exact.clients == len(values)
    for name in ("mean", "variance", "deviation", "jain", "entropy"):
        assert getattr(found, name) == pytest.approx(getattr(exact, name), abs=1e-9), name
    for name in ("worst", "worst_tenth", "best_tenth", "best"):
        assert getattr(found, name) == pytest.approx(getattr(exact, name), abs=0.5 / BINS + 1e-9)
    if exact.gini is not None and found.gini is not None and exact.mean > 0.5 / BINS:
        error = (1 / BINS) / (exact.mean - 0.5 / BINS)
        assert found.gini == pytest.approx(exact.gini, abs=error + 1e-9)


def test_clients_that_are_all_alike_are_even_and_one_that_has_all_is_not() -> None:
    alike = evenness(np.full(4, 0.7))
    assert (alike.gini, alike.jain, alike.entropy) == pytest.approx((0, 1, 1))
    one = evenness(np.array([0.0, 0, 0, 1]))
    assert (one.gini, one.jain, one.entropy) == pytest.approx((0.75, 0.25, 0))
    nothing = evenness(np.zeros(3))
    assert (nothing.gini, nothing.jain, nothing.entropy) == (None, None, None)
    assert isinstance(evenness(np.array([0.5])), Evenness)
    assert evenness(np.array([0.5])).entropy is None


@pytest.mark.parametrize("values", [[], [-0.1], [np.nan]])
def test_what_is_no_spread_is_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="Expected values >= 0"):
        evenness(np.array(values))
    with pytest.raises(ValueError, match="one client or more"):
        evenness_from_sums(np.zeros(4), np.zeros(3))


def test_a_client_gains_where_the_model_is_better_than_its_own() -> None:
    values, alone = {"a": 0.8, "b": 0.6, "c": 0.5}, {"a": 0.7, "b": 0.75}
    assert gains(values, alone, more_is_better=True) == pytest.approx({"a": 0.1, "b": -0.15})
    assert gains(values, alone, more_is_better=False) == pytest.approx({"a": -0.1, "b": 0.15})
