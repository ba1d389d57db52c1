"""Runs side by side: a difference is that of the same clients on the same rows, or it says why not."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tacit.fairness import Attribute, Estimate, Interval, Judged, Schema
from tacit.fairness.intervals import intervals
from tacit.reports.changes import Difference, independent
from tacit.reports.coins import coins
from tacit.reports.comparison import compare
from tacit.reports.comparison_tables import as_json
from tacit.reports.readings import (
    ALL_ROWS,
    MEAN,
    POOLED_ROWS,
    WORST,
    WORST_TENTH,
    Measure,
    last,
    readings,
)
from tacit.reports.records import Records, read
from tacit.reports.summary import summarise
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
    shares = (0.15, 0.15, 0.15, 0.0)  # few of a group, and of the last client nobody
    pairs = zip(sorted(evaluated.clients), shares, strict=True)
    tables = {name: SEX.count(some_rows(rng, share)) for name, share in pairs}
    total = {name: np.sum([own[name] for own in tables.values()], 0) for name in SEX.zeros()}
    with closing(Store(folder)) as store:
        store.measure(replace(evaluated, tables=tables, total=total))
    RunFolder(folder).population.write_text(to_json(replace(records.population, schema=SEX)))
    return read(RunFolder(folder))


def some_rows(rng: np.random.Generator, share: float) -> Judged:
    return Judged(
        targets=rng.integers(0, 2, 40),
        guesses=rng.integers(0, 2, 40),
        scores=rng.random(40),
        losses=rng.random(40),
        groups={"sex": (rng.random(40) < share).astype(np.int64)},
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
    drawn = []
    for times in clients_drawn(one):
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


def test_the_difference_of_a_gap_is_between_the_groups_that_a_draw_has(
    runs: dict[str, Records], tmp_path: Path
) -> None:
    one, two = grouped(runs["plain"], tmp_path, 1), grouped(runs["slow"], tmp_path, 2)
    drawn = []
    for times in clients_drawn(one):
        gaps = []
        for records in (one, two):
            counts = sum(
                n * own["sex/confusion"] for n, own in zip(times, tables_of(records), strict=True)
            )
            rates = [recall(each) for each in counts if each[1].sum()]
            gaps.append(max(rates) - min(rates) if len(rates) > 1 else math.nan)
        drawn.append(gaps[1] - gaps[0])
    bar = intervals(np.array(drawn)[:, np.newaxis])[0]
    found = {row.measure: row for row in compare([one, two]).rows}
    there = found[Measure("equal_opportunity difference", "sex")].differences[1]
    assert bar is not None
    assert there is not None
    assert there.low == pytest.approx(bar.low)
    assert there.high == pytest.approx(bar.high)


def clients_drawn(records: Records) -> list[list[int]]:
    assert records.population is not None
    rng = coins(records.population.digest, "clients")
    found: list[list[int]] = rng.multinomial(4, np.full(4, 0.25), size=2000).tolist()
    return found


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
    assert one == independent(row.readings[0], row.readings[1])
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
    row = next(row for row in found.rows if row.measure == Measure("recall", "sex=f"))
    first = sum(own["sex/confusion"] for own in tables_of(one, "client-003"))[0]
    other = sum(own["sex/confusion"] for own in tables_of(two, "client-003"))[0]
    there = row.differences[1]
    assert there is not None
    assert there.value == pytest.approx(recall(other) - recall(first))


def tables_of(records: Records, but: str = "") -> list[Any]:
    evaluated = last(records)
    assert evaluated is not None
    return [own for name, own in sorted(evaluated.tables.items()) if name != but]


def recall(confusion: Any) -> float:  # noqa: ANN401 - an array
    return float(confusion[1, 1] / confusion[1].sum())


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
    found = independent(wilson(48, 80), wilson(56, 70))
    assert found is not None
    assert found.low == pytest.approx(0.0524, abs=5e-5)
    assert found.high == pytest.approx(0.3339, abs=5e-5)


def wilson(right: int, rows: int) -> Estimate:
    rate, z = right / rows, 1.959964
    middle = (rate + z**2 / (2 * rows)) / (1 + z**2 / rows)
    half = z * math.sqrt(rate * (1 - rate) / rows + z**2 / (4 * rows**2)) / (1 + z**2 / rows)
    bar = Interval(low=middle - half, high=middle + half, median=middle, defined=1.0)
    return Estimate(value=rate, sampling=bar)


def test_without_an_interval_of_both_there_is_none_of_the_difference() -> None:
    one, two = Estimate(value=0.5), wilson(3, 4)
    assert independent(one, two) == Difference(value=0.25)
    assert independent(one, Estimate(value=None, undefined="no rows")) is None


def test_what_the_report_says_too_is_the_same_here(runs: dict[str, Records]) -> None:
    summary, found = summarise(runs["plain"]), readings(runs["plain"])
    said = summary.federated
    assert found[ROWS].value == said.rows
    assert found[ROWS].sampling is not None
    assert found[Measure("loss", ALL_ROWS)].value == summary.loss
    for who, value in ((MEAN, said.mean), (WORST_TENTH, said.worst_tenth), (WORST, said.worst)):
        assert found[Measure("accuracy", who)].value == value
    assert Measure("accuracy", POOLED_ROWS) not in found  # they are everybody's held-out rows
    for name, own in summary.clients.items():
        assert found[Measure("accuracy", f"client={name}")].value == own["accuracy"]


def test_the_worst_client_has_a_difference_and_no_interval(runs: dict[str, Records]) -> None:
    found = {row.measure: row for row in compare([runs["plain"], runs["slow"]]).rows}
    mean, worst = (found[Measure("accuracy", who)].differences[1] for who in (MEAN, WORST))
    assert mean is not None
    assert mean.low is not None
    assert worst is not None
    assert (worst.low, worst.high) == (None, None)


def test_a_run_in_which_nothing_was_measured_yet_is_shown(
    runs: dict[str, Records], tmp_path: Path
) -> None:
    begun = replace(runs["slow"], folder=tmp_path, history=[], digest=None)
    found = compare([runs["plain"], begun])
    assert (found.sides[1].measured, found.sides[1].finished) == (None, False)
    assert found.sides[1].paired == 0
    assert all(row.differences[1] is None for row in found.rows)


def test_the_json_of_a_comparison_has_no_infinity(runs: dict[str, Records]) -> None:
    text = json.dumps(as_json(compare(list(runs.values())), []), allow_nan=False)
    assert "infinite" in text
