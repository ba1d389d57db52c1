"""Strategies that treat rows by group, from a file of rows and a configuration to a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tacit.simulations import ConfigError, make_config, simulate
from tacit.simulations.config import Config
from tacit.simulations.setup import prepare

KINDS = ["fedminmax", "fedfb", "reweighing", "fairfed"]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Three owners, two groups in unequal shares, and two classes that go with them."""
    rng = np.random.default_rng(0)
    sex = (rng.random(150) < 0.3).astype(np.int64)
    targets = (rng.random(150) < np.where(sex == 1, 0.7, 0.3)).astype(np.int64)
    features = rng.normal(size=(150, 3)) + np.stack([targets, sex, 0 * sex], axis=1)
    path = tmp_path / "rows.npz"
    np.savez(
        path,
        features=features.astype(np.float32),
        targets=targets,
        owner=np.arange(150) % 3,
        group_sex=np.where(sex == 1, "woman", "man"),
    )
    return path


def config(rows: Path, kind: str, *changes: str, **strategy: object) -> Config:
    table: dict[str, Any] = {
        "seed": 3,
        "rounds": 4,
        "data": {"path": str(rows)},
        "partition": {"kind": "natural"},
        "model": {"kind": "mlp", "hidden": [4]},
        "train": {"learning_rate": 0.2, "batch_size": 16},
        "strategy": {"kind": kind, "attribute": "sex", **strategy},
        "mechanism": {"kind": "mean", "weighting": "uniform"},
        "run": {"workers": 0, "device": "cpu"},
    }
    return make_config(table, changes)


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_learns_and_goes_another_way_than_averaging(kind: str, rows: Path) -> None:
    plain = config(rows, kind, 'strategy={"kind"="fedavg"}')
    found = simulate(config(rows, kind))
    losses = [sum(c["loss"] for c in e.clients.values()) for _, e in found.history if e]
    assert losses[-1] < losses[0]
    assert found.digest != simulate(plain).digest


def test_worker_processes_give_the_same_bits(rows: Path) -> None:
    """FairFed has the most to carry: weights at the clients, groups of rows, numbers from the server."""
    one, other = (simulate(config(rows, "fairfed", f"run.workers={n}")) for n in (0, 2))
    assert one.digest == other.digest
    assert one.clients == other.clients


@pytest.mark.parametrize("kind", KINDS)
def test_an_attribute_that_the_rows_lack_is_refused_with_those_they_have(
    kind: str, rows: Path
) -> None:
    with pytest.raises(
        ConfigError, match=r"^strategy\.attribute: 'race' is not .* which has sex\.$"
    ):
        prepare(config(rows, kind, "strategy.attribute=race"))


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("fedfb", "Expected 2 classes, got 0"),
        ("fairfed", "Expected 2 classes, got 0"),
        ("reweighing", "Expected classes"),
    ],
)
def test_what_needs_classes_is_refused_without_them(kind: str, said: str, rows: Path) -> None:
    with pytest.raises(ConfigError, match=f"^strategy: {said}"):
        prepare(config(rows, kind, "data.classes=0"))


def test_weights_for_other_groups_than_there_are_are_refused(rows: Path) -> None:
    with pytest.raises(ConfigError, match=r"^strategy: Expected weights of 2 groups by 2 classes"):
        prepare(config(rows, "reweighing", weights=[[1.0, 1.0]]))
