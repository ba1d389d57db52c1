from __future__ import annotations

import numpy as np
from tacit.simulations.datasets import load
from tacit.simulations.synthetic import synthetic


def centres(beta: float) -> np.ndarray:
    """The mean over rows of each client's columns, shape (clients, columns)."""
    dataset = synthetic(beta=beta, seed=7)
    assert dataset.owner is not None
    rows = np.split(dataset.data.features, np.bincount(dataset.owner).cumsum()[:-1])
    return np.stack([part.mean(axis=0) for part in rows])


def test_the_named_data_set_is_that_of_seed_0_and_another_seed_gives_another() -> None:
    named, same, other = load("synthetic"), synthetic(seed=0), synthetic(seed=1)
    np.testing.assert_array_equal(named.data.features, same.data.features)
    np.testing.assert_array_equal(named.data.targets, same.data.targets)
    assert len(other.data) != len(same.data)


def test_sizes_follow_a_power_law_above_fifty_rows() -> None:
    dataset = synthetic()
    assert dataset.owner is not None
    sizes = np.bincount(dataset.owner)
    assert sizes.min() >= 50
    assert 75 < np.median(sizes) < 150  # 50 + e^4 is 105
    assert sizes.max() > 10 * np.median(sizes)


def test_columns_vary_within_a_client_as_the_paper_says() -> None:
    dataset = synthetic()
    assert dataset.owner is not None
    largest = dataset.owner == np.bincount(dataset.owner).argmax()
    variances = dataset.data.features[largest].var(axis=0)
    np.testing.assert_allclose(variances, np.arange(1.0, 61.0) ** -1.2, rtol=0.15)


def test_beta_says_how_far_the_clients_rows_lie_apart() -> None:
    spread = [centres(beta).mean(axis=1).std() for beta in (0.0, 1.0, 4.0)]
    assert spread[0] < 0.2  # the mean of 60 coordinates from N(0, 1)
    assert 0.8 < spread[1] < 1.2
    assert 3.2 < spread[2] < 4.8


def test_a_client_learns_from_its_own_rows_what_others_rows_do_not_say() -> None:
    """Labels are linear in a client's columns, but by a rule that no other client shares."""
    dataset = synthetic()
    assert dataset.owner is not None
    own, other = np.argsort(np.bincount(dataset.owner))[-2:]
    x = np.column_stack([dataset.data.features, np.ones(len(dataset.data))])
    y = np.eye(10)[dataset.data.targets]
    right = []
    for client in (own, other):
        rows = np.flatnonzero(dataset.owner == client)
        fitted = np.linalg.lstsq(x[rows], y[rows], rcond=None)[0]
        tested = np.flatnonzero(dataset.owner == own)
        right.append((x[tested] @ fitted).argmax(1) == dataset.data.targets[tested])
    assert np.mean(right[0]) > 0.7
    assert np.mean(right[1]) < 0.4
