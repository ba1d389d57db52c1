"""Tables are exact, add up, and move by no more than their sensitivity when a row comes or goes."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tacit.fairness.tables import Attribute, Judged, Schema, schema_from

SEX = Attribute(name="sex", groups=("female", "male", "unknown"))
RACE = Attribute(name="race", groups=("a", "b"))
SCHEMAS = (
    Schema(attributes=(SEX, RACE), classes=2, metrics=("top5",)),
    Schema(attributes=(SEX,), classes=4, bins=7),
    Schema(attributes=(RACE,), classes=0, scale=2.0),
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
    whole = judged(schema, rows, seed)
    more, less = schema.count(whole), schema.count(part(whole, slice(1, None)))
    moved = sum(float(np.sum((more[name] - less[name]) ** 2)) for name in more)
    assert moved <= schema.sensitivity**2 * (1 + 1e-3)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_no_rows_count_zero_in_every_group(schema: Schema) -> None:
    counted, zeros = schema.count(judged(schema, 0, 0)), schema.zeros()
    assert list(counted) == sorted(zeros)
    assert all(np.array_equal(counted[name], zeros[name]) for name in zeros)


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
