"""Counts leave noised as their event says, once, and nobody can take the noise off by asking again.

Streams have fixed test seeds, so that no test here fails now and then. Each statistical test says how
often a correct mechanism would fail it under a fresh seed.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from contracts.bits import assert_same_bits, bits
from contracts.mechanism import check_mechanism, stream
from hypothesis import given, settings
from hypothesis import strategies as st
from tacit.fairness.measuring import WHOLE
from tacit.privacy import Secret
from tacit.privacy.clipping import norm
from tacit.privacy.counts import LARGEST, ClientCounts, RowCounts
from tacit.wire import Arrays, Fold, Receipt

BY_CLIENTS = RowCounts(sensitivity=math.sqrt(5), noise_multiplier=3.0)
BY_COORDINATOR = RowCounts(sensitivity=math.sqrt(5), noise_multiplier=3.0, by="coordinator")
OF_CLIENTS = ClientCounts(clip=20.0, noise_multiplier=1.5)
SECRET = Secret.from_test_seed(1)


def released(mechanism: RowCounts | ClientCounts, sent: list[Arrays], name: str = "x") -> Arrays:
    """The noised sum of what some clients sent."""
    fold = Fold()
    for index, tables in enumerate(sent):
        fold.add(mechanism.bound(tables, 1, {}), Receipt(client=str(index), examples=1))
    total, _ = mechanism.release(fold.total(), WHOLE, {}, stream(name))
    assert total is not None
    return total


@pytest.mark.parametrize("mechanism", [BY_CLIENTS, BY_COORDINATOR, OF_CLIENTS])
def test_it_keeps_what_every_mechanism_promises(mechanism: RowCounts | ClientCounts) -> None:
    if isinstance(mechanism, RowCounts) and mechanism.by == "clients":
        pytest.skip("its noise is not that of the release: the tests below are about it")
    check_mechanism(mechanism, WHOLE)


@pytest.mark.parametrize("multiplier", [0.5, 3.0, 80.0, 5e4])
@pytest.mark.parametrize("clients", [1, 7])
def test_the_noise_on_a_sum_has_the_deviation_that_is_stated(
    multiplier: float, clients: int
) -> None:
    """20,000 values: the deviation is off by 3 % about once in 10^9."""
    tables = {"x": np.zeros(20_000)}
    for by in ("clients", "coordinator"):
        mechanism = RowCounts(sensitivity=2.0, noise_multiplier=multiplier, by=by)
        secrets = [SECRET.child("r", number) for number in range(clients)]
        sent = [mechanism.perturb(tables, {}, secret) for secret in secrets]
        found = released(mechanism, sent)["x"]
        assert abs(found.std() / mechanism.deviation(clients) - 1) < 0.03
        assert mechanism.deviation(1) >= multiplier * 2.0
        assert mechanism.deviation(1) <= multiplier * 2.0 * (1 + mechanism._grid) + mechanism._grid


@given(st.floats(1e-3, 1e4), st.floats(0.1, 50))
def test_there_is_a_grid_for_every_noise_on_which_it_can_be_drawn(
    multiplier: float, sensitivity: float
) -> None:
    mechanism = RowCounts(sensitivity=sensitivity, noise_multiplier=multiplier)
    steps = mechanism.deviation(1) / mechanism._grid
    assert 1 <= steps <= LARGEST
    assert steps == int(steps)


@settings(max_examples=50)
@given(st.integers(0, 999), st.integers(1, 50), st.floats(0.1, 5e4))
def test_rounding_to_the_grid_adds_no_more_than_the_noise_allows_for(
    seed: int, touched: int, multiplier: float
) -> None:
    """A row that changes k entries by at most 1 each is hidden by the noise as well as is said."""
    rng = np.random.default_rng(seed)
    mechanism = RowCounts(sensitivity=math.sqrt(touched), noise_multiplier=multiplier)
    one = rng.integers(0, 2**20, 60) / 2**16
    other = one + np.r_[rng.choice([0.3, 1.0], touched), np.zeros(60 - touched)].round(4)
    rounded = [mechanism.bound({"x": table}, 1, {})["sum/x"] for table in (one, other)]
    moved = norm({"x": rounded[1] - rounded[0]})
    assert mechanism.deviation(1) >= multiplier * moved * (1 - 1e-9)


def test_equal_tables_get_equal_noise_and_others_get_other() -> None:
    secret = SECRET.child("run", 3)
    tables = {"x": np.arange(50.0)}
    once, again = (BY_CLIENTS.perturb(tables, {}, secret) for _ in range(2))
    assert_same_bits(once, again)
    other = BY_CLIENTS.perturb({"x": tables["x"] + (np.arange(50) == 7)}, {}, secret)
    later = BY_CLIENTS.perturb(tables, {}, SECRET.child("run", 4))
    for found in (other, later):
        assert np.mean((found["x"] - once["x"]) == 0) < 0.2


def test_noise_is_added_by_one_side_only() -> None:
    tables = {"x": np.arange(50.0)}
    exact = BY_COORDINATOR.perturb(tables, {}, SECRET)
    assert_same_bits(exact, tables)
    noised = BY_CLIENTS.perturb(tables, {}, SECRET)
    assert bits(released(BY_CLIENTS, [noised])) == bits(noised)


@given(st.integers(0, 10**6), st.integers(1, 40))
def test_whatever_a_client_counts_it_adds_at_most_the_clip(most: int, entries: int) -> None:
    tables = {"x": np.random.default_rng(most).integers(0, most + 1, entries).astype(float)}
    assert norm(OF_CLIENTS.bound(tables, 1, {})) * _step(OF_CLIENTS) <= OF_CLIENTS.clip * (1 + 1e-9)


def _step(mechanism: ClientCounts) -> float:
    """What a step of the grid is worth: one unit of a bounded contribution."""
    grid, unit = mechanism._grid()
    return grid / unit


@pytest.mark.parametrize("bad", [{"noise_multiplier": 0.0}, {"sensitivity": math.inf}])
def test_what_protects_nobody_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="Expected"):
        RowCounts(**{"sensitivity": 1.0, "noise_multiplier": 1.0, **bad})  # type: ignore[arg-type]
