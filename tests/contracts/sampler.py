"""What every sampler promises: distinct members in order, by nothing but the generator it is given."""

from __future__ import annotations

import math

import numpy as np
import pytest
from contracts.bits import check_value
from tacit.server import Sampler

DRAWS = 2000
CLIENTS = tuple(f"client-{i:02}" for i in range(20))


def check_sampler(sampler: Sampler) -> None:
    """Runs every check below; `sampler` must be able to draw from 20 clients."""
    check_value(sampler)
    _cohorts_are_distinct_clients_in_order(sampler)
    _equal_generators_draw_equal_cohorts(sampler)
    _names_do_not_matter(sampler)
    _nobody_is_printed(sampler)
    _what_cannot_be_drawn_is_refused(sampler)
    _nobody_comes_back_before_the_separation(sampler)
    _each_client_takes_part_as_often_as_is_said(sampler)


def _cohorts_are_distinct_clients_in_order(sampler: Sampler) -> None:
    places = {client: place for place, client in enumerate(CLIENTS)}
    sizes = set()
    for seed in range(200):
        cohort = sampler.sample(CLIENTS, seed + 1, np.random.default_rng(seed))
        where = [places[client] for client in cohort.members]
        assert where == sorted(set(where))
        assert cohort.sampling == sampler.sampling(len(CLIENTS))
        assert 0 < cohort.sampling.participation <= 1
        sizes.add(cohort.members)
    assert len(sizes) > 1 or sampler.sampling(len(CLIENTS)).participation == 1


def _equal_generators_draw_equal_cohorts(sampler: Sampler) -> None:
    state = np.random.get_state(legacy=False)  # noqa: NPY002 - it must not be touched
    one, other = np.random.default_rng(5), np.random.default_rng(5)
    for _ in range(5):
        first = sampler.sample(CLIENTS, 1, one)
        np.random.seed(0)  # noqa: NPY002 - it must not matter
        assert sampler.sample(list(CLIENTS), 1, other) == first
        assert one.bit_generator.state == other.bit_generator.state
    after = np.random.get_state(legacy=False)  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    untouched = np.random.get_state(legacy=False)  # noqa: NPY002
    assert str(after) == str(untouched)
    np.random.set_state(state)  # noqa: NPY002


def _names_do_not_matter(sampler: Sampler) -> None:
    """Who is drawn depends on the place alone, so that a name cannot buy a seat."""
    others = tuple(f"{i * 7919 % 101}" for i in range(20))
    for seed in range(20):
        first = sampler.sample(CLIENTS, seed + 1, np.random.default_rng(seed)).members
        second = sampler.sample(others, seed + 1, np.random.default_rng(seed)).members
        assert [CLIENTS.index(name) for name in first] == [others.index(name) for name in second]


def _nobody_is_printed(sampler: Sampler) -> None:
    cohort = sampler.sample(CLIENTS, 1, np.random.default_rng(0))
    assert "client-" not in f"{cohort!r} {cohort}"


def _what_cannot_be_drawn_is_refused(sampler: Sampler) -> None:
    """`sampling` is how a run finds out before it starts; `sample` must agree with it."""
    for clients in range(1, 20):
        try:
            sampler.sampling(clients)
        except ValueError:
            with pytest.raises(ValueError, match=f"{clients} client"):
                sampler.sample(CLIENTS[:clients], 1, np.random.default_rng(0))
        else:
            assert sampler.sample(CLIENTS[:clients], 1, np.random.default_rng(0)) is not None


def _nobody_comes_back_before_the_separation(sampler: Sampler) -> None:
    separation, last = sampler.sampling(len(CLIENTS)).separation, dict.fromkeys(CLIENTS, -1000)
    for round in range(1, 100):
        for client in sampler.sample(CLIENTS, round, np.random.default_rng(round)).members:
            assert round - last[client] >= separation
            last[client] = round


def _each_client_takes_part_as_often_as_is_said(sampler: Sampler) -> None:
    """At another seed, a correct sampler fails this less than once in a million runs.

    Each of 20 counts is binomial; 5.6 standard errors leave 2e-8 on both sides together, and the
    rate may be as low as 0.05 (100 expected) before the normal tail is too thin by much.
    """
    rate, rng = sampler.sampling(len(CLIENTS)).participation, np.random.default_rng(1)
    counts = dict.fromkeys(CLIENTS, 0)
    for round in range(DRAWS):
        for client in sampler.sample(CLIENTS, round + 1, rng).members:
            counts[client] += 1
    error = math.sqrt(DRAWS * rate * (1 - rate))
    assert all(abs(count - DRAWS * rate) <= 5.6 * error for count in counts.values())
