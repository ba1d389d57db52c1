"""FedMinMax against Papadaki et al. 2022, algorithm 1."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from contracts.groups import check_first_round_is_averaging, in_three_groups
from contracts.learning import linear_task
from contracts.rounds import after, parabola, rounds_of
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tacit.client import Data, Training
from tacit.privacy import Mean
from tacit.privacy.simplex import onto_simplex
from tacit.strategies import FedAvg, FedMinMax, Fitted, Local, Received, Released, Strategy

CLIENTS = {"a": 30, "b": 55, "c": 12}
ETA, STEPS, RATE = 0.05, 3, 0.2


def test_every_round_follows_algorithm_1(tmp_path: Path) -> None:
    """Written out for least squares, clients weighted by their rows."""
    data = in_three_groups(CLIENTS)
    states = rounds_of(
        FedMinMax(attribute="sex", groups=3, mixing_rate=RATE),
        data=data,
        task=linear_task(10),
        training=Training(learning_rate=ETA, batch_size=1000, steps=STEPS),
        initial={"weight": np.ones((1, 10))},
        folder=tmp_path,
        mechanism=Mean(weighting="examples"),
    )
    x = np.concatenate([rows.features for rows in data.values()])
    y = np.concatenate([rows.targets for rows in data.values()])
    groups = np.concatenate([rows.groups["sex"] for rows in data.values()])
    rho = np.bincount(groups) / len(groups)
    w, mu = np.ones(10), rho
    for _, state in zip(range(6), states, strict=False):
        risks = np.array([np.mean((x @ w - y)[groups == a] ** 2) / 2 for a in range(3)])
        w = np.average(
            [descended(w, rows, mu / rho) for rows in data.values()],
            axis=0,
            weights=[len(rows) for rows in data.values()],
        )
        mu = onto_simplex(mu + RATE * risks)
        np.testing.assert_allclose(state.parameters["weight"][0], w, rtol=0, atol=1e-7)
        np.testing.assert_allclose(state.memory["groups"]["mu"], mu, rtol=0, atol=1e-7)


def descended(
    w: NDArray[np.float64], rows: Data, weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    for _ in range(STEPS):
        slopes = weights[rows.groups["sex"]] * (rows.features @ w - rows.targets)
        w = w - ETA * rows.features.T @ slopes / len(rows)
    return w


def test_the_first_round_is_federated_averaging_bit_by_bit(tmp_path: Path) -> None:
    strategy = FedMinMax(attribute="sex", groups=3)
    check_first_round_is_averaging(strategy, in_three_groups(CLIENTS), linear_task(10), tmp_path)


def rare_and_common() -> dict[str, Data]:
    """All clients hold 9 rows that want -1 and one, of another group, that wants 1."""
    common, rare = parabola(1.0, -1.0, rows=9), parabola(1.0, 1.0, rows=1)
    rows = Data(
        features=np.concatenate([common.features, rare.features]),
        targets=np.concatenate([common.targets, rare.targets]),
        groups={"sex": np.array([0] * 9 + [1])},
    )
    return {"a": rows, "b": rows}


def settled(strategy: Strategy, folder: Path) -> float:
    states = rounds_of(
        strategy,
        data=rare_and_common(),
        task=linear_task(1),
        training=Training(learning_rate=0.2, batch_size=10, steps=2),
        initial={"weight": np.zeros((1, 1))},
        folder=folder,
    )
    return float(after(80, states).parameters["weight"][0, 0])


def test_the_worst_group_is_served_as_well_as_can_be(tmp_path: Path) -> None:
    """Averaging ends at -0.8, where the rare group's loss is 1.62; minimax in the middle, at 0.5."""
    assert settled(FedAvg(), tmp_path) == pytest.approx(-0.8, abs=1e-6)
    assert settled(FedMinMax(attribute="sex", groups=2), tmp_path) == pytest.approx(0, abs=0.02)


def contributed(losses: NDArray[np.float64], codes: NDArray[np.int64]) -> dict[str, object]:
    fitted = Fitted(
        delta={"w": np.ones(2)},
        steps=1,
        learning_rate=0.1,
        local=Local(labels=codes, groups={"sex": codes}),
        received=Received(losses=losses, guesses=codes),
    )
    strategy = FedMinMax(attribute="sex", groups=3)
    extras = strategy.extras(strategy.init({"w": np.zeros(2)}))
    return dict(strategy.contribute(fitted, extras, {})[0])


def test_a_group_that_nobody_holds_keeps_its_risk_and_counts_as_before() -> None:
    strategy = FedMinMax(attribute="sex", groups=3, mixing_rate=0.1)
    state, all_three = strategy.init({"w": np.zeros(2)}), np.array([0, 0, 1, 2])
    for losses, codes in (
        (np.array([1.0, 1.0, 2.0, 3.0]), all_three),
        (np.array([1.0, 1.0, 2.0, 2.0]), np.array([0, 0, 1, 1])),
    ):
        mean = {name: np.asarray(a) for name, a in contributed(losses, codes).items()}
        state = strategy.step(state, Released(mean=mean, participation=1.0))
    np.testing.assert_array_equal(state.memory["groups"]["risk"], [1.0, 2.0, 3.0])
    np.testing.assert_allclose(state.memory["groups"]["mu"], [0.3, 0.25, 0.45], rtol=1e-12)


@given(
    st.lists(st.floats(-1e9, 1e9), min_size=6, max_size=6),
    st.floats(1e-6, 1e3),
    st.integers(1, 3),
)
def test_whatever_noise_does_to_the_sums_the_weights_stay_bounded(
    sums: list[float], rate: float, rounds: int
) -> None:
    """Zero losses, huge ones, and sums that noise made negative: μ is of the simplex, at most 1/LEAST."""
    strategy = FedMinMax(attribute="sex", groups=3, mixing_rate=rate)
    state = strategy.init({"w": np.zeros(2)})
    mean = {"delta/w": np.ones(2), "rows": np.array(sums[:3]), "losses": np.array(sums[3:])}
    for _ in range(rounds):
        state = strategy.step(state, Released(mean=mean, participation=1.0))
    weights = strategy.extras(state)["weights"]
    assert np.all((weights >= 0) & (weights <= 1001))
    assert state.memory["groups"]["mu"].sum() == pytest.approx(1)


def test_a_group_that_was_not_agreed_on_is_refused() -> None:
    with pytest.raises(ValueError, match="invalid entry"):
        contributed(np.ones(2), np.array([0, 3]))
