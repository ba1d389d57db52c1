"""Partitioners: who holds which row.

A partitioner is a frozen rule with one method, `split(dataset, rows, rng)`, which gives every
client's name and its row numbers. Clients are disjoint, and together they hold all of `rows`
(`Natural` alone may drop clients). The same generator state gives the same split.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .dataset import DataError, Dataset
from .suggest import unknown

Indices = NDArray[np.int64]

REDRAWS = 1000


@dataclass(frozen=True, kw_only=True)
class IID:
    """Rows dealt like cards: sizes differ by at most one.

    >>> from .bundled import wine
    >>> parts = IID(clients=3).split(wine(), np.arange(10), np.random.default_rng(0))
    >>> {name: len(rows) for name, rows in parts.items()}
    {'client-000': 4, 'client-001': 3, 'client-002': 3}
    """

    clients: int

    def __post_init__(self) -> None:
        _at_least_one(clients=self.clients)

    def split(
        self, dataset: Dataset, rows: Indices, rng: np.random.Generator
    ) -> dict[str, Indices]:
        """Every client's rows. Raises DataError if there are more clients than rows."""
        _enough(rows, self.clients)
        return _named(rows, rng.permutation(np.arange(len(rows)) % self.clients), self.clients)


@dataclass(frozen=True, kw_only=True)
class Dirichlet:
    """Label skew: each label's rows are divided in proportions drawn from Dir(alpha).

    The smaller `alpha`, the fewer labels a client sees; a large one approaches `IID`. Draws that
    leave a client with fewer than `min_rows` are rejected. Yurochkin et al. 2019, arXiv 1905.12022;
    Hsu et al. 2019, arXiv 1909.06335, draw each client's mixture of labels instead.

    >>> from .bundled import wine
    >>> rule = Dirichlet(clients=2, alpha=0.1)
    >>> sum(map(len, rule.split(wine(), np.arange(178), np.random.default_rng(0)).values()))
    178
    """

    clients: int
    alpha: float
    min_rows: int = 1

    def __post_init__(self) -> None:
        _at_least_one(clients=self.clients, min_rows=self.min_rows)
        _positive(alpha=self.alpha)

    def split(
        self, dataset: Dataset, rows: Indices, rng: np.random.Generator
    ) -> dict[str, Indices]:
        """Every client's rows. Raises DataError if no draw gives everyone `min_rows`."""
        strata = _labels(dataset)[rows]
        return _by_strata(rows, strata, self.clients, self.alpha, self.min_rows, rng)


@dataclass(frozen=True, kw_only=True)
class ByAttribute:
    """Group skew: each group's rows are divided in proportions drawn from Dir(alpha).

    `attribute` names one of the data set's sensitive attributes, such as "sex". Heilmann et al.
    2025 (FeDa4Fair, arXiv 2506.21095) show why fairness should be judged on such clients.
    """

    attribute: str
    clients: int
    alpha: float
    min_rows: int = 1

    def __post_init__(self) -> None:
        _at_least_one(clients=self.clients, min_rows=self.min_rows)
        _positive(alpha=self.alpha)

    def split(
        self, dataset: Dataset, rows: Indices, rng: np.random.Generator
    ) -> dict[str, Indices]:
        """Every client's rows. Raises DataError for an unknown attribute or an impossible draw."""
        strata = _groups(dataset, self.attribute)[rows]
        return _by_strata(rows, strata, self.clients, self.alpha, self.min_rows, rng)


