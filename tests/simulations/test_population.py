from __future__ import annotations

import math
import os
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split
from tacit.client.data import Data
from tacit.simulations.bundled import digits, wine
from tacit.simulations.dataset import DataError, Dataset
from tacit.simulations.partition import IID, Dirichlet, Natural
from tacit.simulations.population import Population, Split, Standardise, populate
from tacit.simulations.tabular import adult, heart_disease

needs_data = pytest.mark.skipif(
    "TACIT_DATA" not in os.environ, reason="TACIT_DATA does not say where the real data is"
)

# FLamby (arXiv 2210.04620): train, test, women, men; then base rates; then the test rows
# [women, men] × [healthy, ill], from an independent implementation of its split.
FLAMBY = {
    "cleveland": ((199, 104, 97, 206), (0.45874587, 0.25773196, 0.55339806), [[25, 9], [31, 39]]),
    "hungarian": ((172, 89, 69, 192), (0.37547893, 0.17391304, 0.44791667), [[15, 4], [41, 29]]),
    "switzerland": ((30, 16, 3, 43), (0.97826087, 1.0, 0.97674419), [[0, 0], [1, 15]]),
    "va": ((85, 45, 5, 125), (0.77692308, 0.6, 0.784), [[1, 2], [9, 33]]),
}


def made(rows: int, labels: int, official: int = 0, owners: int = 5, seed: int = 0) -> Dataset:
    """Rows whose feature 0 is the row's number, so that nothing can be mixed up unseen."""
    rng = np.random.default_rng(seed)
    features = np.stack([np.arange(rows), rng.normal(3, 2, rows)], axis=1).astype(np.float32)
    targets = rng.integers(labels, size=rows)
    return Dataset(
        name="made",
        data=Data(features=features, targets=targets, groups={"sex": np.arange(rows) % 2}),
        classes=labels,
        test=np.arange(rows) >= rows - official,
        owner=rng.integers(owners, size=rows),
        owners=tuple(map(str, range(owners))),
        group_names={"sex": ("women", "men")},
    )


def flamby(standardise: Standardise) -> Population:
    return populate(
        heart(), Natural(), held_out=0.34, standardise=standardise, seed=1, split_seed=43
    )


@cache
def heart() -> Dataset:
    return heart_disease()


def numbers(population: Population, rows: slice) -> list[int]:
    return [int(number) for number in population.data.features[rows, 0]]


@needs_data
def test_the_hospitals_have_the_rows_that_flamby_gives_them() -> None:
    population = flamby("client")
    assert list(population.clients) == list(FLAMBY)
    for name, (counts, rates, table) in FLAMBY.items():
        split = population.clients[name]
        train, test = population.data.rows(split.train), population.data.rows(split.test)
        sex, ill = (
            np.r_[train.groups["sex"], test.groups["sex"]],
            np.r_[train.targets, test.targets],
        )
        assert (len(train), len(test), (sex == 0).sum(), (sex == 1).sum()) == counts
        found = ill.mean(), ill[sex == 0].mean(), ill[sex == 1].mean()
        assert found == pytest.approx(rates, abs=1e-8)
        cells = [
            [((test.groups["sex"] == s) & (test.targets == y)).sum() for y in (0, 1)]
            for s in (0, 1)
        ]
        assert np.array_equal(cells, table)
    assert len(population.data.rows(population.pooled.train)) == 486
    assert len(population.data.rows(population.pooled.test)) == 254


@needs_data
def test_the_hospitals_have_the_values_that_flambys_own_rule_gives_them() -> None:
    """The rule written out, with train_size 0.66 and test_size 1 - 0.66 as FLamby writes them."""
    population, dataset = flamby("client"), heart()
    trains, tests = [], []
    for index, split in enumerate(population.clients.values()):
        rows = np.flatnonzero(dataset.owner == index)
        labels = dataset.data.targets[rows]
        few = min(np.bincount(labels)) <= 2
        train, test = train_test_split(
            rows, train_size=0.66, test_size=1 - 0.66, random_state=43, shuffle=True,
            stratify=None if few else labels,
        )  # fmt: skip
        own = dataset.data.features[train].astype(np.float64)
        for half, where in ((train, split.train), (test, split.test)):
            expected = (dataset.data.features[half] - own.mean(0)) / (own.std(0, ddof=1) + 1e-9)
            np.testing.assert_allclose(population.data.features[where], expected, atol=1e-5)
            np.testing.assert_array_equal(
                population.data.targets[where], dataset.data.targets[half]
            )
        trains.append(train)
        tests.append(test)
    everyone = dataset.data.features[np.concatenate(trains)].astype(np.float64)
    for halves, where in ((trains, population.pooled.train), (tests, population.pooled.test)):
        values = dataset.data.features[np.concatenate(halves)]
        expected = (values - everyone.mean(0)) / (everyone.std(0, ddof=1) + 1e-9)
        np.testing.assert_allclose(population.data.features[where], expected, atol=1e-5)


