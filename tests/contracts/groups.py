"""Clients whose rows are of groups that the classes go with: what fair strategies are to mend."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from contracts.learning import linear
from contracts.rounds import after, rounds_of
from numpy.typing import NDArray
from tacit.client import Classification, Data, Training
from tacit.strategies import Strategy


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
