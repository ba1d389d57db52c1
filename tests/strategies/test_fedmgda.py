"""FedMGDA+ against Hu et al. 2022, algorithm 2."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from contracts.learning import diabetes, linear_task, shards
from contracts.rounds import after, rounds_of
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize  # type: ignore[import-untyped]
from tacit.client import Data, Training
from tacit.privacy import Mean
from tacit.strategies import FedAvg, FedMGDA, Strategy
from tacit.strategies.fedmgda import least_norm

CLIENTS = {"a": 30, "b": 55, "c": 12, "d": 20}
ETA, STEPS, SERVER = 0.05, 3, 0.3

PROBLEMS = st.tuples(
    st.integers(1, 6),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.05, 0.3, 1.0]),
    st.integers(0, 999),
)
"""Clients, dimensions, ε and a seed: also more clients than dimensions, and clients that agree."""


def directions(clients: int, size: int, seed: int) -> tuple[NDArray[np.float64], ...]:
    rng = np.random.default_rng(seed)
    found = rng.integers(-2, 3, (clients, size)) + 0.0
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    center = rng.random(clients) + 0.01
    return found / np.where(lengths > 0, lengths, 1.0), center / center.sum()


@given(PROBLEMS)
def test_the_weights_are_allowed_and_no_allowed_ones_give_a_shorter_step(
    problem: tuple[int, int, float, int],
) -> None:
    """Against a general solver for such problems."""
    clients, size, epsilon, seed = problem
    g, center = directions(clients, size, seed)
    found = least_norm(g @ g.T, center, epsilon)
    assert found.sum() == pytest.approx(1)
    assert np.all(found >= 0)
    assert np.all(np.abs(found - center) <= epsilon + 1e-12)
    best = minimize(
        lambda w: float(np.sum((w @ g) ** 2)),
        center,
        jac=lambda w: 2 * g @ (w @ g),
        method="SLSQP",
        bounds=[(max(c - epsilon, 0), min(c + epsilon, 1)) for c in center],
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": np.ones_like},
        options={"ftol": 1e-12},
    )
    assert np.sum((found @ g) ** 2) <= best.fun + 1e-6


@given(PROBLEMS)
def test_the_step_is_downhill_for_everyone(problem: tuple[int, int, float, int]) -> None:
    """If weights are free: the shortest point of a hull is at most as far along any of its corners."""
    clients, size, _, seed = problem
    g, center = directions(clients, size, seed)
    step = least_norm(g @ g.T, center, epsilon=1.0) @ g
    assert np.all(g @ step >= step @ step - 1e-8)


def test_hundreds_of_clients_are_solved_to_the_end() -> None:
    rng = np.random.default_rng(0)
    g = rng.normal(size=(300, 400)) + 0.3
    g /= np.linalg.norm(g, axis=1, keepdims=True)
    step = least_norm(g @ g.T, np.full(300, 1 / 300), epsilon=1.0) @ g
    assert np.all(g @ step >= step @ step - 1e-9)


def descended(w: NDArray[np.float64], rows: Data) -> NDArray[np.float64]:
    for _ in range(STEPS):
        w = w - ETA * rows.features.T @ (rows.features @ w - rows.targets) / len(rows)
    return w


@pytest.mark.parametrize("mechanism", [Mean(), Mean(weighting="uniform")], ids=str)
@pytest.mark.parametrize("partial", [False, True])
def test_every_round_follows_algorithm_2(partial: bool, mechanism: Mean, tmp_path: Path) -> None:
    """The weights are those of the cohort, around those that the mean gives to its clients."""
    data, epsilon = shards(diabetes(), CLIENTS), 0.2
    cohorts = {1: "abcd", 2: "bd", 3: "ac"} if partial else dict.fromkeys((1, 2, 3), "abcd")
    states = rounds_of(
        FedMGDA(clients=4, learning_rate=SERVER, epsilon=epsilon),
        data=data,
        task=linear_task(10),
        training=Training(learning_rate=ETA, batch_size=1000, steps=STEPS),
        initial={"weight": np.ones((1, 10))},
        folder=tmp_path,
        mechanism=mechanism,
        choose=lambda number: list(cohorts[number]),
    )
    w = np.ones(10)
    for number, state in zip(cohorts, states, strict=False):
        changes = [descended(w, data[name]) - w for name in cohorts[number]]
        g = np.array([change / np.linalg.norm(change) for change in changes])
        by_rows = mechanism.weighting == "examples"
        center = np.array([CLIENTS[name] if by_rows else 1 for name in cohorts[number]])
        w = w + SERVER * least_norm(g @ g.T, center / center.sum(), epsilon) @ g
        np.testing.assert_allclose(state.parameters["weight"][0], w, rtol=0, atol=1e-6)


def towards(x: float, y: float) -> Data:
    """Rows whose mean loss is a quarter of the squared distance to (x, y)."""
    return Data(features=np.eye(2), targets=np.array([x, y]))


def distances(strategy: Strategy, folder: Path) -> list[float]:
    """How far two clients that want one thing and one that wants another end from what they want."""
    states = rounds_of(
        strategy,
        data={"a": towards(-1, 1), "b": towards(-1, 1), "c": towards(1, 1)},
        task=linear_task(2),
        training=Training(learning_rate=0.1, batch_size=2),
        initial={"weight": np.zeros((1, 2))},
        folder=folder,
    )
    w = after(100, states).parameters["weight"][0]
    return [float(np.linalg.norm(w - [side, 1])) for side in (-1, -1, 1)]


def test_the_outvoted_client_is_served_as_well_as_the_others(tmp_path: Path) -> None:
    assert distances(FedAvg(), tmp_path)[2] == pytest.approx(4 / 3, abs=0.01)
    fair = FedMGDA(clients=3, learning_rate=0.02, epsilon=1.0)
    assert distances(fair, tmp_path) == pytest.approx([1, 1, 1], abs=0.02)


@pytest.mark.parametrize("value", [-0.1, 1.1, np.nan])
def test_a_distance_that_is_none_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"^Expected 0 <= epsilon <= 1"):
        FedMGDA(epsilon=value)
