"""Generated rows whose clients differ in what they see and in what it means."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..client.data import Data
from .dataset import Dataset

CLIENTS, COLUMNS, CLASSES = 100, 60, 10
SCALES = np.arange(1.0, COLUMNS + 1) ** -0.6
"""Standard deviations of a client's columns: the variance of column j is j^-1.2."""


def synthetic(*, beta: float = 1.0, seed: int = 0) -> Dataset:
    """Synthetic(1, β) of Li et al. 2020 (FedProx, arXiv 1812.06127): 60 columns, 10 classes.

    Client k draws rows from N(v, Σ), Σ_jj = j^-1.2, and labels them by a model of its own,
    y = argmax(Wx + b), with W and b from N(0, 1). All of v comes from N(B, 1), B from N(0, β²).
    The paper's α moves the mean of W and b, so all logits alike: it changes no label, and is left
    out. The owners are 100 clients of floor(lognormal(4, 2)) + 50 rows. By name it is
    Synthetic(1, 1) from seed 0, with 35,621 rows. The paper does not standardise the columns.

    >>> synthetic().owners[:2]
    ('client-000', 'client-001')
    """
    rng = np.random.default_rng(seed)
    sizes = np.floor(rng.lognormal(4.0, 2.0, CLIENTS)).astype(np.int64) + 50
    clients = [_client(rng, rows, beta) for rows in sizes.tolist()]
    features, targets = (np.concatenate(parts) for parts in zip(*clients, strict=True))
    return Dataset(
        name="synthetic",
        data=Data(features=features, targets=targets),
        classes=CLASSES,
        test=np.zeros(len(targets), bool),
        owner=np.arange(CLIENTS).repeat(sizes),
        owners=tuple(f"client-{number:03}" for number in range(CLIENTS)),
    )


def _client(rng: np.random.Generator, rows: int, beta: float) -> tuple[NDArray[Any], NDArray[Any]]:
    v = rng.normal(rng.normal(0.0, beta), 1.0, COLUMNS)
    w, b = rng.standard_normal((COLUMNS, CLASSES)), rng.standard_normal(CLASSES)
    features = v + SCALES * rng.standard_normal((rows, COLUMNS))
    targets = (features @ w + b).argmax(axis=1)
    return features.astype(np.float32), targets.astype(np.int64)