@dataclass(frozen=True, kw_only=True)
class Joint:
    """Label and group skew together: each cell of label × group is divided by its own Dir(alpha).

    Base rates then differ between the groups of one client, and between clients, which no
    partition by label or by group alone brings about.
    """

    attribute: str
    clients: int
    alpha: float
    min_rows: int = 1

    def __post_init__(self) -> None:
        _at_least_one(clients=self.clients, min_rows=self.min_rows)
        _positive(alpha=self.alpha)

    def split(
        self, dataset: Dataset, rows: Indices, rng: np.random.Generator
    ) -> dict[str, Indices]:
        """Every client's rows. Raises DataError for an unknown attribute or an impossible draw."""
        groups = _groups(dataset, self.attribute)
        strata = (_labels(dataset) * (groups.max() + 1) + groups)[rows]
        return _by_strata(rows, strata, self.clients, self.alpha, self.min_rows, rng)


@dataclass(frozen=True, kw_only=True)
class QuantitySkew:
    """Size skew: everyone has `min_rows`, and the rest is divided in proportions from Dir(alpha).

    Which rows go to whom is left to chance, so labels and groups are as in `IID`.
    """

    clients: int
    alpha: float
    min_rows: int = 1

    def __post_init__(self) -> None:
        _at_least_one(clients=self.clients, min_rows=self.min_rows)
        _positive(alpha=self.alpha)

    def split(
        self, dataset: Dataset, rows: Indices, rng: np.random.Generator
    ) -> dict[str, Indices]:
        """Every client's rows. Raises DataError if there are not `min_rows` for everyone."""
        _enough(rows, self.clients * self.min_rows)
        spare = np.array([len(rows) - self.clients * self.min_rows])
        counts = self.min_rows + _shares(spare, self.clients, self.alpha, rng)[0]
        holder = rng.permutation(np.arange(self.clients).repeat(counts))
        return _named(rows, holder, self.clients)


@dataclass(frozen=True, kw_only=True)
class Shards:
    """Pathological label skew: rows sorted by label, cut into equal shards, some for each client.

    McMahan et al. 2017, arXiv 1602.05629: with two shards each, most clients see two labels.
    """

    clients: int
    shards_per_client: int

    def __post_init__(self) -> None:
        _at_least_one(clients=self.clients, shards_per_client=self.shards_per_client)

    def split(
        self, dataset: Dataset, rows: Indices, rng: np.random.Generator
    ) -> dict[str, Indices]:
        """Every client's rows. Raises DataError if there are more shards than rows."""
        shards = self.clients * self.shards_per_client
        if shards > len(rows):
            raise DataError(
                f"Cannot cut {len(rows)} rows into {shards} shards: try fewer clients or fewer"
                " shards per client."
            )
        shuffled = rng.permutation(len(rows))
        by_label = shuffled[np.argsort(_labels(dataset)[rows][shuffled], kind="stable")]
        holder = np.empty(len(rows), np.int64)
        holders = rng.permutation(np.arange(shards) % self.clients)
        for shard, client in zip(np.array_split(by_label, shards), holders, strict=True):
            holder[shard] = client
        return _named(rows, holder, self.clients)


@dataclass(frozen=True, kw_only=True)
class Natural:
    """The clients the data came with: hospitals, speakers, states. Draws nothing from `rng`.

    With `by`, each group of that sensitive attribute is a client instead, as each domain of Mohri
    et al. 2019 (arXiv 1902.00146) is. Clients with fewer than `min_rows` rows are dropped, and
    their rows with them.
    """

    min_rows: int = 1
    by: str | None = None

    def __post_init__(self) -> None:
        _at_least_one(min_rows=self.min_rows)

    def split(
        self, dataset: Dataset, rows: Indices, rng: np.random.Generator
    ) -> dict[str, Indices]:
        """Every client's rows. Raises DataError if the data has no owners, or all are dropped."""
        owner, owners = self._owners(dataset)
        parts = _parts(rows, owner[rows], len(owners))
        named = zip(owners, parts, strict=True)
        kept = {name: part for name, part in named if len(part) >= self.min_rows}
        if not kept:
            raise DataError(
                f"No client of {dataset.name!r} has {self.min_rows} rows (the largest has"
                f" {max(map(len, parts))}): try a smaller min_rows."
            )
        return kept

    def _owners(self, dataset: Dataset) -> tuple[Indices, tuple[str, ...]]:
        if self.by is not None:
            return _groups(dataset, self.by), dataset.group_names[self.by]
        if dataset.owner is None:
            raise DataError(
                f"Data set {dataset.name!r} has no natural clients: try IID, Dirichlet or Shards,"
                " or synthetic, heart_disease, adult, acs, shakespeare or spoken_digits, which have"
                " them."
            )
        return dataset.owner, dataset.owners


