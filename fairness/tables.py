"""What is counted about a model, by group: tables of counts that add.

A table of the union of two sets of rows is the sum of their tables. So they may be added over batches,
clients, machines and tiers, in the clear, masked or noised, and whatever is a function of them needs
nobody's rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..wire.messages import EXAMPLES
from .concordance import PAIRS, count_pairs
from .counting import cells, moments, sums

Tables = Mapping[str, NDArray[np.float64]]
"""Counts, and sums of values rounded to multiples of 2^-24: exact in float64 up to 2^29 rows."""

MOST_ROWS: Final = 2.0**53
EVERYONE: Final = "everyone"
"""The attribute that is counted where no other is declared: it has one group, of the same name."""
MOMENTS: Final = ("rows", "sum", "squares")
ERRORS: Final = ("rows", "residual", "absolute", "squared", "target", "target_squared")
"""The columns of a table of errors: sums of r, |r|, r², y and y², where r is the prediction less y."""
CLIPPED: Final = ("rows", "clipped")
TRAINED: Final = ("clipped", "fit_loss")
"""The kinds of tables that are of the rows that are trained on; all others are of those held out."""


@dataclass(frozen=True, kw_only=True)
class Attribute:
    """Groups of rows, by name: `groups[k]` is what code k stands for.

    The vocabulary is fixed before anyone counts. Who has no row of a group counts zero, and nobody is
    asked which groups it has.
    """

    name: str
    groups: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.groups or len(set(self.groups)) < len(self.groups):
            raise ValueError(
                f"Expected groups of {self.name!r} with a name each, got {self.groups}."
            )


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What a model said of n rows. Nothing in here prints.

    `targets` and `guesses` have shape (n,): class codes, or numbers to regress on; for survival,
    targets of shape (n, 2) (see `count_pairs`) and risks. `scores` in [0, 1] is the probability of
    class 1 where there are two classes, and of the guess where there are more; empty for regression.
    `losses` has shape (n,), and `metrics` further values in [0, 1] of that shape. `groups` has the
    codes of each attribute, shape (n,).
    """

    targets: NDArray[Any] = field(repr=False)
    guesses: NDArray[Any] = field(repr=False)
    scores: NDArray[Any] = field(repr=False)
    losses: NDArray[Any] = field(repr=False)
    groups: Mapping[str, NDArray[np.int64]] = field(default_factory=dict, repr=False)
    metrics: Mapping[str, NDArray[Any]] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What DP-SGD makes of n rows that it trains on. Nothing in here prints.

    `losses` and `clipped`, whether a row's gradient is longer than the clip, have shape (n,); `groups` is
    as in `Judged`.
    """

    losses: NDArray[Any] = field(repr=False)
    clipped: NDArray[np.bool_] = field(repr=False)
    groups: Mapping[str, NDArray[np.int64]] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True)
class Schema:
    """Which tables there are. Everybody who counts has the same.

    With `classes` C > 0, for each attribute of G groups:

    - `ATTRIBUTE/confusion` (G, C, C): rows by group, class and guess;
    - `ATTRIBUTE/scores` (G, 2, `bins`): rows by group, class (or, of more than two classes, whether the
      guess is right) and bin of the score.

    With `classes` 0, for regression: `ATTRIBUTE/errors` (G, 6), the `ERRORS` of each group, where
    predictions and targets are divided by `scale` and kept within [-1, 1] if there is a scale. With
    `classes` None nothing is counted of what is said but the losses; or, with `survival`,
    `ATTRIBUTE/pairs` (G, 3), the `PAIRS` of each group: of rows that are counted together.

    And always: `ATTRIBUTE/loss` (G, 3), the `MOMENTS` of the losses, divided by `most` and kept within
    [0, 1], and `ATTRIBUTE/metric.NAME` (G, 3) for each of `metrics`.

    All these are of rows that are held out. With `clipping` there are tables of the train rows too:
    `ATTRIBUTE/clipped` (G, 2), the rows and those that DP-SGD clips, and `ATTRIBUTE/fit_loss` (G, 3), the
    `MOMENTS` of their losses.

    >>> schema = Schema(attributes=(Attribute(name="sex", groups=("female", "male")),), classes=2)
    >>> {name: table.shape for name, table in schema.zeros().items()}
    {'sex/confusion': (2, 2, 2), 'sex/loss': (2, 3), 'sex/scores': (2, 2, 50)}
    """

    attributes: tuple[Attribute, ...] = (Attribute(name=EVERYONE, groups=(EVERYONE,)),)
    classes: int | None
    bins: int = 50
    most: float = 16.0
    scale: float | None = None
    metrics: tuple[str, ...] = ()
    survival: bool = False
    clipping: bool = False

    def __post_init__(self) -> None:
        names = [attribute.name for attribute in self.attributes]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"Expected attributes with a name each, got {names}.")
        if any("/" in name for name in (*names, *self.metrics)):
            raise ValueError(f"Expected names without a slash, got {(*names, *self.metrics)}.")
        if self.survival and self.classes is not None:
            raise ValueError(f"Expected no classes with survival, got {self.classes}.")
        if self.bins < 1 or not self.most > 0 or (self.classes or 0) < 0:
            raise ValueError("Expected bins >= 1, most > 0 and classes >= 0.")

    def attribute(self, name: str) -> Attribute:
        """The attribute of that name. Raises KeyError if there is none."""
        return {attribute.name: attribute for attribute in self.attributes}[name]

    def zeros(self) -> dict[str, NDArray[np.float64]]:
        """The tables of no rows."""
        return {
            f"{attribute.name}/{kind}": np.zeros((len(attribute.groups), *shape))
            for attribute in self.attributes
            for kind, shape in sorted(self._shapes().items())
        }

    def count(self, judged: Judged) -> dict[str, NDArray[np.float64]]:
        """The tables of some held-out rows. Raises ValueError for a code that is not in the vocabulary.

        >>> schema = Schema(classes=2, bins=4)
        >>> judged = Judged(
        ...     targets=np.array([0, 1]),
        ...     guesses=np.array([1, 1]),
        ...     scores=np.array([0.5, 0.9]),
        ...     losses=np.array([0.8, 0.1]),
        ... )
        >>> schema.count(judged)["everyone/confusion"].tolist()
        [[[0.0, 1.0], [0.0, 1.0]]]
        """
        found: dict[str, NDArray[np.float64]] = {}
        for attribute in self.attributes:
            codes = _codes(attribute, judged.groups, len(judged.targets))
            for kind, table in self._of(judged, codes, len(attribute.groups)).items():
                found[f"{attribute.name}/{kind}"] = table
        return {name: found[name] for name in sorted(found)}

    def odd(self, tables: Tables, rows: int) -> str | None:
        """The name of a table that `rows` rows cannot have; None if there is none.

        Every row is counted once in each table, and what is counted is not negative. (Sums of residuals
        and of targets may be.) Pairs, of which a row is in any number, have only to be counts.

        >>> schema = Schema(classes=2)
        >>> schema.odd(schema.zeros(), rows=0), schema.odd(schema.zeros(), rows=3)
        (None, 'everyone/confusion')
        """
        for name, table in tables.items():
            kind = name.rpartition("/")[2]
            counts = table if kind in ("confusion", "scores", "pairs") else table[:, :1]
            finite = np.all(np.abs(table) <= MOST_ROWS)  # also refuses NaN
            if not finite or not np.all(counts >= 0):
                return name
            if kind != "pairs" and counts.sum() != rows:
                return name
        return None

    def count_trained(self, trained: Trained) -> dict[str, NDArray[np.float64]]:
        """The tables of some train rows. Raises ValueError as `count` does.

        >>> trained = Trained(losses=np.array([8.0, 0.0]), clipped=np.array([True, False]))
        >>> found = Schema(classes=2, clipping=True).count_trained(trained)
        >>> {name: table.tolist() for name, table in found.items()}
        {'everyone/clipped': [[2.0, 1.0]], 'everyone/fit_loss': [[2.0, 0.5, 0.25]]}
        """
        rows, losses = len(trained.losses), trained.losses / self.most
        columns = (np.ones(rows), trained.clipped.astype(np.float64))
        found = {}
        for attribute in self.attributes:
            codes, groups = _codes(attribute, trained.groups, rows), len(attribute.groups)
            found[f"{attribute.name}/clipped"] = sums(columns, codes, groups)
            found[f"{attribute.name}/fit_loss"] = moments(losses, codes, groups)
        return found

    @property
    def sensitivity(self) -> float:
        """The L2 norm by which one row more or less changes all tables together, at most.

        A row is held out or trained on, so that it changes the tables of one kind, and none of the other.
        Infinite for a regression without a scale, and for survival: a row is in many pairs. Replacing
        a row changes them by twice that, at most.

        >>> Schema(classes=2).sensitivity == math.sqrt(1 + 1 + 3)
        True
        >>> Schema(classes=None).sensitivity, Schema(classes=None, clipping=True).sensitivity
        (1.7320508075688772, 2.23606797749979)
        """
        values = len(MOMENTS) * (1 + len(self.metrics))
        match self.classes:
            case None:
                outcomes = math.inf if self.survival else 0.0
            case 0:
                outcomes = math.inf if self.scale is None else len(ERRORS)
            case _:
                outcomes = 2
        trained = len(CLIPPED) + len(MOMENTS) if self.clipping else 0
        return math.sqrt(len(self.attributes) * max(outcomes + values, trained))

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        found: dict[str, tuple[int, ...]] = {
            kind: (len(MOMENTS),) for kind in ("loss", *map(_metric, self.metrics))
        }
        if self.classes:
            found |= {"confusion": (self.classes, self.classes), "scores": (2, self.bins)}
        elif self.classes == 0:
            found["errors"] = (len(ERRORS),)
        elif self.survival:
            found["pairs"] = (len(PAIRS),)
        if self.clipping:
            found |= {"clipped": (len(CLIPPED),), "fit_loss": (len(MOMENTS),)}
        return found

    def _of(
        self, judged: Judged, codes: NDArray[np.int64], groups: int
    ) -> dict[str, NDArray[np.float64]]:
        found = {"loss": moments(judged.losses / self.most, codes, groups)}
        for name in self.metrics:
            found[_metric(name)] = moments(judged.metrics[name], codes, groups)
        if self.classes:
            found |= self._outcomes(judged, codes, groups, self.classes)
        elif self.classes == 0:
            found["errors"] = self._errors(judged, codes, groups)
        elif self.survival:
            found["pairs"] = count_pairs(judged.targets, judged.guesses, codes, groups)
        return found

    def _outcomes(
        self, judged: Judged, codes: NDArray[np.int64], groups: int, size: int
    ) -> dict[str, NDArray[np.float64]]:
        places = (codes, judged.targets.astype(np.int64), judged.guesses.astype(np.int64))
        right = places[1] if size == 2 else (places[1] == places[2]).astype(np.int64)
        bins = np.clip(np.nan_to_num(judged.scores) * self.bins, 0, self.bins - 1).astype(np.int64)
        return {
            "confusion": cells(places, (groups, size, size)),
            "scores": cells((codes, right, bins), (groups, 2, self.bins)),
        }

    def _errors(self, judged: Judged, codes: NDArray[np.int64], groups: int) -> NDArray[np.float64]:
        targets, guesses = judged.targets.astype(np.float64), judged.guesses.astype(np.float64)
        residuals = guesses - targets
        if self.scale is not None:
            worst = (np.nan_to_num(v / self.scale, nan=1.0) for v in (targets, residuals))
            targets, residuals = (np.clip(values, -1, 1) for values in worst)
        columns = (
            np.ones(len(targets)),
            residuals,
            np.abs(residuals),
            residuals**2,
            targets,
            targets**2,
        )
        return sums(columns, codes, groups)


def add_tables(tables: Iterable[Tables]) -> dict[str, NDArray[np.float64]]:
    """The tables of all rows together: the sum, name by name; none of none."""
    found: dict[str, NDArray[np.float64]] = {}
    for each in tables:
        for name, table in each.items():
            found[name] = found[name] + table if name in found else table
    return found


def overall(schema: Schema, tables: Tables) -> dict[str, float]:
    """The statistics over all rows, whatever their group: `examples`, `loss`, and what the task counts.

    What noise made negative is 0.

    >>> schema = Schema(classes=2)
    >>> tables = schema.zeros() | {"everyone/confusion": np.array([[[3.0, 1.0], [0.0, 4.0]]])}
    >>> overall(schema, tables)
    {'examples': 8.0, 'loss': 0.0, 'correct': 7.0}
    """
    first = schema.attributes[0].name
    rows, loss, _ = tables[f"{first}/loss"].sum(axis=0).tolist()
    found = {EXAMPLES: rows, "loss": loss * schema.most}
    for name in schema.metrics:
        found[name] = float(tables[f"{first}/{_metric(name)}"][:, 1].sum())
    if schema.classes:
        confusion = tables[f"{first}/confusion"].sum(axis=0)
        found |= {EXAMPLES: float(confusion.sum()), "correct": float(np.trace(confusion))}
    elif schema.classes == 0:
        errors = dict(zip(ERRORS, tables[f"{first}/errors"].sum(axis=0).tolist(), strict=True))
        scale = schema.scale or 1.0
        found |= {
            "squared_error": errors["squared"] * scale**2,
            "target": errors["target"] * scale,
            "target_squared": errors["target_squared"] * scale**2,
        }
    elif schema.survival:
        found |= dict(zip(PAIRS, tables[f"{first}/pairs"].sum(axis=0).tolist(), strict=True))
    return {name: value if name == "target" else max(value, 0.0) for name, value in found.items()}


def schema_from(table: Mapping[str, Any]) -> Schema:
    """The schema of which `table` is `dataclasses.asdict`, perhaps by way of JSON."""
    attributes = tuple(
        Attribute(name=each["name"], groups=tuple(each["groups"])) for each in table["attributes"]
    )
    return Schema(**{**table, "attributes": attributes, "metrics": tuple(table["metrics"])})


def _codes(
    attribute: Attribute, groups: Mapping[str, NDArray[np.int64]], rows: int
) -> NDArray[np.int64]:
    if attribute.name == EVERYONE and EVERYONE not in groups:
        return np.zeros(rows, np.int64)
    return groups[attribute.name]


def _metric(name: str) -> str:
    return f"metric.{name}"
