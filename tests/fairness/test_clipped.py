"""What DP-SGD clips, by group: a share with its error bars, and a gap like any other."""

from __future__ import annotations

import numpy as np
import pytest
from tacit.fairness import Assessment, assess
from tacit.fairness.measures import of_attribute
from tacit.fairness.noise import settle
from tacit.fairness.tables import Attribute, Schema, Tables

AGE = Attribute(name="age", groups=("young", "old", "unknown"))
SCHEMA = Schema(attributes=(AGE,), classes=2, clipping=True)


def tables(clipped: list[list[float]]) -> dict[str, np.ndarray]:
    """Rows and clipped rows of each group, whose losses are all 4; nothing is held out."""
    found = np.array(clipped)
    rows = found[:, 0]
    losses = np.stack([rows, rows / 4, rows / 16], -1)
    return {**SCHEMA.zeros(), "age/clipped": found, "age/fit_loss": losses}


def assessed(total: Tables, deviation: float = 0.0) -> Assessment:
    return assess(SCHEMA, {}, total, rng=np.random.default_rng(1), deviation=deviation, floor=5)


def test_the_share_is_of_train_rows_though_none_are_held_out() -> None:
    young, old, unknown = assessed(tables([[400, 100], [50, 40], [0, 0]])).attributes[0].groups
    assert young.rates["clipped_share"].value == pytest.approx(0.25)
    assert young.rates["clipped_share"].rows == 400
    assert young.rates["fit_loss"].value == pytest.approx(4.0)
    assert young.rates["accuracy"].undefined == "no rows"
    assert old.rates["clipped_share"].value == pytest.approx(0.8)
    assert unknown.rates["clipped_share"].undefined == "no rows"


def test_clipped_parity_is_the_gap_of_the_shares_with_an_interval() -> None:
    gaps = assessed(tables([[400, 100], [50, 40], [0, 0]])).attributes[0].gaps
    (gap,) = [g for g in gaps if (g.criterion, g.kind) == ("clipped_parity", "difference")]
    assert (gap.low, gap.high) == ("young", "old")
    assert gap.estimate.value == pytest.approx(0.55)
    assert set(gap.withheld) == {"unknown"}
    assert gap.estimate.sampling is not None
    error = np.sqrt(0.25 * 0.75 / 400 + 0.8 * 0.2 / 50)
    assert gap.estimate.sampling.low == pytest.approx(0.55 - 1.96 * error, abs=0.02)
    assert gap.estimate.sampling.high == pytest.approx(0.55 + 1.96 * error, abs=0.02)


def test_without_the_tables_there_is_neither_the_share_nor_the_gap() -> None:
    plain = Schema(attributes=(AGE,), classes=2)
    (found,) = assess(plain, {}, plain.zeros(), rng=np.random.default_rng(1)).attributes
    assert "clipped_share" not in found.groups[0].rates
    assert not [gap for gap in found.gaps if gap.criterion == "clipped_parity"]


def test_noise_on_few_held_out_rows_does_not_move_the_train_rows() -> None:
    """Each kind of rows has a number of its own: 1000 train rows are not averaged with none."""
    rng = np.random.default_rng(2)
    noised = {
        name: table + 3 * rng.standard_normal(table.shape)
        for name, table in tables([[1000, 700], [100, 0], [20, 20]]).items()
    }
    found = settle(of_attribute(noised, "age"))
    assert np.all(found["loss"][:, 0] < 10)
    assert found["clipped"][:, 0] == pytest.approx([1000, 100, 20], abs=12)
    assert np.array_equal(found["clipped"][:, 0], found["fit_loss"][:, 0])
    assert np.all(
        (found["clipped"][:, 1] >= 0) & (found["clipped"][:, 1] <= found["clipped"][:, 0])
    )
    share = assessed(noised, deviation=3.0).attributes[0].groups[0].rates["clipped_share"]
    assert share.noise is not None
    assert share.noise.low < 0.7 < share.noise.high