@given(
    rows=st.integers(12, 200),
    labels=st.integers(1, 12),
    held_out=st.one_of(st.just(0.0), st.floats(0.0, 0.99)),
    official=st.integers(0, 10),
    seed=st.integers(0, 2**63 - 1),
)
@settings(max_examples=100, deadline=None)
def test_every_row_is_somewhere_once_and_everyone_can_train(
    rows: int, labels: int, held_out: float, official: int, seed: int
) -> None:
    dataset = made(rows + official, labels, official)
    population = populate(dataset, Natural(), held_out=held_out, standardise="none", seed=seed)
    assert dataset.owner is not None
    pooled = numbers(population, population.pooled.train)
    held: list[int] = []
    for name, split in population.clients.items():
        train, test = numbers(population, split.train), numbers(population, split.test)
        assert set(dataset.owner[train + test]) == {int(name)}
        assert len(train) >= 1
        size = len(train) + len(test)
        assert len(test) == min(math.ceil(round(held_out * size, 9)), size - 1)
        held += test
    assert sorted(pooled + held) == list(range(rows))
    ends = numbers(population, population.pooled.test)
    assert ends == (list(range(rows, rows + official)) if official else held)
    everything = population.data
    order = numbers(population, slice(None))
    np.testing.assert_array_equal(everything.targets, dataset.data.targets[order])
    np.testing.assert_array_equal(everything.groups["sex"], dataset.data.groups["sex"][order])


def test_a_clients_rows_are_views_of_the_one_array() -> None:
    population = populate(made(60, 3), Natural(), held_out=0.3, standardise="pooled", seed=0)
    for split in (*population.clients.values(), population.pooled):
        for rows in (split.train, split.test):
            assert np.shares_memory(population.data.rows(rows).features, population.data.features)
    assert population.data.features.flags.c_contiguous
    assert population.data.features.dtype == np.float32


def test_held_out_rows_have_the_label_shares_of_the_client() -> None:
    dataset = made(1000, 4)
    population = populate(dataset, IID(clients=5), held_out=0.25, standardise="none", seed=0)
    for split in population.clients.values():
        train, test = (np.bincount(population.data.targets[r]) for r in (split.train, split.test))
        np.testing.assert_allclose(test, train / 3, atol=1.01)


@pytest.mark.parametrize("counts", [(1, 99), (2, 98), (1, 1, 98), (1, 1, 1, 1), (3, 3, 3), (50,)])
def test_labels_too_rare_to_stratify_by_do_no_harm(counts: tuple[int, ...]) -> None:
    targets = np.arange(len(counts)).repeat(counts)
    data = Data(features=np.zeros((len(targets), 1), np.float32), targets=targets)
    dataset = Dataset(name="x", data=data, classes=len(counts), test=np.zeros(len(targets), bool))
    for held_out in (0.01, 0.3, 0.9):
        population = populate(
            dataset, IID(clients=1), held_out=held_out, standardise="none", seed=0
        )
        assert len(population.data) == len(targets)


@pytest.mark.parametrize(("rare", "stratified"), [(1, False), (2, False), (3, True)])
def test_two_labels_are_stratified_where_each_has_more_than_two_rows(
    rare: int, stratified: bool
) -> None:
    dataset = made(100, 2)
    labels = (np.arange(100) < rare).astype(np.int64)
    dataset = replace(dataset, data=replace(dataset.data, targets=labels))
    population = populate(dataset, IID(clients=1), held_out=0.3, standardise="none", seed=7)
    train, test = train_test_split(
        np.arange(100), train_size=70, random_state=7, stratify=labels if stratified else None
    )
    split = population.clients["client-000"]
    assert numbers(population, split.train) == train.tolist()
    assert numbers(population, split.test) == test.tolist()


def test_the_split_seed_alone_decides_what_is_held_out() -> None:
    def held(seed: int, split_seed: int | None) -> list[list[int]]:
        population = populate(
            made(200, 3), Natural(), held_out=0.3, standardise="none", seed=seed,
            split_seed=split_seed,
        )  # fmt: skip
        return [numbers(population, split.test) for split in population.clients.values()]

    assert held(1, 43) == held(2, 43)
    assert held(1, None) == held(3, 1)
    assert held(1, None) != held(2, None)


def test_one_row_is_kept_for_training_and_no_held_out_rows_is_an_empty_slice() -> None:
    alone = populate(made(5, 2), IID(clients=5), held_out=0.5, standardise="client", seed=0)
    assert all(split.train.stop - split.train.start == 1 for split in alone.clients.values())
    assert len(alone.data.rows(alone.pooled.test)) == 0
    assert not alone.data.features[:5].any(), "the only row is its own mean"
    all_in = populate(made(50, 2), IID(clients=5), held_out=0.0, standardise="pooled", seed=0)
    assert all_in.pooled == Split(train=slice(0, 50), test=slice(50, 50))


