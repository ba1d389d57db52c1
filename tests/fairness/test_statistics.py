"""Rates from counts against scikit-learn's metrics on all rows, however the rows were spread."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from contracts.learning import CPU, diabetes, digits, digits_task, linear_task, shards
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, log_loss, r2_score, root_mean_squared_error
from tacit.client import Data, Plain, Regression, Training, initial_parameters
from tacit.fairness import add, headline, rates, spread
from tacit.strategies import Correction
from tacit.wire import Statistics
from torch import nn

SIZES = {"a": 100, "b": 7, "c": 1, "d": 60}


def linear_statistics() -> tuple[dict[str, Statistics], Data, Any]:
    """What clients count with some linear model, their rows together, and what it predicts."""
    weight = np.linspace(-0.3, 0.5, 10)
    trainer = Plain(linear_task(10), CPU)
    data = shards(diabetes(), SIZES)
    counts = {
        name: trainer.evaluate({"weight": weight[np.newaxis]}, rows) for name, rows in data.items()
    }
    rows = diabetes().rows(slice(0, sum(SIZES.values())))
    return counts, rows, rows.features @ weight


def test_the_rates_of_a_regression_are_those_of_scikit_learn() -> None:
    counts, rows, guesses = linear_statistics()
    found = rates(add(counts.values()))
    assert found == {
        "loss": pytest.approx(root_mean_squared_error(rows.targets, guesses) ** 2 / 2),
        "r2": pytest.approx(r2_score(rows.targets, guesses)),
        "rmse": pytest.approx(root_mean_squared_error(rows.targets, guesses)),
    }


def test_models_of_their_own_are_judged_by_the_rows_of_those_who_have_one() -> None:
    with_one = {"examples": 4.0, "correct": 1.0, "personal_examples": 4.0, "personal_correct": 3.0}
    without = {"examples": 6.0, "correct": 3.0}
    assert rates(add([with_one, without])) == {"accuracy": 0.4, "personal_accuracy": 0.75}
    assert rates(without) == {"accuracy": 0.5}


def test_the_rates_of_a_classification_are_those_of_scikit_learn() -> None:
    task, data = digits_task(), digits()
    trainer = Plain(task, CPU)
    start = initial_parameters(task, seed=0)
    training, rng = Training(epochs=2), np.random.default_rng(0)
    delta = trainer.fit(start, data, training, 0.1, Correction(), rng).delta
    parameters = {name: array + delta[name] for name, array in start.items()}
    counts = [trainer.evaluate(parameters, rows) for rows in shards(data, SIZES).values()]

    model = task.model()
    model.load_state_dict({name: torch.tensor(array) for name, array in parameters.items()})
    rows = data.rows(slice(0, sum(SIZES.values())))
    with torch.no_grad():
        chances = torch.softmax(model.eval()(torch.tensor(rows.features)).double(), 1).numpy()
    assert rates(add(counts)) == {
        "accuracy": pytest.approx(accuracy_score(rows.targets, chances.argmax(1))),
        "loss": pytest.approx(log_loss(rows.targets, chances, labels=range(10)), rel=1e-5),
    }


@settings(derandomize=True, database=None, deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=8))
def test_the_rate_of_a_sum_is_the_rate_over_all_rows(clients: list[tuple[int, int]]) -> None:
    counts = [
        {"examples": float(right + wrong), "correct": float(right)} for right, wrong in clients
    ]
    labels = [1] * sum(right for right, _ in clients) + [0] * sum(wrong for _, wrong in clients)
    total = add(counts)
    wanted = {"accuracy": accuracy_score(labels, [1] * len(labels))} if labels else {}
    assert rates(total) == pytest.approx(wanted)
    assert add(reversed(counts)) == total


def test_nothing_is_said_of_no_rows() -> None:
    assert rates({}) == rates({"examples": 0.0, "loss": 0.0, "correct": 0.0}) == {}
    assert add([]) == {}
    assert spread({}) is None
    assert spread({"a": {"examples": 0.0}}) is None


def test_targets_that_do_not_vary_have_no_r2() -> None:
    counts = {"examples": 4.0, "squared_error": 1.0, "target": 8.0, "target_squared": 16.0}
    assert rates(counts) == {"rmse": 0.5}


def test_pairs_of_rows_become_their_concordance() -> None:
    pairs = {"comparable": 10.0, "concordant": 6.0, "tied": 2.0}
    assert rates({"examples": 5.0, **pairs}) == {"concordance": pytest.approx(0.7)}
    assert rates({"examples": 5.0, **dict.fromkeys(pairs, 0.0)}) == {}


def test_a_client_without_pairs_does_not_decide_by_what_clients_are_compared() -> None:
    none = {"examples": 1.0, "loss": 2.0, "comparable": 0.0, "concordant": 0.0, "tied": 0.0}
    some = {"examples": 2.0, "loss": 2.0, "comparable": 1.0, "concordant": 1.0, "tied": 0.0}
    found = spread({"a": none, "b": some})
    assert found is not None
    assert (found.rate, found.client) == ("concordance", "b")


def test_names_that_a_task_makes_up_are_means_over_rows() -> None:
    assert rates({"examples": 4.0, "margin": 2.0, "correct": 1.0}) == {
        "accuracy": 0.25,
        "margin": 0.5,
    }


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["loss", "accuracy"], ("accuracy", True)),
        (["rmse", "r2", "loss"], ("rmse", False)),
        (["loss", "margin"], ("loss", False)),
        (["loss", "concordance"], ("concordance", True)),
        ([], ("loss", False)),
    ],
)
def test_models_are_compared_by_what_people_read(names: list[str], wanted: object) -> None:
    assert headline(names) == wanted


def test_the_spread_is_over_clients_not_rows() -> None:
    """Against numpy, for a rate of which more is better and one of which less is."""
    counts, _, _ = linear_statistics()
    found = spread(counts)
    each = {name: rates(client)["rmse"] for name, client in counts.items()}
    assert found is not None
    assert (found.rate, found.client) == ("rmse", max(each, key=lambda name: each[name]))
    assert found.worst == max(each.values())
    assert found.mean == pytest.approx(np.mean(list(each.values())))
    assert found.deviation == pytest.approx(np.std(list(each.values())))

    right = {"a": 5.0, "b": 1.0, "c": 9.0, "d": 1.0}
    found = spread({name: {"examples": 10.0, "correct": n} for name, n in right.items()})
    assert found is not None
    assert (found.rate, found.worst, found.client) == ("accuracy", 0.1, "b")
    assert found.mean == pytest.approx(0.4)
    assert found.deviation == pytest.approx(np.std([0.5, 0.1, 0.9, 0.1]))


def test_clients_without_rows_do_not_count_in_the_spread() -> None:
    some = {"a": {"examples": 2.0, "correct": 1.0}, "c": {"examples": 2.0, "correct": 2.0}}
    assert spread({**some, "b": {"examples": 0.0, "loss": 0.0}}) == spread(some)


def test_r2_survives_targets_far_from_zero() -> None:
    """Years, say: the variance is a small difference of large sums."""
    years = np.array([2019, 2020, 2021, 2022, 2023], np.float32)
    guesses = years + np.array([0.5, -0.5, 0.25, 0.0, -0.25], np.float32)
    data = Data(features=guesses[:, np.newaxis], targets=years)
    trainer = Plain(Regression(build=identity), CPU)
    counts = trainer.evaluate({"weight": np.ones((1, 1), np.float32)}, data)
    assert rates(counts)["r2"] == pytest.approx(r2_score(years, guesses), abs=1e-3)


def identity() -> nn.Module:
    return nn.Linear(1, 1, bias=False)


def test_a_rate_is_finite_for_what_admission_lets_in() -> None:
    found = rates({"examples": 1.0, "squared_error": 1e300, "target": 0.0, "target_squared": 1.0})
    assert all(math.isfinite(value) for value in found.values())