Partition = IID | Dirichlet | ByAttribute | Joint | QuantitySkew | Shards | Natural


def _by_strata(
    rows: Indices,
    strata: Indices,
    clients: int,
    alpha: float,
    min_rows: int,
    rng: np.random.Generator,
) -> dict[str, Indices]:
    """Divides every stratum in proportions of its own, drawn again until no client is too small."""
    _enough(rows, clients * min_rows)
    codes, sizes = np.unique(strata, return_counts=True)
    for _ in range(REDRAWS):
        counts = _shares(sizes, clients, alpha, rng)
        if counts.sum(axis=0).min() >= min_rows:
            break
    else:
        raise DataError(
            f"{REDRAWS} draws with alpha {alpha:g} left some of {clients} clients with fewer than"
            f" {min_rows} rows: try a larger alpha, fewer clients, a smaller min_rows, or Shards."
        )
    holder = np.empty(len(rows), np.int64)
    for code, count in zip(codes, counts, strict=True):
        holder[rng.permutation(np.flatnonzero(strata == code))] = np.arange(clients).repeat(count)
    return _named(rows, holder, clients)


def _shares(sizes: Indices, clients: int, alpha: float, rng: np.random.Generator) -> Indices:
    """How many rows of each stratum every client gets, shape (strata, clients)."""
    proportions = rng.dirichlet(np.full(clients, alpha), size=len(sizes))
    cuts = np.floor(proportions.cumsum(axis=1)[:, :-1] * sizes[:, None]).astype(np.int64)
    return np.diff(cuts, axis=1, prepend=0, append=sizes[:, None])


def _named(rows: Indices, holder: Indices, clients: int) -> dict[str, Indices]:
    width = max(3, len(str(clients - 1)))
    parts = _parts(rows, holder, clients)
    return {f"client-{index:0{width}}": part for index, part in enumerate(parts)}


def _parts(rows: Indices, holder: Indices, clients: int) -> list[Indices]:
    """The rows of holder 0, 1, ..., each in the order in which they came."""
    ends = np.bincount(holder, minlength=clients).cumsum()
    return np.split(rows[np.argsort(holder, kind="stable")], ends[:-1])


def _labels(dataset: Dataset) -> Indices:
    if not dataset.classes or dataset.data.targets.ndim != 1:
        raise DataError(
            f"Data set {dataset.name!r} has no label for each row, so clients cannot differ in"
            " labels: try IID, QuantitySkew or Natural."
        )
    return dataset.labels().astype(np.int64)


def _groups(dataset: Dataset, attribute: str) -> Indices:
    if attribute not in dataset.data.groups:
        known = dataset.data.groups
        raise DataError(unknown(f"attribute of {dataset.name!r}", attribute, known))
    return dataset.data.groups[attribute]


def _enough(rows: Indices, needed: int) -> None:
    if needed > len(rows):
        raise DataError(
            f"{len(rows)} rows cannot give every client its least ({needed} rows in all):"
            " try fewer clients or a smaller min_rows."
        )


def _at_least_one(**numbers: int) -> None:
    for name, number in numbers.items():
        if not number >= 1:
            raise ValueError(f"Expected {name} >= 1, got {number}.")


def _positive(**numbers: float) -> None:
    for name, number in numbers.items():
        if not 0 < number < math.inf:
            raise ValueError(f"Expected finite {name} > 0, got {number}.")
