"""What came of a run, in numbers worked out by hand."""

from __future__ import annotations

import pytest
from tacit.reports.summary import scores


def counts(correct: float, examples: float = 10.0) -> dict[str, float]:
    return {"examples": examples, "correct": correct, "loss": 1.0}


def test_a_rate_over_rows_weighs_clients_by_their_rows_and_the_mean_does_not() -> None:
    found = scores({"a": counts(9.0), "b": counts(15.0, 30.0)}, {})
    assert found.rows == 24 / 40
    assert found.mean == pytest.approx((0.9 + 0.5) / 2)
    assert found.deviation == pytest.approx(0.2)
    assert (found.worst, found.worst_client) == (0.5, "b")


def test_the_worst_tenth_is_the_mean_over_a_tenth_of_the_clients_rounded_up() -> None:
    clients = {f"c{n:02}": counts(float(n % 10)) for n in range(20)}
    assert scores(clients, {}).worst_tenth == 0.0
    clients = {f"c{n:02}": counts(float(n)) for n in range(11)}
    assert scores(clients, {}).worst_tenth == pytest.approx((0.0 + 0.1) / 2)


def test_where_less_is_better_the_worst_is_the_largest() -> None:
    clients = {
        name: {"examples": 4.0, "squared_error": 4.0 * value**2}
        for name, value in (("a", 1.0), ("b", 3.0), ("c", 2.0))
    }
    found = scores(clients, {})
    assert (found.rate, found.worst, found.worst_client) == ("rmse", 3.0, "b")
    assert found.worst_tenth == 3.0


def test_pooled_rows_are_kept_apart() -> None:
    found = scores({"a": counts(5.0)}, counts(8.0))
    assert (found.rows, found.pooled) == (0.5, 0.8)
    assert scores({}, counts(8.0)).pooled == 0.8


def test_without_any_evaluation_there_is_nothing_to_say() -> None:
    found = scores({}, {})
    assert (found.rows, found.pooled, found.mean, found.worst_client) == (None, None, None, None)
