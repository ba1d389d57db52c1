"""Two models side by side: what changed, and how sure that is."""

from __future__ import annotations

import json
from dataclasses import asdict, astuple

import numpy as np
import pytest
from tacit.fairness import Comparison, Counted, compare
from tacit.fairness.intervals import clients_anew, intervals
from tacit.fairness.rate import Array
from tacit.fairness.tables import Attribute, Schema, add_tables

SCHEMA = Schema(attributes=(Attribute(name="sex", groups=("female", "male")),), classes=2)


def tables_of(confusion: Array) -> dict[str, Array]:
    rows = confusion.sum((-2, -1))
    scores = np.zeros((2, 2, 50))
    scores[..., 10], scores[..., 40] = confusion[..., 0], confusion[..., 1]
    loss = np.stack([rows, rows / 4, rows / 8], -1)
    return {"sex/confusion": confusion, "sex/scores": scores, "sex/loss": loss}


def clients(shares: Array, rows: int, rng: np.random.Generator) -> dict[str, dict[str, Array]]:
    """Clients whose share of right guesses is given; classes and groups are half and half."""
    found = {}
    for k, share in enumerate(shares):
        right = rng.binomial(rows, share, size=(2, 2)).astype(float)
        table = np.stack([[[r[0], rows - r[0]], [rows - r[1], r[1]]] for r in right])
        found[f"client {k:02}"] = tables_of(table)
    return found


def counted(tables: dict[str, dict[str, Array]], deviation: float = 0.0) -> Counted:
    known = {} if deviation else tables
    return Counted(tables_by_client=known, total=add_tables(tables.values()), deviation=deviation)


def compared(first: Counted, second: Counted, seed: int = 0, draws: int = 300) -> Comparison:
    return compare(SCHEMA, first, second, rng=np.random.default_rng(seed), draws=draws)


def test_a_model_does_not_differ_from_itself() -> None:
    tables = clients(np.full(5, 0.7), 20, np.random.default_rng(1))
    found = compared(counted(tables), counted(tables))
    for rate, one in found.overall.items():
        assert one.first == one.second
        assert one.change.value == 0, rate
        assert one.change.clients is not None
        assert one.change.clients.low == one.change.clients.high == 0
    for evenness in found.evenness.values():
        assert evenness.change.value == 0


def test_what_is_hard_for_both_models_cancels() -> None:
    """Clients differ much, and the second model is better for every one of them."""
    rng = np.random.default_rng(2)
    shares = np.linspace(0.2, 0.9, 20)
    found = compared(counted(clients(shares, 200, rng)), counted(clients(shares + 0.05, 200, rng)))
    change = found.overall["accuracy"].change
    assert change.clients is not None
    assert change.value == pytest.approx(0.05, abs=0.03)
    assert 0 < change.clients.low < change.clients.high < 0.1
    assert found.evenness["mean"].change.value == pytest.approx(0.05, abs=0.03)


def test_the_same_clients_are_drawn_for_both_models() -> None:
    rng = np.random.default_rng(3)
    first, second = (clients(np.linspace(0.3, 0.9, 9), 20, rng) for _ in range(2))
    found = compared(counted(first), counted(second), seed=7).overall["accuracy"].change.clients
    times = clients_anew(9, 300, np.random.default_rng(7))
    one, other = (np.array([share_right(own) for own in each.values()]) for each in (first, second))
    (wanted,) = intervals((times @ (other - one) / 9)[:, np.newaxis])
    assert found is not None
    assert wanted is not None
    assert astuple(found) == pytest.approx(astuple(wanted), abs=1e-12)


def share_right(tables: dict[str, Array]) -> float:
    confusion = tables["sex/confusion"].sum(0)
    return float(np.trace(confusion) / confusion.sum())


def test_only_clients_that_both_models_were_measured_on_count() -> None:
    rng = np.random.default_rng(4)
    first, second = (clients(np.full(3, share), 50, rng) for share in (0.5, 0.9))
    del second["client 01"]
    found = compared(counted(first), counted(second))
    assert found.clients == ("client 00", "client 02")
    only = {name: first[name] for name in found.clients}
    confusion = sum(tables["sex/confusion"].sum(0) for tables in only.values())
    assert found.overall["accuracy"].first == np.trace(confusion) / np.sum(confusion)


def test_a_model_whose_counts_have_noise_is_compared_with_one_whose_have_not() -> None:
    rng = np.random.default_rng(5)
    exact, other = (clients(np.full(4, share), 50, rng) for share in (0.6, 0.7))
    found = compared(counted(exact), counted(other, deviation=3.0))
    change = found.overall["accuracy"].change
    assert found.clients == ()
    assert found.evenness == {}
    assert change.clients is None
    assert change.noise is not None
    assert change.both is not None
    assert change.sampling is not None
    assert change.value is not None
    assert change.noise.low < change.value < change.noise.high
    assert change.both.high - change.both.low > change.sampling.high - change.sampling.low
    json.dumps(asdict(found), allow_nan=False)


def test_what_one_model_has_no_number_for_has_no_change() -> None:
    nobody = np.array([[[0.0, 0], [0, 0]], [[5, 5], [5, 5]]])
    first = {"a": tables_of(nobody), "b": tables_of(nobody)}
    found = compared(counted(first), counted(first))
    women = found.attributes[0].groups["female"]["recall"]
    assert (women.first, women.change.value, women.change.undefined) == (None, None, "no rows")
    gap = found.attributes[0].gaps["equal_opportunity"]
    assert gap.change.undefined == "fewer than two groups to compare"
    json.dumps(asdict(found), allow_nan=False)
