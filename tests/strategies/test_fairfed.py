"""FairFed against Ezzeldin et al. 2023, algorithm 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from contracts.groups import chance, logistic, parity_gap
from contracts.learning import diabetes, shards
from contracts.rounds import after, rounds_of
from numpy.typing import NDArray
from tacit.client import Data, Memory, Training
from tacit.privacy import Mean
from tacit.strategies import FairFed, FedAvg, Released
from tacit.strategies.fairfed import difference

CLIENTS = {"a": 30, "b": 55, "c": 12}
ETA, STEPS, BETA = 0.05, 3, 0.4
START = np.linspace(-1, 1, 10)


def grouped() -> dict[str, Data]:
    """Two classes and two groups; client c has nobody of group 1, so it has no fairness."""
    data = shards(diabetes(), CLIENTS)
    rng = np.random.default_rng(0)
    found = {}
    for name, rows in data.items():
        codes = rng.integers(0, 1 if name == "c" else 2, len(rows))
        targets = (rows.targets > 0.3 * codes).astype(np.int64)
        found[name] = replace(rows, targets=targets, groups={"sex": codes})
    return found


def fairness(w: NDArray[np.float64], rows: Data, metric: str) -> float | None:
    """The paper's equal opportunity difference, or the gap of selection rates."""
    guesses, groups = rows.features @ w > 0, rows.groups["sex"]
    asked = rows.targets == 1 if metric == "opportunity" else np.ones(len(rows), bool)
    cells = [guesses[asked & (groups == group)] for group in (0, 1)]
    return float(cells[0].mean() - cells[1].mean()) if all(map(len, cells)) else None


def accuracy(w: NDArray[np.float64], rows: Data) -> float:
    return float(np.mean((rows.features @ w > 0) == rows.targets))


def gaps(
    w: NDArray[np.float64], data: Mapping[str, Data], before: NDArray[np.float64], metric: str
) -> dict[str, float]:
    """G_k of the model w, compared with everyone's fairness and accuracy as of the round before."""
    whole = together(data)
    everyone = fairness(before, whole, metric)
    found = {}
    for name, rows in data.items():
        own = fairness(w, rows, metric)
        if own is None or everyone is None:
            found[name] = abs(accuracy(before, whole) - accuracy(w, rows))
        else:
            found[name] = abs(everyone - own)
    return found


def together(data: Mapping[str, Data]) -> Data:
    rows = list(data.values())
    return Data(
        features=np.concatenate([each.features for each in rows]),
        targets=np.concatenate([each.targets for each in rows]),
        groups={"sex": np.concatenate([each.groups["sex"] for each in rows])},
    )


def descended(w: NDArray[np.float64], rows: Data) -> NDArray[np.float64]:
    for _ in range(STEPS):
        w = w - ETA * rows.features.T @ (chance(rows.features @ w) - rows.targets) / len(rows)
    return w


@pytest.mark.parametrize("metric", ["opportunity", "parity"])
def test_every_round_follows_algorithm_1(
    metric: Literal["opportunity", "parity"], tmp_path: Path
) -> None:
    """ω of shares of the rows, not of rows, as in the paper; each side of G as late as it travels."""
    data, total = grouped(), sum(CLIENTS.values())
    states = rounds_of(
        FairFed(attribute="sex", clients=3, beta=BETA, metric=metric, reweigh=False),
        data=data,
        task=logistic(10),
        training=Training(learning_rate=ETA, batch_size=1000, steps=STEPS),
        initial={"weight": START[np.newaxis]},
        folder=tmp_path,
    )
    w = before = START
    omega = {name: size / total for name, size in CLIENTS.items()}
    mean_gap = None
    for number, state in zip(range(1, 8), states, strict=False):
        if number > 1:
            found = gaps(w, data, before, metric)
            if mean_gap is not None:
                omega = {k: max(v - BETA * (found[k] - mean_gap), 0) for k, v in omega.items()}
            mean_gap = float(np.mean(list(found.values())))
        before, shares = w, list(omega.values())
        w = np.average([descended(w, rows) for rows in data.values()], axis=0, weights=shares)
        np.testing.assert_allclose(state.parameters["weight"][0], w, rtol=0, atol=1e-6)
        for name in data:
            kept = float(Memory(tmp_path).read(name, number + 1)["weight"])
            assert kept / total == pytest.approx(omega[name], abs=1e-6)
    assert any(abs(omega[name] - size / total) > 0.01 for name, size in CLIENTS.items())


