"""Small real problems: bundled data, real models, real clients."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_diabetes, load_digits, load_wine
from tacit.client import Classification, Client, Data, Memory, Plain, Regression, Task
from tacit.models import MLP
from tacit.privacy import Mechanism, Secret
from tacit.server import Admission
from tacit.strategies import Strategy
from tacit.wire import InMemory
from torch import nn

CPU = torch.device("cpu")
torch.set_num_threads(1)  # as a worker process does: the tests must not depend on the machine


@cache
def wine() -> Data:
    """178 rows of 13 columns, standardised; 3 classes."""
    features, targets = load_wine(return_X_y=True)
    scaled = (features - features.mean(0)) / features.std(0)
    return shuffled(Data(features=scaled.astype(np.float32), targets=targets.astype(np.int64)))


@cache
def digits() -> Data:
    """1797 images of 8 by 8 pixels; 10 classes."""
    features, targets = load_digits(return_X_y=True)
    return Data(features=(features / 16).astype(np.float32), targets=targets.astype(np.int64))


@cache
def diabetes() -> Data:
    """442 rows of 10 columns and a number to predict, in float64."""
    features, targets = load_diabetes(return_X_y=True)
    return Data(features=features * 20, targets=(targets - targets.mean()) / targets.std())


def shuffled(data: Data) -> Data:
    return data.rows(np.random.default_rng(0).permutation(len(data)))


def wine_task(dropout: float = 0.0) -> Classification:
    return Classification(build=partial(MLP, inputs=13, outputs=3, hidden=(8,), dropout=dropout))


def digits_task(dropout: float = 0.2) -> Classification:
    return Classification(build=partial(MLP, inputs=64, outputs=10, hidden=(16,), dropout=dropout))


def linear(inputs: int) -> nn.Module:
    return nn.Linear(inputs, 1, bias=False, dtype=torch.float64)


def linear_task(inputs: int) -> Regression:
    """Least squares: a quadratic whose gradients a test can write down, in float64."""
    return Regression(build=partial(linear, inputs))


def shards(data: Data, sizes: Mapping[str, int]) -> dict[str, Data]:
    """Rows end to end, as many for each client as is said."""
    ends = np.cumsum(list(sizes.values()))
    return {
        name: data.rows(slice(int(end) - size, int(end)))
        for (name, size), end in zip(sizes.items(), ends, strict=True)
    }


def clients(
    data: Mapping[str, Data],
    task: Task,
    strategy: Strategy,
    mechanism: Mechanism,
    folder: Path,
    rounds: int = 5,
) -> dict[str, Client]:
    """Real clients that share one trainer, as in a worker process, and test where they train."""
    trainer = Plain(task, CPU)
    return {
        name: Client(
            name=name,
            train=rows,
            test=rows,
            trainer=trainer,
            strategy=strategy,
            mechanism=mechanism,
            secret=Secret.fresh(),
            memory=Memory(folder),
            rounds=rounds,
            position=position,
            clients=len(data),
        )
        for position, (name, rows) in enumerate(data.items())
    }


def in_memory(
    data: Mapping[str, Data],
    task: Task,
    strategy: Strategy,
    mechanism: Mechanism,
    folder: Path,
    rounds: int = 5,
) -> InMemory:
    """Those clients, behind the in-memory transport."""
    return InMemory(
        clients=clients(data, task, strategy, mechanism, folder, rounds),
        admit=Admission(strategy=strategy, mechanism=mechanism).open,
    )
