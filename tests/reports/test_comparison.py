"""Runs side by side: a difference is that of the same clients on the same rows, or it says why not."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tacit.fairness import Attribute, Judged, Schema
from tacit.fairness.intervals import intervals
from tacit.reports.coins import coins
from tacit.reports.comparison import Difference, compare, difference
from tacit.reports.readings import (
    ALL_ROWS,
    MEAN,
    WORST,
    WORST_TENTH,
    Measure,
    Reading,
    anew,
    last,
    over_clients,
    readings,
)
from tacit.reports.records import Records, read
from tacit.server.store import Store
from tacit.simulations.config import make_config
from tacit.simulations.description import to_json
from tacit.simulations.run import simulate
from tacit.simulations.run_folder import RunFolder

ROWS = Measure("accuracy", ALL_ROWS)
SEX = Schema(attributes=(Attribute(name="sex", groups=("f", "m", "x")),), classes=2)
BASE = {
    "rounds": 2,
    "data": {"name": "wine"},
    "partition": {"kind": "iid", "clients": 4},
    "run": {"workers": 0},
}
CHANGES: dict[str, dict[str, object]] = {
    "plain": {},
    "slow": {"train": {"learning_rate": 0.001}},
    "private": {
        "mechanism": {"kind": "gaussian", "clip": 1.0, "noise_multiplier": 2.0},
        "budget": {"epsilon": 20.0, "ledger": "run"},
    },
    "elsewhere": {"seed": 1},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Records]:
    """Four runs of two rounds; the last one deals the rows out to clients in another way."""
    place = tmp_path_factory.mktemp("runs")
    for name, changes in CHANGES.items():
        simulate(make_config({**BASE, **changes}), folder=place / name)
    return {name: read(RunFolder(place / name)) for name in CHANGES}


def grouped(records: Records, place: Path, seed: int) -> Records:
    """The run as if sex had been declared and counted; nobody in it is of group x."""
    folder = place / f"{records.folder.name}-{seed}"
    shutil.copytree(records.folder, folder)
    rng, evaluated = np.random.default_rng(seed), last(records)
    assert evaluated is not None
    assert records.population is not None
    tables = {name: SEX.count(some_rows(rng)) for name in evaluated.clients}
    total = {name: np.sum([own[name] for own in tables.values()], 0) for name in SEX.zeros()}
    with closing(Store(folder)) as store:
        store.measure(replace(evaluated, tables=tables, total=total))
    RunFolder(folder).population.write_text(to_json(replace(records.population, schema=SEX)))
    return read(RunFolder(folder))


def some_rows(rng: np.random.Generator) -> Judged:
    return Judged(
        targets=rng.integers(0, 2, 40),
        guesses=rng.integers(0, 2, 40),
        scores=rng.random(40),
        losses=rng.random(40),
        groups={"sex": rng.integers(0, 2, 40)},
    )


def test_equal_runs_differ_by_nothing(runs: dict[str, Records], tmp_path: Path) -> None:
    one = grouped(runs["plain"], tmp_path, 1)
    found = compare([one, one])
    for row in found.rows:
        there = row.differences[1]
        if there is not None:
            assert there.value == 0.0, row.measure
            assert (there.low, there.high) in ((0.0, 0.0), (None, None)), row.measure
    assert found.settings == ()
    assert not found.sides[1].cost


def test_the_difference_is_that_of_the_same_clients_drawn_anew(runs: dict[str, Records]) -> None:
    one, two = runs["plain"], runs["slow"]
    found = {row.measure: row for row in compare([one, two]).rows}
    assert one.population is not None
    rng = coins(one.population.digest, "clients")
    drawn = []
    for times in rng.multinomial(4, np.full(4, 0.25), size=2000):
        rate = [accuracy_of(records, times) for records in (one, two)]
        drawn.append(rate[1] - rate[0])
    bar = intervals(np.array(drawn)[:, np.newaxis])[0]
    there = found[ROWS].differences[1]
    assert bar is not None
    assert there is not None
    assert there.low == pytest.approx(bar.low)
    assert there.high == pytest.approx(bar.high)
    first, other = found[ROWS].readings
    assert first is not None
    assert other is not None
    assert there.value == (other.value or 0.0) - (first.value or 0.0)


def accuracy_of(records: Records, times: Sequence[int]) -> float:
    """Over all rows of clients that are there so often: a ratio of sums."""
    evaluated = last(records)
    assert evaluated is not None
    counts = [evaluated.clients[name] for name in sorted(evaluated.clients)]
    right = sum(n * own["correct"] for n, own in zip(times, counts, strict=True))
    rows = sum(n * own["examples"] for n, own in zip(times, counts, strict=True))
    return right / rows


def test_the_same_runs_give_the_same_bits(runs: dict[str, Records]) -> None:
    pair = [runs["plain"], runs["private"]]
    assert compare(pair).rows == compare(pair).rows


def test_other_rows_are_shown_and_not_paired_and_it_says_why(runs: dict[str, Records]) -> None:
    found = compare([runs["plain"], runs["elsewhere"], runs["slow"]])
    assert found.sides[1].unpaired == "they measured different rows, or hold them differently"
    assert (found.sides[1].paired, found.sides[2].paired) == (0, 4)
    row = next(row for row in found.rows if row.measure == ROWS)
    one, other = row.differences[1:]
    assert one is not None
    assert other is not None
    readings_of = [reading for reading in row.readings if reading]
    expected = difference(readings_of[0], readings_of[1], alike=False)
    assert one == expected
    assert one.high is not None


def test_what_is_undefined_has_no_difference_and_is_no_zero(
    runs: dict[str, Records], tmp_path: Path
) -> None:
    one, two = grouped(runs["plain"], tmp_path, 1), grouped(runs["slow"], tmp_path, 2)
    found = {row.measure: row for row in compare([one, two]).rows}
    empty = found[Measure("recall", "sex=x")]
    assert [r.value if r else 0 for r in empty.readings] == [None, None]
    assert [r.undefined if r else "" for r in empty.readings] == ["no rows", "no rows"]
    assert empty.differences == (None, None)
    there = found[Measure("recall", "sex=f")].differences[1]
    assert there is not None
    assert there.low is not None
    assert found[Measure("equal_opportunity difference", "sex")].differences[1] is not None
    assert found[ROWS].readings[0] == readings(runs["plain"])[ROWS]  # the rate that every page has


def test_clients_that_only_one_run_measured_are_left_out_of_the_difference(
    runs: dict[str, Records], tmp_path: Path
) -> None:
    one, two = grouped(runs["plain"], tmp_path, 1), grouped(runs["slow"], tmp_path, 2)
    committed, evaluated = two.history[-1]
    assert evaluated is not None
    fewer = replace(
        evaluated,
        clients={k: v for k, v in evaluated.clients.items() if k != "client-003"},
        tables={k: v for k, v in evaluated.tables.items() if k != "client-003"},
        total={n: t - evaluated.tables["client-003"][n] for n, t in evaluated.total.items()},
    )
    two = replace(two, history=[*two.history[:-1], (committed, fewer)])
    found = compare([one, two])
    assert found.sides[1].paired == 3
    shared = ["client-000", "client-001", "client-002"]
    for measure in (ROWS, Measure("recall", "sex=f"), Measure("recall", ALL_ROWS)):
        there = next(row for row in found.rows if row.measure == measure).differences[1]
        first, other = (readings(each, clients=shared)[measure].value for each in (one, two))
        assert there is not None
        assert first is not None
        assert other is not None
        assert there.value == other - first


def test_privacy_is_named_as_what_differs(runs: dict[str, Records]) -> None:
    found = compare([runs["plain"], runs["private"], runs["slow"]])
    assert [side.cost for side in found.sides] == [False, True, False]
    assert [side.more for side in found.sides] == [False, False, True]
    assert "mechanism.kind" in {each.key for each in found.settings}
    row = next(row for row in found.rows if row.measure.group.startswith("client add/remove"))
    values = [reading.value if reading else None for reading in row.readings]
    assert values[0] == values[2] == math.inf
    assert 0 < (values[1] or 0.0) < 20
    assert row.differences == (None, None, None)


def test_noised_counts_have_intervals_and_no_pairs(
    runs: dict[str, Records], tmp_path: Path
) -> None:
    pair = []
    for seed, name in enumerate(("plain", "slow")):
        one = grouped(runs[name], tmp_path, seed)
        committed, evaluated = one.history[-1]
        assert evaluated is not None
        noised = replace(evaluated, clients={}, tables={}, deviation=2.0)
        pair.append(replace(one, history=[*one.history[:-1], (committed, noised)]))
    found = compare(pair)
    assert found.sides[1].unpaired == "the counts of 0 clients are known of both, and it takes two"
    there = next(r for r in found.rows if r.measure == Measure("recall", "sex=f")).differences[1]
    assert there is not None
    assert there.low is not None
    assert not any(row.measure.group == WORST for row in found.rows)


def test_independent_intervals_are_those_of_newcombe() -> None:
    """His example 56/70 - 48/80, method 10: from 0.0524 to 0.3339."""
    found = difference(wilson(48, 80), wilson(56, 70), alike=False)
    assert found is not None
    assert found.low == pytest.approx(0.0524, abs=5e-5)
    assert found.high == pytest.approx(0.3339, abs=5e-5)


def wilson(right: int, rows: int) -> Reading:
    rate, z = right / rows, 1.959964
    middle = (rate + z**2 / (2 * rows)) / (1 + z**2 / rows)
    half = z * math.sqrt(rate * (1 - rate) / rows + z**2 / (4 * rows**2)) / (1 + z**2 / rows)
    return Reading(value=rate, low=middle - half, high=middle + half)


def test_without_an_interval_of_both_there_is_none_of_the_difference() -> None:
    one, two = Reading(value=0.5), Reading(value=0.75, low=0.7, high=0.8)
    assert difference(one, two, alike=False) == Difference(value=0.25)
    assert difference(one, Reading(value=None, undefined="no rows"), alike=False) is None


def test_nineteen_of_twenty_paired_intervals_hold_the_true_difference() -> None:
    """Of 300, with 40 clients: a correct bootstrap covers 93 to 95 %; below 88 % has odds under 1e-5."""
    rng, held = np.random.default_rng(0), 0
    times, mean = anew("a population", 40), Measure("accuracy", MEAN)
    for _ in range(300):
        ease = rng.random(40)
        pair = []
        for shift in (0.0, 0.1):
            right = rng.binomial(25, np.clip(0.3 + 0.4 * ease + shift, 0, 1))
            clients = {
                f"{k:02}": {"examples": 25.0, "correct": float(n)} for k, n in enumerate(right)
            }
            pair.append(over_clients(clients, times)[mean])
        found = difference(*pair, alike=True)
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.1 <= found.high
    assert held >= 0.88 * 300


def test_the_worst_and_the_worst_tenth_are_over_clients_with_one_vote_each() -> None:
    clients = {f"{k:02}": {"examples": 10.0 * (k + 1), "correct": float(k)} for k in range(20)}
    values = sorted(k / (10 * (k + 1)) for k in range(20))
    found = over_clients(clients, anew("a population", 20))
    assert found[Measure("accuracy", WORST)] == Reading(value=values[0])
    tenth = found[Measure("accuracy", WORST_TENTH)]
    assert tenth.value == pytest.approx(sum(values[:2]) / 2)
    assert tenth.low is not None
    one = {"only": {"examples": 4.0, "correct": 2.0}}
    alone = over_clients(one, np.zeros((0, 1)))
    assert alone[Measure("accuracy", MEAN)] == Reading(value=0.5)


def test_a_run_in_which_nothing_was_measured_yet_is_shown(
    runs: dict[str, Records], tmp_path: Path
) -> None:
    begun = replace(runs["slow"], folder=tmp_path, history=[], digest=None)
    found = compare([runs["plain"], begun])
    assert (found.sides[1].measured, found.sides[1].finished) == (None, False)
    assert found.sides[1].paired == 0
    assert all(row.differences[1] is None for row in found.rows)


def test_the_json_of_a_comparison_has_no_infinity(runs: dict[str, Records]) -> None:
    from tacit.reports.comparison_tables import as_json

    text = json.dumps(as_json(compare(list(runs.values())), []), allow_nan=False)
    assert "infinite" in text
