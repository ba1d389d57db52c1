"""Rates of confusion tables are those that scikit-learn and Fairlearn find from the rows."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import (
    MetricFrame,
    false_positive_rate,
    selection_rate,
    true_positive_rate,
)
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score
from tacit.fairness.confusion import binary_rates, class_rates
from tacit.fairness.gaps import Criterion, Kind, comparable, criteria, gap
from tacit.fairness.rate import Array, Floor
from tacit.fairness.tables import Attribute, Judged, Schema

TABLES, GROUPS = 200, 4
ORACLES = {
    "accuracy": accuracy_score,
    "false_positive_rate": false_positive_rate,
    "precision": functools.partial(precision_score, zero_division=0),
    "recall": true_positive_rate,
    "selection_rate": selection_rate,
}
SCHEMA = Schema(
    attributes=(Attribute(name="g", groups=tuple(str(g) for g in range(GROUPS))),), classes=2
)


class Rows(NamedTuple):
    """Rows of many tables: which table, group, class, guess."""

    table: Any
    group: Any
    target: Any
    guess: Any

    def of(self, chosen: NDArray[np.bool_]) -> Rows:
        return Rows(*(column[chosen] for column in self))


def some_rows(seed: int = 5) -> Rows:
    """Of each table 2 to 60 rows, in some of four groups, each with rates of its own."""
    rng = np.random.default_rng(seed)
    found = []
    for table in range(TABLES):
        rows = rng.integers(2, 61)
        group = rng.choice(rng.permutation(GROUPS)[: rng.integers(1, GROUPS + 1)], rows)
        target = (rng.random(rows) < rng.random(GROUPS)[group]).astype(int)
        guess = (rng.random(rows) < rng.random((GROUPS, 2))[group, target]).astype(int)
        found.append(Rows(np.full(rows, table), group, target, guess))
    return Rows(*(np.concatenate(column) for column in zip(*found, strict=True)))


@functools.cache
def rows() -> Rows:
    return some_rows()


@functools.cache
def confusions() -> Array:
    """The tables of all rows as clients count them: (TABLES, GROUPS, 2, 2)."""
    return np.stack([counted(rows().of(rows().table == table)) for table in range(TABLES)])


def counted(some: Rows) -> Array:
    nothing = np.zeros(len(some.group))
    judged = Judged(
        targets=some.target,
        guesses=some.guess,
        scores=nothing,
        losses=nothing,
        groups={"g": some.group},
    )
    return SCHEMA.count(judged)["g/confusion"]


@functools.cache
def fairlearn() -> MetricFrame:
    """Tables are its control feature, so that one call does for all."""
    some = rows()
    return MetricFrame(
        metrics=ORACLES,
        y_true=some.target,
        y_pred=some.guess,
        control_features=pd.Series(some.table, name="table"),
        sensitive_features=pd.Series(some.group, name="group"),
    )


def test_200_random_tables_have_the_rates_that_fairlearn_and_scikit_learn_find() -> None:
    """A rate over no rows is NaN here; Fairlearn says 0 or NaN."""
    found, index = (
        binary_rates(confusions()),
        pd.MultiIndex.from_product([range(TABLES), range(GROUPS)]),
    )
    undefined = 0
    for name in ORACLES:
        theirs = fairlearn().by_group[name].reindex(index).to_numpy(float).reshape(TABLES, GROUPS)
        ours, defined = found[name].value, found[name].rows > 0
        np.testing.assert_allclose(ours[defined], theirs[defined], rtol=0, atol=1e-12)
        assert np.isnan(ours[~defined]).all()
        undefined += int((~defined).sum())
    assert undefined > TABLES  # absent groups, and groups without positives, are among them


PAIRED = {
    "accuracy_parity": ["accuracy"],
    "demographic_parity": ["selection_rate"],
    "equal_opportunity": ["recall"],
    "equalised_odds": ["recall", "false_positive_rate"],
    "predictive_parity": ["precision"],
}


@pytest.mark.parametrize("name", PAIRED)
def test_200_random_tables_have_the_gaps_that_fairlearn_finds(name: str) -> None:
    """But where a group with rows has no positives, say: there Fairlearn takes its rate for 0.

    A rate that is 0 in all groups has no ratio; the ratio of equalised odds is then that of the other.
    """
    rates = binary_rates(confusions())
    (criterion,) = [each for each in criteria(SCHEMA) if each.name == name]
    values = {rate: found.value for rate, found in rates.items()}
    chosen = comparable(criterion, rates, Floor())
    plain = (chosen[:, 0] == (rates["accuracy"].rows > 0)).all(-1)
    undefined = chosen[:, 0].sum(-1) < 2
    for kind, of_each, worst in (
        (Kind.DIFFERENCE, fairlearn().difference(), np.fmax),
        (Kind.RATIO, fairlearn().ratio(), np.fmin),
    ):
        wanted = worst.reduce(of_each[PAIRED[name]].to_numpy(float), axis=1)
        ours = gap(criterion, kind, values, chosen)
        told = plain & ~undefined
        np.testing.assert_allclose(ours[told], wanted[told], rtol=0, atol=1e-12)
        assert np.isnan(ours[undefined]).all()
        assert told.sum() > 40 < undefined.sum()


def test_a_group_that_is_absent_does_not_take_the_place_of_another() -> None:
    """torchmetrics 1.9 books group 1 as group 0 where a batch has no row of group 0."""
    ones = np.ones(4, np.int64)
    rates = binary_rates(counted(Rows(ones, ones, ones, ones)))
    assert rates["recall"].value[1] == 1
    assert np.isnan(rates["recall"].value[[0, 2, 3]]).all()
    assert rates["recall"].rows.tolist() == [0, 4, 0, 0]


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_the_rates_of_many_classes_are_those_of_scikit_learn(classes: int) -> None:
    """Also of classes that no row has, or that are never guessed."""
    rng = np.random.default_rng(classes)
    for rows_ in (3, 9, 60):
        target, guess = rng.integers(0, classes, (2, rows_))
        table = np.zeros((classes, classes))
        np.add.at(table, (target, guess), 1)
        found = class_rates(table)
        labels = {"labels": range(classes), "zero_division": np.nan}
        assert found["accuracy"].value == accuracy_score(target, guess)
        for name, of_rows in (
            ("precision", precision_score),
            ("recall", recall_score),
            ("f1", f1_score),
        ):
            each = of_rows(target, guess, average=None, **labels)
            ours = [found[f"{name}.{label}"].value for label in range(classes)]
            np.testing.assert_allclose(ours, each, rtol=0, atol=1e-12)
            macro = of_rows(target, guess, average="macro", **labels)
            assert found[f"{name}_macro"].value == pytest.approx(macro, abs=1e-12)
            micro = of_rows(target, guess, average="micro", **labels)
            assert found["accuracy"].value == pytest.approx(micro, abs=1e-12)


def test_the_gap_of_many_classes_is_that_of_the_class_for_which_it_is_widest() -> None:
    """By hand: groups differ by 0.5 in the recall of class 2, and by less in the others."""
    one = [[4, 0, 0], [0, 4, 0], [0, 0, 4]]
    other = [[3, 1, 0], [0, 4, 0], [2, 0, 2]]
    rates = class_rates(np.array([one, other], np.float64))
    recall = Criterion(
        name="equal_opportunity", rates=(("recall.0",), ("recall.1",), ("recall.2",))
    )
    values = {name: rate.value for name, rate in rates.items()}
    chosen = comparable(recall, rates, Floor())
    assert gap(recall, Kind.DIFFERENCE, values, chosen) == 0.5
    assert gap(recall, Kind.RATIO, values, chosen) == 0.5
