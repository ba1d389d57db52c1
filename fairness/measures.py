"""Every rate that the tables of an attribute give, by one name each."""

from __future__ import annotations

from collections.abc import Mapping

from .concordance import concordance
from .confusion import binary_rates, class_rates
from .moments import mean_rate, regression_rates
from .rate import Array, Rate
from .scores import auc, brier, calibration_error
from .statistics import headline
from .tables import Schema, Tables


def of_attribute(tables: Tables, attribute: str) -> dict[str, Array]:
    """The tables of one attribute, by kind."""
    start = f"{attribute}/"
    return {
        name.removeprefix(start): table for name, table in tables.items() if name.startswith(start)
    }


def together(tables: Mapping[str, Array]) -> dict[str, Array]:
    """The tables of all groups of an attribute taken together: one group."""
    return {
        kind: table.sum(-3 if kind in ("confusion", "scores") else -2, keepdims=True)
        for kind, table in tables.items()
    }


def measure(schema: Schema, tables: Mapping[str, Array]) -> dict[str, Rate]:
    """The rates of each group, shape (..., G), from the tables of one attribute by kind.

    >>> tables = Schema(classes=2).zeros()
    >>> sorted(measure(Schema(classes=2), of_attribute(tables, "everyone")))[:4]
    ['accuracy', 'auc', 'base_rate', 'brier']
    """
    found = {"loss": mean_rate(tables["loss"], schema.most)}
    if "clipped" in tables:
        found["clipped_share"] = mean_rate(tables["clipped"][..., [0, 1, 1]])  # 1 is its own square
        found["fit_loss"] = mean_rate(tables["fit_loss"], schema.most)
    for name in schema.metrics:
        found[name] = mean_rate(tables[f"metric.{name}"])
    if "errors" in tables:
        found |= regression_rates(tables["errors"], schema.scale)
    if "pairs" in tables:
        found["concordance"] = concordance(tables["pairs"])
    if "confusion" in tables:
        found |= of_confusion(schema, tables["confusion"])
    if "scores" in tables:
        scores = tables["scores"]
        found["calibration_error"] = calibration_error(scores)
        if schema.classes == 2:
            found |= {"auc": auc(scores), "brier": brier(scores)}
    return dict(sorted(found.items()))


def headline_of(schema: Schema) -> tuple[str, bool]:
    """The rate by which models are compared, and whether more of it is better."""
    other = ["concordance"] if schema.survival else []
    return headline({None: other, 0: ["rmse"]}.get(schema.classes, ["accuracy"]))


def of_confusion(schema: Schema, confusion: Array) -> dict[str, Rate]:
    """The rates that a confusion table gives by itself."""
    return binary_rates(confusion) if schema.classes == 2 else class_rates(confusion)