def moments(features: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    return features.mean(axis=0, dtype=np.float64), features.std(axis=0, ddof=1, dtype=np.float64)


def test_pooled_standardisation_uses_train_rows_only() -> None:
    dataset = made(300, 2, official=50)
    population = populate(dataset, IID(clients=3), held_out=0.2, standardise="pooled", seed=0)
    mean, std = moments(population.data.features[population.pooled.train])
    np.testing.assert_allclose(mean, 0, atol=1e-6)
    np.testing.assert_allclose(std, 1, atol=1e-6)
    assert population.data.features[population.pooled.test, 0].min() > 1.5, "the last row numbers"


def test_standardisation_by_client_uses_each_clients_train_rows_and_pools_copies() -> None:
    dataset = made(300, 2, official=50)
    population = populate(dataset, IID(clients=3), held_out=0.2, standardise="client", seed=0)
    pooled = populate(dataset, IID(clients=3), held_out=0.2, standardise="pooled", seed=0)
    for split in (*population.clients.values(), population.pooled):
        mean, std = moments(population.data.features[split.train])
        np.testing.assert_allclose(mean, 0, atol=1e-6)
        np.testing.assert_allclose(std, 1, atol=1e-6)
    for mine, theirs in (
        (population.pooled.train, pooled.pooled.train),
        (population.pooled.test, pooled.pooled.test),
    ):
        one, two = population.data.rows(mine), pooled.data.rows(theirs)
        np.testing.assert_array_equal(one.features, two.features)
        np.testing.assert_array_equal(one.targets, two.targets)


def test_a_column_constant_in_training_becomes_zero_instead_of_blowing_up() -> None:
    features = np.zeros((10, 2), np.float32)
    features[:, 1] = np.arange(10)
    features[9, 0] = 1.0  # nobody saw this in training
    data = Data(features=features, targets=np.zeros(10, np.int64))
    dataset = Dataset(name="x", data=data, classes=2, test=np.arange(10) == 9)
    population = populate(dataset, IID(clients=1), held_out=0.0, standardise="pooled", seed=0)
    assert not population.data.features[:, 0].any()


def test_pixels_are_left_alone() -> None:
    population = populate(
        digits(), Dirichlet(clients=5, alpha=1.0), held_out=0.2, standardise="pooled", seed=0
    )
    assert population.data.features.max() == 1.0
    assert population.shape == (1, 8, 8)
    assert population.classes == 10
    with pytest.raises(DataError, match="no columns to standardise"):
        populate(digits(), IID(clients=5), held_out=0.2, standardise="client", seed=0)


def test_values_that_are_not_finite_are_found_and_placed() -> None:
    for what, value in (("features", math.nan), ("targets", math.inf)):
        features, targets = np.zeros((20, 2), np.float32), np.zeros(20, np.float32)
        (features[:, 1] if what == "features" else targets)[3] = value
        data = Data(features=features, targets=targets)
        bad = Dataset(name="bad", data=data, classes=0, test=np.zeros(20, bool))
        with pytest.raises(DataError, match=f"{what} of 'bad' hold 1 values that are not finite"):
            populate(bad, IID(clients=2), held_out=0.2, standardise="pooled", seed=0)


def test_arguments_outside_their_range_are_refused_by_name() -> None:
    def ask(held_out: float = 0.2, split_seed: int = 0) -> Population:
        return populate(
            wine(), IID(clients=2), held_out=held_out, standardise="none", seed=0,
            split_seed=split_seed,
        )  # fmt: skip

    with pytest.raises(ValueError, match="Expected 0 <= held_out < 1, got 1"):
        ask(held_out=1.0)
    with pytest.raises(ValueError, match="Expected 0 <= held_out < 1, got nan"):
        ask(held_out=math.nan)
    with pytest.raises(ValueError, match="Expected standardise in"):
        populate(wine(), IID(clients=2), held_out=0.2, standardise="all", seed=0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Expected 0 <= split_seed"):
        ask(split_seed=-1)


@needs_data
def test_official_test_rows_are_the_pooled_test_rows_and_nobodys_held_out() -> None:
    dataset = adult()
    population = populate(dataset, Natural(), held_out=0.1, standardise="none", seed=0)
    assert len(population.data.rows(population.pooled.test)) == 16_281
    last = max(split.test.stop for split in population.clients.values())
    assert population.pooled.test.start == last == 32_561
    np.testing.assert_array_equal(
        population.data.features[population.pooled.test], dataset.data.features[dataset.test]
    )
