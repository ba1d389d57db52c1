"""An assessment says what the counts say, how sure that is, and nothing where there is nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
import pytest
from tacit.fairness import Assessment, Gap, assess
from tacit.fairness.tables import Attribute, Schema, Tables

SEX = Attribute(name="sex", groups=("female", "male"))
HEART = Schema(attributes=(SEX,), classes=2)
WOMEN, MEN = [[32, 9], [7, 8]], [[51, 31], [28, 88]]


def heart(women: object = WOMEN, men: object = MEN) -> dict[str, np.ndarray]:
    """Confusion tables of women and men; the scores of a guess are all alike."""
    confusion = np.array([women, men], np.float64)
    scores = np.zeros((2, 2, 50))
    scores[..., 10], scores[..., 40] = confusion[..., 0], confusion[..., 1]
    rows = confusion.sum((-2, -1))
    loss = np.stack([rows, rows / 4, rows / 8], -1)
    return {"sex/confusion": confusion, "sex/scores": scores, "sex/loss": loss}


def assessed(
    total: Tables, clients: Mapping[str, Tables] | None = None, **options: float
) -> Assessment:
    rng = np.random.default_rng(1)
    deviation = options.get("deviation", 0.0)
    floor = int(options.get("floor", 1))
    return assess(HEART, clients or {}, total, rng=rng, deviation=deviation, floor=floor)


def gap(found: Assessment, criterion: str, kind: str) -> Gap:
    (attribute,) = found.attributes
    (one,) = [g for g in attribute.gaps if (g.criterion, g.kind) == (criterion, kind)]
    return one


def test_the_gap_between_women_and_men_in_the_heart_data_and_its_interval() -> None:
    """Of other seeds, fewer than one in a million moves an end of the interval by 0.02."""
    found = gap(assessed(heart()), "equal_opportunity", "signed")
    interval = found.estimate.sampling
    assert interval is not None
    assert (found.low, found.high) == ("female", "male")
    assert found.estimate.value == pytest.approx(88 / 116 - 8 / 15)
    assert interval.low == pytest.approx(-0.05, abs=0.02)
    assert interval.high == pytest.approx(0.50, abs=0.02)


def test_an_assessment_is_written_as_json_without_a_nan() -> None:
    empty = assessed(HEART.zeros())
    for found in (assessed(heart()), empty, assessed(heart(), deviation=3.0)):
        assert json.loads(json.dumps(asdict(found), allow_nan=False))["floor"] == 1
    assert empty.overall["accuracy"].undefined == "no rows"
    assert all(g.estimate.undefined for a in empty.attributes for g in a.gaps)
