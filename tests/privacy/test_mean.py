"""The mean without noise: what it releases, and what weight a claim can buy."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from contracts.mechanism import blank, check_mechanism, contributions, released, stream, total_of
from hypothesis import given, settings
from hypothesis import strategies as st
from tacit.privacy import Mean, Sampling
from tacit.privacy.event import NonPrivate

EVERYONE = Sampling(scheme="everyone", clients=10, participation=1.0)
Weighting = Literal["examples", "uniform"]
WEIGHTINGS: list[Weighting] = ["examples", "uniform"]


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_the_mean_keeps_the_mechanism_contract(weighting: Weighting) -> None:
    check_mechanism(Mean(weighting=weighting), EVERYONE)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@settings(derandomize=True, database=None, deadline=None, max_examples=100)
@given(
    st.lists(
        st.tuples(st.floats(-1e3, 1e3, width=32), st.integers(1, 10**5)), min_size=1, max_size=20
    )
)
def test_what_is_released_is_the_weighted_mean(
    weighting: Weighting, clients: list[tuple[float, int]]
) -> None:
    """Each sum is off by half of 2^-32 for each client, and the weights are at least 1 each."""
    mechanism = Mean(weighting=weighting)
    values, examples = [value for value, _ in clients], [rows for _, rows in clients]
    parts = [{"x": np.array([value], np.float32)} for value in values]
    found = released(mechanism, EVERYONE, total_of(mechanism, parts, examples))["x"]
    wanted = np.average(values, weights=examples if weighting == "examples" else None)
    assert abs(float(found[0]) - wanted) <= 2**-33 + 1e3 * 2**-50


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_equal_contributions_are_their_own_mean(weighting: Weighting) -> None:
    mechanism, part = Mean(weighting=weighting), contributions(1)[0]
    found = released(mechanism, EVERYONE, total_of(mechanism, [part] * 5, [1, 10, 100, 3, 7]))
    for name, array in part.items():
        np.testing.assert_allclose(found[name], array, rtol=0, atol=2**-32)


def test_a_claim_of_a_million_rows_buys_nothing_where_clients_are_equal() -> None:
    mechanism = Mean(weighting="uniform")
    parts = [{"x": np.array([8.0])}, {"x": np.array([0.0])}]
    found = released(mechanism, EVERYONE, total_of(mechanism, parts, [10**6, 1]))
    np.testing.assert_array_equal(found["x"], [4.0])


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_nothing_has_no_mean(weighting: Weighting) -> None:
    mechanism = Mean(weighting=weighting)
    nobody = blank(mechanism, contributions(1)[0])
    assert mechanism.release(nobody, EVERYONE, {}, stream("nobody")) == (None, {})


def test_it_claims_no_protection() -> None:
    assert Mean().event(EVERYONE, 1) == NonPrivate()
