"""Survival from a data set to rates by group: whom a model puts in the right order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tacit.client import Cox
from tacit.client.data import Data
from tacit.fairness import assess
from tacit.fairness.concordance import concordance, count_pairs
from tacit.server import Evaluated
from tacit.simulations import Config, ConfigError, Dataset, simulate
from tacit.simulations.setup import prepare

BASE: dict[str, Any] = {
    "rounds": 8,
    "data": {"name": "digits", "held_out": 0.4},  # another data set takes its place
    "partition": {"kind": "natural"},
    "model": {"kind": "mlp", "hidden": []},
    "train": {"learning_rate": 0.5, "batch_size": 50},
    "evaluate": {"every": 8},
    "run": {"workers": 0},
}


def followed(rows: int = 400) -> Dataset:
    """Two sites; the first column is the log hazard of half of the people, and says nothing of others."""
    rng = np.random.default_rng(1)
    features = rng.normal(size=(rows, 2)).astype(np.float32)
    group = rng.integers(0, 2, rows)
    times = rng.exponential(np.exp(-2 * features[:, 0] * (group == 0)))
    ends = rng.exponential(2.0, rows)
    targets = np.stack([np.minimum(times, ends), times <= ends], 1).astype(np.float32)
    return Dataset(
        name="followed",
        data=Data(features=features, targets=targets, groups={"known": group}),
        classes=0,
        test=np.zeros(rows, bool),
        owner=np.arange(rows) % 2,
        owners=("north", "south"),
        group_names={"known": ("yes", "no")},
    )


def test_a_model_is_judged_by_the_order_of_risks_by_client_and_by_group() -> None:
    config, dataset = Config(**BASE), followed()
    setup, result = prepare(config, None, dataset), simulate(config, dataset=dataset)
    assert isinstance(setup.task, Cox)
    _, found = result.history[-1]
    assert isinstance(found, Evaluated)
    schema = setup.measure.schema
    judged = assess(schema, found.tables, found.total, rng=np.random.default_rng(0))
    rates = {group.name: group.rates["concordance"] for group in judged.attributes[0].groups}
    assert (rates["yes"].value or 0) > 0.8 > 0.6 > (rates["no"].value or 1)
    assert rates["yes"].clients is not None
    assert rates["yes"].sampling is None
    criteria = {each.criterion for each in judged.attributes[0].gaps}
    assert criteria == {"concordance_parity", "loss_parity"}

    model = setup.task.model()
    model.load_state_dict({k: torch.from_numpy(v) for k, v in result.parameters.items()})
    rows = setup.population.data.rows(setup.population.clients["north"].test)
    risks = model(torch.from_numpy(rows.features)).detach().numpy()[:, 0]
    wanted = concordance(count_pairs(rows.targets, risks, np.zeros(len(risks), np.int64), 1))
    assert result.clients["north"]["concordance"] == pytest.approx(float(wanted.value[0]))
    by_group = count_pairs(rows.targets, risks, rows.groups["known"], 2)
    assert np.array_equal(found.tables["north"]["known/pairs"], by_group)


def test_dp_sgd_is_refused_before_anyone_trains() -> None:
    terms = {
        "mechanism": {"kind": "mean", "weighting": "uniform"},
        "dpsgd": {"noise_multiplier": 1.0},
    }
    with pytest.raises(ConfigError, match="the loss mixes rows"):
        prepare(Config(**{**BASE, **terms}), None, followed())
