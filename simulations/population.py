"""The population: every client's rows laid end to end, so that a slice is all a client needs.

Rows are put in order once: every client's train rows, then every client's held-out rows, then the
official test rows. A client's rows are then views of one array, which can live in shared memory,
and so are everybody's rows together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..client.data import Data
from ..server.coordinator import POOLED
from .dataset import DataError, Dataset
from .partition import Partition

Indices = NDArray[np.int64]
Standardise = Literal["pooled", "client", "none"]


@dataclass(frozen=True, kw_only=True)
class Split:
    """Which rows of the population to train on, and which were held out."""

    train: slice
    test: slice


@dataclass(frozen=True, kw_only=True)
class Population:
    """Everyone's rows and who holds which: `data.rows(clients[name].train)` copies nothing.

    `pooled` is the view of a party that holds everything: all train rows, and the official test
    rows where the data has them, else everybody's held-out rows. `official` says whether it has
    any. `classes`, `shape` and `group_names` are those of the data set.
    """

    name: str
    data: Data
    clients: Mapping[str, Split]
    pooled: Split
    classes: int
    shape: tuple[int, ...]
    group_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    official: bool = False


def populate(
    dataset: Dataset,
    partition: Partition,
    *,
    held_out: float,
    standardise: Standardise,
    seed: int,
    split_seed: int | None = None,
) -> Population:
    """Deals a data set out to clients, and holds out part of what each of them has.

    Every client keeps back the fraction `held_out` of its rows, rounded up, but never its last one;
    the choice is stratified by label where the client has enough of each. It depends on
    `split_seed` (by default `seed`), the partition on `seed`. With `held_out` 0.34, `split_seed` 43
    and `standardise` "client", the hospitals of heart_disease get the rows and values of FLamby
    (Ogier du Terrail et al. 2022, arXiv 2210.04620).

    Columns are standardised as (x - mean) / (std + 1e-9), std with ddof 1 (a column constant in
    training becomes 0), where mean and std are of all train rows ("pooled") or of each
    client's own ("client"; the pooled view then holds copies standardised by all train rows).
    No ledger charges for pooled statistics: they are a convenience of simulation. Features that
    are not columns, such as pixels, are left alone.

    Raises DataError for values that are not finite, and for a client without rows.

    >>> from .bundled import wine
    >>> from .partition import IID
    >>> pair = populate(wine(), IID(clients=2), held_out=0.25, standardise="pooled", seed=1)
    >>> pair.clients["client-001"]
    Split(train=slice(66, 132, None), test=slice(155, 178, None))
    >>> pair.pooled
    Split(train=slice(0, 132, None), test=slice(132, 178, None))
    """
    split_seed = seed % 2**32 if split_seed is None else split_seed
    _check_arguments(dataset, held_out, standardise, split_seed)
    _check_finite(dataset)
    parts = partition.split(dataset, np.flatnonzero(~dataset.test), np.random.default_rng(seed))
    if POOLED in parts:
        raise DataError(f"A client of {dataset.name!r} is named {POOLED!r}: rename that owner.")
    order, clients, pooled = _lay_out(dataset, parts, held_out, split_seed)
    data = dataset.data.rows(order)
    if dataset.tabular and standardise == "pooled":
        data = replace(data, features=_scaled(data.features, data.features[pooled.train]))
    if dataset.tabular and standardise == "client":
        data, pooled = _scaled_by_client(data, clients, pooled)
    return Population(
        name=dataset.name,
        data=data,
        clients=clients,
        pooled=pooled,
        classes=dataset.classes,
        shape=dataset.shape,
        group_names=dataset.group_names,
        official=bool(dataset.test.any()),
    )


def _lay_out(
    dataset: Dataset, parts: Mapping[str, Indices], held_out: float, split_seed: int
) -> tuple[Indices, dict[str, Split], Split]:
    """The order of the rows, and where everyone's lie in it."""
    for name, rows in parts.items():
        if not len(rows):
            raise DataError(f"Client {name!r} of {dataset.name!r} has no rows: try fewer clients.")
    labels = dataset.labels()
    halves = [_hold_out(rows, labels[rows], held_out, split_seed) for rows in parts.values()]
    trains, tests = [train for train, _ in halves], [test for _, test in halves]
    official = np.flatnonzero(dataset.test)
    slices = _end_to_end([*trains, *tests, official])
    pairs = zip(slices[: len(parts)], slices[len(parts) : -1], strict=True)
    clients = {
        name: Split(train=train, test=test)
        for name, (train, test) in zip(parts, pairs, strict=True)
    }
    held_from, held_to = sum(map(len, trains)), slices[-1].start
    test = slices[-1] if len(official) else slice(held_from, held_to)
    return (
        np.concatenate([*trains, *tests, official]),
        clients,
        Split(train=slice(0, held_from), test=test),
    )


