"""Intervals from counts are those of the bootstrap of rows or clients, and cover as often as they say.

A coverage test simulates 400 data sets. With a true coverage of 95 % the number that the interval
covers is binomial, and outside of the bounds once in a million; a bootstrap of few rows covers a
little less, which the lower bound, 92 % instead of 95 %, allows for.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binom, ks_2samp  # type: ignore[import-untyped]
from tacit.fairness.confusion import binary_rates
from tacit.fairness.intervals import Interval, clients_anew, intervals, resum, rows_anew
from tacit.fairness.moments import mean_rate
from tacit.fairness.noise import noised, settle
from tacit.fairness.rate import Array
from tacit.fairness.scores import auc

SETS, DRAWS = 400, 500
LEAST, MOST = binom.ppf(1e-6, SETS, 0.92), binom.ppf(1 - 1e-6, SETS, 0.95)
CHANCES = np.array([[[0.2, 0.08], [0.06, 0.14]], [[0.2, 0.1], [0.06, 0.16]]])
"""Two groups: the true difference of their recall is 0.0273."""
TRUTH = float(np.diff(binary_rates(CHANCES)["recall"].value)[0])


def signed(confusion: Array) -> Array:
    recall = binary_rates(confusion)["recall"].value
    return recall[..., 1] - recall[..., 0]


def interval_of(draws: Array) -> Interval:
    (found,) = intervals(draws[:, np.newaxis])
    assert found is not None
    return found


def covered(truth: float, simulate: Callable[[], Array]) -> int:
    found = [interval_of(simulate()) for _ in range(SETS)]
    return sum(one.low <= truth <= one.high for one in found)


def sample(rows: int, rng: np.random.Generator) -> Array:
    return rng.multinomial(rows, CHANCES.ravel()).reshape(CHANCES.shape).astype(float)


def test_drawing_counts_is_drawing_rows() -> None:
    """Two samples of 3,000 from one distribution: a Kolmogorov-Smirnov test rejects once in a million."""
    rng = np.random.default_rng(1)
    table = sample(150, rng)
    rows = np.repeat(np.arange(8), table.ravel().astype(int))
    picks = rng.choice(rows, (3000, len(rows)))
    counted = np.stack([np.bincount(pick, minlength=8) for pick in picks])
    by_rows = signed(counted.reshape(-1, 2, 2, 2).astype(float))
    by_counts = signed(rows_anew(table, 3000, rng))
    assert ks_2samp(by_rows, by_counts).pvalue > 1e-6


def test_the_interval_by_rows_covers_the_true_gap_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    times = covered(TRUTH, lambda: signed(rows_anew(sample(600, rng), DRAWS, rng)))
    assert LEAST <= times <= MOST


def test_the_interval_by_clients_covers_where_rows_of_a_client_are_alike() -> None:
    """80 clients of 10 rows that are all the same row: an interval by rows would be far too short."""
    rng = np.random.default_rng(3)

    def clients() -> Array:
        kinds = rng.multinomial(1, CHANCES.ravel(), size=80).reshape(-1, 2, 2, 2)
        return np.asarray(10.0 * kinds, np.float64)

    by_clients = covered(TRUTH, lambda: signed(resum(clients_anew(80, DRAWS, rng), clients())))
    by_rows = covered(TRUTH, lambda: signed(rows_anew(clients().sum(0), DRAWS, rng)))
    assert LEAST <= by_clients <= MOST
    assert by_rows < LEAST


def test_the_interval_of_a_mean_and_of_auc_cover_as_often_as_they_say() -> None:
    rng = np.random.default_rng(4)
    shape = np.linspace(1, 3, 10) / np.linspace(1, 3, 10).sum()
    truth = float(auc(np.stack([shape[::-1], shape])).value)

    def losses() -> Array:
        values = rng.beta(0.5, 2, 300)
        rate = mean_rate(np.array([300.0, values.sum(), (values**2).sum()]))
        assert rate.error is not None
        return np.asarray(rate.value + rate.error * rng.standard_normal(DRAWS))

    def scores() -> Array:
        counts = [rng.multinomial(150, weights) for weights in (shape[::-1], shape)]
        rate = auc(np.stack(counts).astype(float))
        assert rate.error is not None
        return np.asarray(rate.value + rate.error * rng.standard_normal(DRAWS))

    assert LEAST <= covered(0.2, losses) <= MOST
    assert LEAST <= covered(truth, scores) <= MOST


@pytest.mark.parametrize("deviation", [2.0, 8.0])
def test_the_interval_of_noise_covers_what_was_counted_as_often_as_it_says(
    deviation: float,
) -> None:
    """And the one of both covers the truth behind the rows."""
    rng = np.random.default_rng(5)
    exact = {"confusion": sample(800, rng)}
    exact["scores"] = np.stack([exact["confusion"].sum(-1)] * 2, -1) / 2
    rows = exact["confusion"].sum((-2, -1))
    exact["loss"] = np.stack([rows, rows / 8, rows / 32], -1)

    def of_noise() -> Array:
        released = settle(add_noise(exact, deviation, rng))
        return signed(noised(released, deviation, DRAWS, rng)["confusion"])

    def of_both() -> Array:
        drawn = sample(800, rng)
        rows = drawn.sum((-2, -1))
        loss = np.stack([rows, rows / 8, rows / 32], -1)
        fresh = {**exact, "confusion": drawn, "loss": loss}
        released = settle(add_noise(fresh, deviation, rng))
        again = {**released, "confusion": rows_anew(released["confusion"], DRAWS, rng)}
        return signed(noised(again, deviation, DRAWS, rng)["confusion"])

    assert LEAST <= covered(float(signed(exact["confusion"])), of_noise) <= MOST
    assert LEAST <= covered(TRUTH, of_both) <= MOST


def add_noise(
    tables: dict[str, Array], deviation: float, rng: np.random.Generator
) -> dict[str, Array]:
    return {
        name: table + deviation * rng.standard_normal(table.shape) for name, table in tables.items()
    }


def test_draws_without_a_value_are_left_out_and_counted() -> None:
    draws = np.array([[1.0, np.nan], [np.nan, np.nan], [3.0, np.nan], [2.0, np.nan]])
    first, second = intervals(draws)
    assert first is not None
    assert first.median == 2
    assert first.defined == 0.75
    assert second is None


def test_percentiles_are_those_of_numpy() -> None:
    draws = np.random.default_rng(6).normal(size=(37, 5))
    for column, found in zip(draws.T, intervals(draws), strict=True):
        assert found is not None
        wanted = np.percentile(column, [2.5, 50, 97.5])
        assert (found.low, found.median, found.high) == pytest.approx(tuple(wanted), abs=1e-12)


def test_no_rows_drawn_anew_are_no_rows() -> None:
    assert not rows_anew(np.zeros((2, 2, 2)), 3, np.random.default_rng(0)).any()
