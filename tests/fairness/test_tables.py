"""Tables are exact, add up, and move by no more than their sensitivity when a row comes or goes."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tacit.fairness.tables import TRAINED, Attribute, Judged, Schema, Tables, Trained, schema_from

SEX = Attribute(name="sex", groups=("female", "male", "unknown"))
RACE = Attribute(name="race", groups=("a", "b"))
SCHEMAS = (
    Schema(attributes=(SEX, RACE), classes=2, metrics=("top5",)),
    Schema(attributes=(SEX,), classes=4, bins=7),
    Schema(attributes=(RACE,), classes=0, scale=2.0),
    Schema(attributes=(SEX, RACE), classes=2, clipping=True),
    Schema(attributes=(SEX,), classes=None, most=2.0, clipping=True),
)


def judged(schema: Schema, rows: int, seed: int) -> Judged:
    rng = np.random.default_rng(seed)
    classes = schema.classes
    return Judged(
        targets=rng.integers(0, classes, rows) if classes else rng.normal(0, 3, rows),
        guesses=rng.integers(0, classes, rows) if classes else rng.normal(0, 3, rows),
        scores=rng.random(rows),
        losses=rng.exponential(5, rows),
        groups={a.name: rng.integers(0, len(a.groups), rows) for a in schema.attributes},
        metrics={name: rng.random(rows) for name in schema.metrics},
    )


def part(whole: Judged, chosen: slice) -> Judged:
    return Judged(
        targets=whole.targets[chosen],
        guesses=whole.guesses[chosen],
        scores=whole.scores[chosen],
        losses=whole.losses[chosen],
        groups={name: codes[chosen] for name, codes in whole.groups.items()},
        metrics={name: values[chosen] for name, values in whole.metrics.items()},
    )


def trained(schema: Schema, rows: int, seed: int) -> Trained:
    rng = np.random.default_rng(seed)
    return Trained(
        losses=rng.exponential(5, rows),
        clipped=rng.random(rows) < 0.7,
        groups={a.name: rng.integers(0, len(a.groups), rows) for a in schema.attributes},
    )


def rest(whole: Trained) -> Trained:
    groups = {name: codes[1:] for name, codes in whole.groups.items()}
    return Trained(losses=whole.losses[1:], clipped=whole.clipped[1:], groups=groups)


def counted(schema: Schema, held_out: Judged, fitted: Trained) -> Tables:
    """As a client counts them: the tables of both kinds of rows."""
    of_training = schema.count_trained(fitted) if schema.clipping else {}
    return {**schema.count(held_out), **of_training}


def distance(one: Tables, other: Tables) -> float:
    return float(np.sqrt(sum(np.sum((one[name] - other[name]) ** 2) for name in one)))


@given(st.sampled_from(SCHEMAS), st.integers(0, 60), st.integers(0, 60), st.integers(0, 999))
def test_the_tables_of_a_union_are_the_sum_of_the_tables_to_the_last_bit(
    schema: Schema, rows: int, cut: int, seed: int
) -> None:
    whole = judged(schema, rows, seed)
    first, rest = (schema.count(part(whole, s)) for s in (slice(cut), slice(cut, None)))
    for name, table in schema.count(whole).items():
        assert np.array_equal(table, first[name] + rest[name])


@given(st.sampled_from(SCHEMAS), st.integers(1, 30), st.integers(0, 999))
def test_one_row_moves_all_tables_together_by_at_most_the_sensitivity(
    schema: Schema, rows: int, seed: int
) -> None:
    """Whether it is held out or trained on: it never is both."""
    whole, fitted = judged(schema, rows, seed), trained(schema, rows, seed + 1)
    more = counted(schema, whole, fitted)
    for less in (
        counted(schema, part(whole, slice(1, None)), fitted),
        counted(schema, whole, rest(fitted)),
    ):
        assert distance(more, less) <= schema.sensitivity * (1 + 1e-3)


@pytest.mark.parametrize("schema", [s for s in SCHEMAS if s.clipping])
def test_a_clipped_row_of_the_largest_loss_moves_them_by_what_is_said_of_train_rows(
    schema: Schema,
) -> None:
    """The sensitivity is the larger of what the two kinds can do, and neither more nor their sum."""
    nothing = trained(schema, 0, 0)
    one = Trained(
        losses=np.array([1e9]),
        clipped=np.array([True]),
        groups={a.name: np.zeros(1, np.int64) for a in schema.attributes},
    )
    moved = distance(schema.count_trained(one), schema.count_trained(nothing))
    assert moved == pytest.approx(np.sqrt(5 * len(schema.attributes)))
    assert schema.sensitivity == pytest.approx(moved)  # held-out rows move as much, or less


@given(st.integers(0, 40), st.integers(0, 999))
def test_the_clipped_rows_of_a_union_are_those_of_its_parts(cut: int, seed: int) -> None:
    schema = Schema(attributes=(RACE,), classes=2, clipping=True)
    whole = trained(schema, 40, seed)
    parts = [
        Trained(
            losses=whole.losses[s],
            clipped=whole.clipped[s],
            groups={name: codes[s] for name, codes in whole.groups.items()},
        )
        for s in (slice(cut), slice(cut, None))
    ]
    first, last = (schema.count_trained(each) for each in parts)
    for name, table in schema.count_trained(whole).items():
        assert np.array_equal(table, first[name] + last[name])


@pytest.mark.parametrize("schema", SCHEMAS)
def test_no_rows_count_zero_in_every_group(schema: Schema) -> None:
    found, zeros = counted(schema, judged(schema, 0, 0), trained(schema, 0, 0)), schema.zeros()
    assert sorted(found) == sorted(zeros)
    assert all(np.array_equal(found[name], zeros[name]) for name in zeros)
    told = {name.partition("/")[2] for name in zeros}
    assert told.issuperset(TRAINED) == schema.clipping


def test_a_group_that_is_absent_leaves_the_others_where_they_are() -> None:
    schema = Schema(attributes=(SEX,), classes=2)
    ones = np.ones(4, np.int64)
    found = schema.count(
        Judged(targets=ones, guesses=ones, scores=ones, losses=ones, groups={"sex": ones})
    )
    assert found["sex/confusion"][:, 1, 1].tolist() == [0.0, 4.0, 0.0]


@pytest.mark.parametrize("code", [-1, 3])
def test_a_code_outside_the_vocabulary_is_refused(code: int) -> None:
    schema, ones = Schema(attributes=(SEX,), classes=2), np.ones(1, np.int64)
    odd = Judged(targets=ones, guesses=ones, scores=ones, losses=ones, groups={"sex": ones * code})
    with pytest.raises(ValueError, match=r"code|array"):
        schema.count(odd)
    fitted = Trained(losses=ones, clipped=ones > 0, groups={"sex": ones * code})
    with pytest.raises(ValueError, match="code"):
        schema.count_trained(fitted)


def test_what_is_not_a_number_counts_as_the_worst_loss() -> None:
    schema, zeros = Schema(classes=2), np.zeros(1, np.int64)
    nan = np.array([np.nan])
    found = schema.count(Judged(targets=zeros, guesses=zeros, scores=nan, losses=nan))
    assert found["everyone/loss"].tolist() == [[1.0, 1.0, 1.0]]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_schema_survives_json(schema: Schema) -> None:
    assert schema_from(json.loads(json.dumps(asdict(schema)))) == schema


def test_a_guess_that_is_not_a_number_counts_as_the_worst_error() -> None:
    """One row that a model diverged on moves the tables by no more than any other."""
    schema, zeros = Schema(classes=0, scale=2.0), np.zeros(2)
    found = schema.count(
        Judged(targets=zeros, guesses=np.array([np.nan, 0]), scores=zeros, losses=zeros)
    )
    assert found["everyone/errors"].tolist() == [[2.0, 1.0, 1.0, 1.0, 0.0, 0.0]]


def test_one_row_of_survival_can_move_any_number_of_pairs() -> None:
    assert Schema(classes=None, survival=True).sensitivity == np.inf
    with pytest.raises(ValueError, match="no classes"):
        Schema(classes=2, survival=True)


def test_a_name_with_a_slash_is_refused() -> None:
    """The tables of `a` and of `a/b` could not be told apart."""
    with pytest.raises(ValueError, match="without a slash"):
        Schema(attributes=(Attribute(name="a/b", groups=("x",)),), classes=2)
    with pytest.raises(ValueError, match="without a slash"):
        Schema(classes=2, metrics=("top/5",))
