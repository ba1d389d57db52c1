"""Every sampler keeps the contract, and draws from the distribution that it is named for."""

from __future__ import annotations

import math
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from contracts.sampler import check_sampler
from tacit.server import Cyclic, Everyone, FixedSize, Poisson, Sampler

SAMPLERS: list[Sampler] = [
    Everyone(),
    FixedSize(size=1),
    FixedSize(size=7),
    FixedSize(size=20),
    Poisson(rate=0.05),
    Poisson(rate=0.5),
    Poisson(rate=1.0),
    Cyclic(groups=2),
    Cyclic(groups=20),
]


@pytest.mark.parametrize("sampler", SAMPLERS, ids=repr)
def test_a_sampler_keeps_the_contract(sampler: Sampler) -> None:
    check_sampler(sampler)


def test_poisson_draws_each_client_independently_at_its_rate() -> None:
    """At another seed, a correct sampler fails this less than three times in a million runs.

    The size of a cohort has the mean and the variance of a binomial, and no two clients are
    correlated: three estimates, each within 5 standard errors (6e-7 on both sides).
    """
    rate, clients, draws = 0.2, [str(i) for i in range(50)], 4000
    rng, sampler = np.random.default_rng(2), Poisson(rate=rate)
    sizes, both = [], 0
    for _ in range(draws):
        members = sampler.sample(clients, 1, rng).members
        sizes.append(len(members))
        both += "3" in members and "4" in members
    variance = 50 * rate * (1 - rate)
    assert abs(np.mean(sizes) - 50 * rate) < 5 * math.sqrt(variance / draws)
    assert abs(np.var(sizes) - variance) < 5 * variance * math.sqrt(2 / draws)
    assert abs(both - draws * rate**2) < 5 * math.sqrt(draws * rate**2 * (1 - rate**2))


def test_a_poisson_cohort_may_be_empty_and_may_be_everyone() -> None:
    rng, clients = np.random.default_rng(0), ["a", "b", "c"]
    sizes = {len(Poisson(rate=0.5).sample(clients, 1, rng).members) for _ in range(200)}
    assert sizes == {0, 1, 2, 3}
    assert Poisson(rate=1.0).sample(clients, 1, rng).members == ("a", "b", "c")
    assert Poisson(rate=0.5).sample([], 1, rng).members == ()


def test_every_cohort_of_a_fixed_size_is_equally_likely() -> None:
    """Pearson's statistic over 10 cohorts: a correct sampler exceeds 47 once in 2.6 million runs."""
    rng, draws = np.random.default_rng(4), 5000
    found = Counter(FixedSize(size=2).sample("abcde", 1, rng).members for _ in range(draws))
    assert set(found) == set(combinations("abcde", 2))
    assert sum((count - draws / 10) ** 2 / (draws / 10) for count in found.values()) < 47


@pytest.mark.parametrize("size", [0, -1])
def test_a_cohort_of_nobody_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"Expected size >= 1, got {size}"):
        FixedSize(size=size)


@pytest.mark.parametrize("rate", [0.0, -0.1, 1.1, math.nan, math.inf])
def test_a_rate_that_is_no_probability_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match=f"Expected 0 < rate <= 1, got {rate}"):
        Poisson(rate=rate)


@pytest.mark.parametrize("groups", [1, 0, -1])
def test_a_cycle_of_less_than_two_groups_is_refused(groups: int) -> None:
    with pytest.raises(ValueError, match=f"Expected groups >= 2, got {groups}"):
        Cyclic(groups=groups)


def test_every_client_takes_part_once_in_a_cycle() -> None:
    clients, coins = [str(i) for i in range(11)], np.random.default_rng(0)
    cycle = [Cyclic(groups=4).sample(clients, round, coins).members for round in (5, 6, 7, 8)]
    assert sorted(name for members in cycle for name in members) == sorted(clients)


def test_more_than_there_are_cannot_be_drawn() -> None:
    with pytest.raises(ValueError, match="A cohort of 4 cannot be drawn from 3 clients"):
        FixedSize(size=4).sample("abc", 1, np.random.default_rng(0))
