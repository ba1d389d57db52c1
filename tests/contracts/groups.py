"""Clients whose rows are of groups that the classes go with: what fair strategies are to mend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from contracts.bits import assert_same_bits
from contracts.learning import diabetes, linear, shards
from contracts.rounds import after, rounds_of
from numpy.typing import NDArray
from tacit.client import Classification, Data, Task, Training
from tacit.strategies import FedAvg, Strategy


def logistic(inputs: int) -> Classification:
    """Two classes by one logit, without a constant, in float64."""
    return Classification(build=partial(linear, inputs))


def chance(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-logits))


def unequal() -> dict[str, Data]:
    """Two features, of which one says the class and one the group, which most often goes with it."""
    found = {}
    for name, seed in (("a", 1), ("b", 2), ("c", 3)):
        rng = np.random.default_rng(seed)
        groups = rng.integers(0, 2, 200)
        labels = (rng.random(200) < np.where(groups == 1, 0.8, 0.3)).astype(np.int64)
        signal = labels - 0.5 + rng.normal(size=200)
        features = np.stack([signal, groups - 0.5, np.ones(200)], axis=1)
        found[name] = Data(features=features, targets=labels, groups={"sex": groups})
    return found


def parity_gap(strategy: Strategy, folder: Path) -> tuple[float, float]:
    """The gap of selection rates after training on `unequal`, and the accuracy, over all rows."""
    data = unequal()
    states = rounds_of(
        strategy,
        data=data,
        task=logistic(3),
        training=Training(learning_rate=0.3, batch_size=200, steps=2),
        initial={"weight": np.zeros((1, 3))},
        folder=folder,
    )
    w = after(60, states).parameters["weight"][0]
    rows = list(data.values())
    guesses = np.concatenate([each.features @ w > 0 for each in rows])
    labels = np.concatenate([each.targets for each in rows])
    groups = np.concatenate([each.groups["sex"] for each in rows])
    gap = float(guesses[groups == 1].mean() - guesses[groups == 0].mean())
    return gap, float(np.mean(guesses == labels))


def in_three_groups(sizes: Mapping[str, int]) -> dict[str, Data]:
    """Patients of clients of these sizes, in unequal groups; client c has none of the rarest."""
    rng = np.random.default_rng(0)
    found = {}
    for name, rows in shards(diabetes(), sizes).items():
        codes = rng.choice(3, len(rows), p=[0.6, 0.4, 0.0] if name == "c" else [0.6, 0.3, 0.1])
        found[name] = replace(rows, groups={"sex": codes})
    return found


def check_first_round_is_averaging(
    strategy: Strategy, data: Mapping[str, Data], task: Task, folder: Path
) -> None:
    """Before it has heard of any group, a strategy averages as FedAvg does, bit by bit."""
    one, other = (
        after(
            1,
            rounds_of(
                each,
                data=data,
                task=task,
                training=Training(learning_rate=0.05, batch_size=8),
                initial={"weight": np.ones((1, 10))},
                folder=folder,
            ),
        )
        for each in (strategy, FedAvg())
    )
    assert_same_bits(one.parameters, other.parameters)