def _end_to_end(blocks: Sequence[Indices]) -> list[slice]:
    ends = np.cumsum([len(block) for block in blocks]).tolist()
    return [slice(end - len(block), end) for end, block in zip(ends, blocks, strict=True)]


def _hold_out(
    rows: Indices, labels: NDArray[Any], held_out: float, split_seed: int
) -> tuple[Indices, Indices]:
    """One client's train rows and held-out rows, in scikit-learn's order."""
    # Rounded first: 0.07 * 100 is a little more than 7 and would hold out 8 rows.
    tests = min(math.ceil(round(held_out * len(rows), 9)), len(rows) - 1)
    if not tests:
        return rows, rows[:0]
    from sklearn.model_selection import train_test_split  # slow to import: workers do without

    trains = len(rows) - tests
    train, test = train_test_split(
        rows,
        train_size=trains,
        test_size=tests,
        random_state=split_seed,
        shuffle=True,
        stratify=_strata(labels, most=min(trains, tests)),
    )
    return train, test


def _strata(labels: NDArray[Any], most: int) -> NDArray[Any] | None:
    """Labels to stratify by: the rarest merge until each has three rows and there are few enough.

    Two labels of which one has at most two rows end up as one stratum, that is None: FLamby's rule.
    """
    strata, sizes = labels.copy(), np.bincount(labels.astype(np.int64))
    codes = [int(code) for code in np.flatnonzero(sizes)]
    while len(codes) > 1 and (min(sizes[codes]) <= 2 or len(codes) > most):
        rarest, next_rarest = sorted(codes, key=lambda code: sizes[code])[:2]
        strata[strata == rarest] = next_rarest
        sizes[next_rarest] += sizes[rarest]
        codes.remove(rarest)
    return strata if len(codes) > 1 else None


def _scaled(features: NDArray[Any], reference: NDArray[Any]) -> NDArray[Any]:
    """The columns of (n, d) features, standardised by the mean and std of the reference rows."""
    mean = reference.mean(axis=0, dtype=np.float64)
    std = reference.std(axis=0, ddof=min(1, len(reference) - 1), dtype=np.float64)
    # A column constant in training has no scale: 1e-9 would blow up any value but that one.
    scaled: NDArray[Any] = np.where(std > 1e-9, (features - mean) / (std + 1e-9), 0.0)
    return scaled.astype(features.dtype)


def _scaled_by_client(
    data: Data, clients: Mapping[str, Split], pooled: Split
) -> tuple[Data, Split]:
    """Each client's rows on its own scale, then the pooled rows again on the scale of them all."""
    last = max(split.test.stop for split in clients.values())
    blocks = [np.arange(last), np.r_[pooled.train], np.r_[pooled.test]]
    copies = data.rows(np.concatenate(blocks))
    for split in clients.values():
        for rows in (split.train, split.test):
            copies.features[rows] = _scaled(data.features[rows], data.features[split.train])
    _, train, test = _end_to_end(blocks)
    for rows in (train, test):
        copies.features[rows] = _scaled(copies.features[rows], data.features[pooled.train])
    return copies, Split(train=train, test=test)


def _check_arguments(
    dataset: Dataset, held_out: float, standardise: Standardise, split_seed: int
) -> None:
    if not 0 <= held_out < 1:
        raise ValueError(f"Expected 0 <= held_out < 1, got {held_out}.")
    if standardise not in get_args(Standardise):
        raise ValueError(f"Expected standardise in {get_args(Standardise)}, got {standardise!r}.")
    if not 0 <= split_seed < 2**32:
        raise ValueError(f"Expected 0 <= split_seed < 2**32, got {split_seed}.")
    if standardise == "client" and not dataset.tabular:
        raise DataError(f"{dataset.name!r} has no columns to standardise: try 'pooled' or 'none'.")


def _check_finite(dataset: Dataset) -> None:
    features, targets = dataset.data.features, dataset.data.targets
    for what, values in (("features", features), ("targets", targets)):
        bad = ~np.isfinite(values)
        if not bad.any():
            continue
        columns = np.flatnonzero(bad.any(axis=0)).tolist() if bad.ndim == 2 else []
        where = f", in column {', '.join(map(str, columns[:5]))}" if columns else ""
        raise DataError(
            f"The {what} of {dataset.name!r} hold {bad.sum()} values that are not finite{where}:"
            " drop those rows or fill in the values."
        )
