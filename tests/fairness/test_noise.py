"""Tables with noise on them are settled: the closest that rows can have, and rates that are rates."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tacit.fairness.measures import measure, of_attribute
from tacit.fairness.noise import audible, settle
from tacit.fairness.tables import Attribute, Judged, Schema

quick = settings(derandomize=True, database=None, deadline=None, max_examples=60)
SEX = Attribute(name="sex", groups=("female", "male", "unknown"))
SCHEMAS = (
    Schema(attributes=(SEX,), classes=2, metrics=("top5",), bins=8),
    Schema(attributes=(SEX,), classes=4, bins=8),
    Schema(attributes=(SEX,), classes=0, scale=2.0),
    Schema(attributes=(SEX,), classes=None),
    Schema(attributes=(SEX,), classes=None, survival=True),
)


def tables_of(schema: Schema, rows: int, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    kinds = schema.classes
    followed = np.stack([rng.random(rows), rng.integers(0, 2, rows)], 1)
    numbers = followed if schema.survival else rng.normal(0, 3, rows)
    judged = Judged(
        targets=rng.integers(0, kinds, rows) if kinds else numbers,
        guesses=rng.integers(0, kinds, rows) if kinds else rng.normal(0, 3, rows),
        scores=rng.random(rows),
        losses=rng.exponential(5, rows),
        groups={"sex": rng.integers(0, 2, rows)},
        metrics={name: rng.random(rows) for name in schema.metrics},
    )
    return of_attribute(schema.count(judged), "sex")


@quick
@given(st.sampled_from(SCHEMAS), st.integers(0, 50), st.integers(0, 999))
def test_tables_of_rows_stay_as_they_are(schema: Schema, rows: int, seed: int) -> None:
    tables = tables_of(schema, rows, seed)
    for name, table in settle(tables).items():
        np.testing.assert_allclose(table, tables[name], atol=rows * 2.0**-24)


@quick
@given(st.sampled_from(SCHEMAS), st.floats(0.1, 100), st.integers(0, 999))
def test_rates_stay_within_their_bounds_whatever_the_noise(
    schema: Schema, deviation: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    tables = {
        name: table + deviation * rng.standard_normal(table.shape)
        for name, table in tables_of(schema, 30, seed).items()
    }
    settled = settle(tables)
    for name, rate in measure(schema, settled).items():
        there = rate.value[~np.isnan(rate.value)]
        assert np.isfinite(there).all()
        assert (there >= rate.bounds[0] - 1e-9).all(), name
        assert (there <= rate.bounds[1] + 1e-9).all(), name
        assert (rate.rows >= 0).all()
    for name, table in settle(settled).items():
        np.testing.assert_allclose(table, settled[name], atol=1e-6)


def test_the_mean_of_what_is_regressed_keeps_its_size_and_its_sign_under_noise() -> None:
    schema = Schema(classes=0, scale=100.0)
    rows = {"everyone/errors": np.array([[200.0, 0.0, 9.0, 4.0, -120.0, 90.0]])}
    loss = {"everyone/loss": np.array([[200.0, 60.0, 30.0]])}
    found = audible(schema, rows | loss, deviation=1.0)
    assert found["target"] == -12_000.0
    assert found["target_squared"] == 900_000.0
    assert found["loss"] == 60.0 * schema.most