def test_without_beta_and_reweighing_it_is_federated_averaging_by_rows(tmp_path: Path) -> None:
    one, other = (
        after(
            4,
            rounds_of(
                strategy,
                data=grouped(),
                task=logistic(10),
                training=Training(learning_rate=ETA, batch_size=8),
                initial={"weight": START[np.newaxis]},
                folder=tmp_path / type(strategy).__name__,
                mechanism=mechanism,
            ),
        ).parameters["weight"]
        for strategy, mechanism in (
            (
                FairFed(attribute="sex", clients=3, beta=0.0, reweigh=False),
                Mean(weighting="uniform"),
            ),
            (FedAvg(), Mean(weighting="examples")),
        )
    )
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)


def test_groups_are_selected_more_alike_than_by_averaging(tmp_path: Path) -> None:
    before, at_first = parity_gap(FedAvg(), tmp_path / "fedavg")
    strategy = FairFed(attribute="sex", clients=3, metric="parity")
    gap, found = parity_gap(strategy, tmp_path / "fairfed")
    assert abs(gap) < before / 2
    assert found > at_first - 0.15


def test_a_client_that_is_like_everyone_gains_weight_over_one_that_is_not(tmp_path: Path) -> None:
    data = grouped()
    data["c"] = data["c"].rows(np.arange(12))
    states = rounds_of(
        FairFed(attribute="sex", clients=3, beta=1.0, reweigh=False),
        data=data,
        task=logistic(10),
        training=Training(learning_rate=0.0001, steps=1, batch_size=1000),
        initial={"weight": START[np.newaxis]},
        folder=tmp_path,
    )
    after(3, states)
    found = gaps(START, data, START, "opportunity")
    near, far = min(found, key=lambda k: found[k]), max(found, key=lambda k: found[k])
    kept = {name: float(Memory(tmp_path).read(name, 4)["weight"]) for name in data}
    assert kept[near] > CLIENTS[near]
    assert kept[far] < CLIENTS[far]


def test_if_nobody_counts_the_model_stays() -> None:
    strategy = FairFed(attribute="sex", clients=2)
    state = strategy.init({"w": np.ones(2)})
    numbers = {name: np.zeros(()) for name in ("weight", "gap", "right")}
    mean = {"delta/w": np.zeros(2), "counts": np.zeros((2, 2)), "rows": np.ones(()), **numbers}
    state = strategy.step(state, Released(mean=mean, participation=1.0))
    np.testing.assert_array_equal(state.parameters["w"], np.ones(2))
    assert all(np.all(np.isfinite(array)) for array in strategy.extras(state).values())


def test_the_difference_of_groups_is_undefined_where_one_has_no_rows() -> None:
    assert difference(np.array([[4.0, 1.0], [2.0, 1.0]])) == -0.25
    assert difference(np.array([[4.0, 1.0], [0.0, 0.0]])) is None


@pytest.mark.parametrize("name", ["groups", "classes"])
def test_more_than_two_groups_or_classes_are_refused(name: str) -> None:
    wrong: Any = {name: 3}
    with pytest.raises(ValueError, match=f"^Expected 2 {name}, got 3: the paper compares two"):
        replace(FairFed(attribute="sex"), **wrong)


def test_another_metric_is_refused() -> None:
    wrong: Any = "accuracy"
    with pytest.raises(
        ValueError, match=r"^Expected metric in \('opportunity', 'parity'\), got 'acc"
    ):
        FairFed(attribute="sex", metric=wrong)
