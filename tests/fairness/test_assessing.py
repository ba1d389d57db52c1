"""An assessment says what the counts say, how sure that is, and nothing where there is nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from tacit.fairness import Assessment, Gap, assess
from tacit.fairness.rate import Array
from tacit.fairness.tables import Attribute, Judged, Schema, Tables, add_tables

SEX = Attribute(name="sex", groups=("female", "male"))
HEART = Schema(attributes=(SEX,), classes=2)
HOSPITALS = {  # FedAvg of examples/heart_disease.toml, seed 42: [class][guess] of women, of men
    "cleveland": ([[19, 6], [3, 6]], [[22, 9], [8, 31]]),
    "hungarian": ([[12, 3], [2, 2]], [[22, 19], [3, 26]]),
    "switzerland": ([[0, 0], [0, 0]], [[1, 0], [5, 10]]),
    "va": ([[1, 0], [2, 0]], [[6, 3], [12, 21]]),
}
quick = settings(derandomize=True, database=None, deadline=None, max_examples=25)


def tables_of(confusion: ArrayLike, attribute: str = "sex") -> dict[str, Array]:
    """Tables with that confusion; the scores of a guess are all alike, and the losses those of errors."""
    table = np.array(confusion, np.float64)
    scores = np.zeros((len(table), 2, 50))
    scores[..., 10], scores[..., 40] = table[..., 0], table[..., 1]
    rows, wrong = table.sum((-2, -1)), table[:, 0, 1] + table[:, 1, 0]
    loss = np.stack([rows, wrong / 4, wrong / 16], -1)
    found = {"confusion": table, "scores": scores, "loss": loss}
    return {f"{attribute}/{kind}": one for kind, one in found.items()}


def hospitals() -> dict[str, dict[str, Array]]:
    return {name: tables_of(pair) for name, pair in HOSPITALS.items()}


def heart() -> dict[str, Array]:
    return add_tables(hospitals().values())


def assessed(
    total: Tables,
    clients: Mapping[str, Tables] | None = None,
    *,
    schema: Schema = HEART,
    deviation: float = 0.0,
    floor: int = 1,
    seed: int = 1,
    alone: Mapping[str, float] | None = None,
) -> Assessment:
    return assess(
        schema,
        clients or {},
        total,
        rng=np.random.default_rng(seed),
        deviation=deviation,
        floor=floor,
        alone=alone,
        draws=200,
    )


def values(found: Assessment) -> dict[str, float | None]:
    """Every number but the intervals, by what it says of whom."""
    named = {f"overall {rate}": one.value for rate, one in found.overall.items()}
    for attribute in found.attributes:
        for group in attribute.groups:
            for rate, one in group.rates.items():
                named[f"{attribute.name} {group.name} {rate}"] = one.value
        for each in attribute.gaps:
            named[f"{attribute.name} {each.criterion} {each.kind}"] = each.estimate.value
    return named


def gap(found: Assessment, criterion: str, kind: str) -> Gap:
    (attribute,) = found.attributes
    (one,) = [g for g in attribute.gaps if (g.criterion, g.kind) == (criterion, kind)]
    return one


def test_the_gap_between_women_and_men_in_the_heart_data_and_its_interval() -> None:
    """An end of it has a standard error of 0.009 over seeds; 2,000 draws bring it to 0.003."""
    whole = assess(HEART, {}, heart(), rng=np.random.default_rng(1))
    found = gap(whole, "equal_opportunity", "signed")
    interval = found.estimate.sampling
    assert interval is not None
    assert (found.low, found.high) == ("female", "male")
    assert found.estimate.value == pytest.approx(88 / 116 - 8 / 15)
    assert interval.low == pytest.approx(-0.05, abs=0.02)
    assert interval.high == pytest.approx(0.50, abs=0.02)


def test_the_gap_over_all_rows_is_not_the_mean_of_those_within_clients() -> None:
    (attribute,) = assessed(heart(), hospitals()).attributes
    (local,) = [each for each in attribute.local if each.criterion == "equal_opportunity"]
    assert local.clients == pytest.approx(
        {"cleveland": 0.128, "hungarian": 0.397, "va": 0.636}, abs=5e-4
    )
    assert local.undefined == {
        "switzerland": "fewer than two groups to compare: female (recall: no rows)"
    }
    assert local.worst_client == "va"
    assert local.worst == pytest.approx(21 / 33)
    assert local.mean == pytest.approx(0.387, abs=5e-4)
    assert local.overall == pytest.approx(0.225, abs=5e-4)


def test_a_difference_of_extremes_is_too_wide_and_says_so() -> None:
    """Eight groups of one rate: what is estimated is 0, and what other rows would show is not."""
    groups = tuple(str(n) for n in range(8))
    schema = Schema(attributes=(Attribute(name="g", groups=groups),), classes=2)
    found = assessed(tables_of([[[10, 10], [10, 10]]] * 8, "g"), schema=schema)
    wide = gap(found, "equal_opportunity", "difference")
    assert wide.estimate.value == 0
    assert wide.bias is not None
    assert wide.bias > 0.2
    assert wide.bias == getattr(wide.estimate.sampling, "median", None)


def test_one_row_has_a_mean_loss_and_no_interval_of_it() -> None:
    women = assessed(tables_of([[[1, 0], [0, 0]], [[5, 2], [1, 4]]])).attributes[0].groups[0]
    assert women.rates["loss"].value == 0
    assert women.rates["loss"].sampling is None


def test_groups_below_the_floor_are_named_and_in_no_gap() -> None:
    found = gap(assessed(heart(), floor=16), "equal_opportunity", "difference")
    assert found.withheld == {"female": "recall: fewer than 16 rows"}
    assert found.estimate.value is None
    assert found.estimate.undefined == (
        "fewer than two groups to compare: female (recall: fewer than 16 rows)"
    )
    assert (found.low, found.high, found.bias) == (None, None, None)
    assert found.rows == {"male": 116}
    odds = gap(assessed(heart(), floor=16), "equalised_odds", "difference")
    assert odds.estimate.undefined == found.estimate.undefined, "it wants both rates"


def test_a_ratio_of_rates_that_are_all_zero_is_undefined() -> None:
    found = assessed(tables_of([[[5, 0], [5, 0]], [[5, 0], [5, 0]]]))
    assert gap(found, "demographic_parity", "difference").estimate.value == 0
    undefined = gap(found, "demographic_parity", "ratio").estimate
    assert (undefined.value, undefined.undefined) == (None, "every group has a rate of 0")


def test_noise_widens_what_is_shown_and_hides_small_groups() -> None:
    rng = np.random.default_rng(3)
    noisy = {name: table + rng.normal(0, 4, table.shape) for name, table in heart().items()}
    found = gap(assessed(noisy, deviation=4.0), "demographic_parity", "signed").estimate
    assert found.sampling is not None
    assert found.noise is not None
    assert found.both is not None
    assert found.interval == found.both
    assert found.both.high - found.both.low > found.sampling.high - found.sampling.low
    hidden = gap(assessed(noisy, deviation=9.0), "equal_opportunity", "difference")
    assert hidden.withheld["female"] == "recall: fewer than 26 rows", "a sum of two cells"


def test_groups_without_rows_add_no_rows_and_no_errors_to_everyone() -> None:
    """A mean over 40 draws of noise whose deviation is known, within 4.9 of its standard errors: a
    correct program fails this about once in a million seeds.
    """
    groups = tuple(str(n) for n in range(64))
    schema = Schema(attributes=(Attribute(name="g", groups=groups),), classes=2, bins=2)
    table = np.zeros((64, 2, 2))
    table[:4] = [[450, 50], [48, 452]]
    exact = tables_of(table, "g")
    exact["g/scores"] = table
    rng, rows, accuracies = np.random.default_rng(8), [], []
    for _ in range(40):
        noisy = {name: one + rng.normal(0, 10, one.shape) for name, one in exact.items()}
        found = assess(schema, {}, noisy, rng=rng, deviation=10.0, draws=2)
        rows.append(found.rows)
        accuracies.append(found.overall["accuracy"].value or 0.0)
    assert np.mean(rows) == pytest.approx(4000, abs=4.9 * 80 / np.sqrt(40))
    error = np.hypot(80, 80) / 4000
    assert np.mean(accuracies) == pytest.approx(0.902, abs=4.9 * error / np.sqrt(40))


def test_everyone_needs_twice_the_noise_of_the_sum_over_groups() -> None:
    """131 rows are ill: enough for the noise on one count, or on two, and not for that on four."""
    found = assessed(heart(), deviation=34.0).overall
    assert found["accuracy"].value is not None
    assert found["recall"].rows == pytest.approx(131)
    assert found["recall"].undefined == "fewer than 136 rows"


def test_a_reliability_curve_has_no_bins_below_the_floor() -> None:
    for floor, bins in ((1, 2), (18, 1)):
        women = assessed(heart(), floor=floor).attributes[0].groups[0]
        assert len(women.reliability) == bins
        assert all(one.rows >= floor for one in women.reliability)


def test_clients_have_one_vote_each_and_gain_or_lose() -> None:
    found = assessed(heart(), hospitals(), alone={"cleveland": 0.7, "va": 0.75}).clients
    assert found is not None
    assert found.clients["va"] == pytest.approx(28 / 45)
    assert found.worst_client == "va"
    assert found.evenness.worst == pytest.approx(28 / 45)
    assert found.evenness.mean == pytest.approx(np.mean(list(found.clients.values())))
    assert found.gain == pytest.approx({"cleveland": 0.05, "va": 28 / 45 - 0.75})
    assert (found.harmed, found.worst_gain) == (1, found.gain["va"])
    assert assessed(heart()).clients is None


counts = st.lists(st.integers(0, 12), min_size=12, max_size=12).map(
    lambda cells: np.array(cells, np.float64).reshape(3, 2, 2)
)
THREE = Attribute(name="g", groups=("a", "b", "c"))


@quick
@given(st.lists(counts, min_size=1, max_size=4))
def test_merging_first_changes_nothing(clients: list[Array]) -> None:
    schema = Schema(attributes=(THREE,), classes=2)
    tables = {str(k): tables_of(one, "g") for k, one in enumerate(clients)}
    merged = assessed(tables_of(np.sum(clients, axis=0), "g"), schema=schema)
    added = assessed(add_tables(tables.values()), tables, schema=schema, seed=2)
    assert values(merged) == values(added)


@quick
@given(counts, st.permutations([0, 1, 2]))
def test_the_order_of_groups_changes_nothing_but_the_sign(table: Array, order: list[int]) -> None:
    names = Attribute(name="g", groups=tuple(THREE.groups[n] for n in order))
    one = values(assessed(tables_of(table, "g"), schema=Schema(attributes=(THREE,), classes=2)))
    other = values(
        assessed(tables_of(table[order], "g"), schema=Schema(attributes=(names,), classes=2))
    )
    assert one.keys() == other.keys()
    for name, value in one.items():
        signed = name.endswith("signed")
        theirs = other[name]
        if value is None or theirs is None:
            assert value is theirs, name
        else:
            same = pytest.approx(abs(value) if signed else value, abs=1e-12)
            assert (abs(theirs) if signed else theirs) == same, name


@quick
@given(counts)
def test_a_group_without_rows_changes_nothing(table: Array) -> None:
    more = Attribute(name="g", groups=(*THREE.groups, "nobody"))
    wider = np.concatenate([table, np.zeros((1, 2, 2))])
    one = values(assessed(tables_of(table, "g"), schema=Schema(attributes=(THREE,), classes=2)))
    other = assessed(tables_of(wider, "g"), schema=Schema(attributes=(more,), classes=2))
    named = {name: value for name, value in values(other).items() if " nobody " not in name}
    assert named == one
    for each in other.attributes[0].gaps:
        assert "nobody" in each.withheld
        assert "nobody" not in each.rows


SCHEMAS = [
    HEART,
    Schema(attributes=(SEX,), classes=3, metrics=("top2",)),
    Schema(attributes=(SEX,), classes=0, scale=4.0),
    Schema(attributes=(SEX,), classes=None),
    Schema(attributes=(SEX,), classes=None, survival=True),
    Schema(classes=2),
]


@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("rows", [0, 1, 30])
def test_an_assessment_is_written_as_json_without_a_nan(schema: Schema, rows: int) -> None:
    clients = {str(k): counted(schema, rows, k) for k in range(3)}
    total = add_tables(clients.values())
    alone = {"0": 0.5}
    for found in (
        assessed(total, clients, schema=schema, alone=alone),
        assessed(total, schema=schema, deviation=1.0),
    ):
        written = json.loads(json.dumps(asdict(found), allow_nan=False))
        assert written["attributes"][0]["name"] == schema.attributes[0].name
        if not rows and not found.deviation:
            assert all(one.undefined == "no rows" for one in found.overall.values())
            assert all(each.estimate.undefined for each in found.attributes[0].gaps)
            assert found.clients is None


def counted(schema: Schema, rows: int, seed: int) -> dict[str, Array]:
    rng, kinds = np.random.default_rng(seed), schema.classes
    followed = np.stack([rng.random(rows), rng.integers(0, 2, rows)], 1)
    numbers = followed if schema.survival else rng.normal(0, 3, rows)
    judged = Judged(
        targets=rng.integers(0, kinds, rows) if kinds else numbers,
        guesses=rng.integers(0, kinds, rows) if kinds else rng.normal(0, 3, rows),
        scores=rng.random(rows),
        losses=rng.exponential(1, rows),
        groups={"sex": rng.integers(0, 2, rows)},
        metrics={name: rng.random(rows) for name in schema.metrics},
    )
    return schema.count(judged)
