"""Tables that noise was added to: what they can have been, and what other noise would have made of them.

Noise makes counts negative and parts that do not add up to the whole. `settle` takes tables to the
closest ones that rows could have: a step that is done once, before anything is computed, so that every
rate stays within its bounds. Being a function of what was released, it costs no privacy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from ..privacy.simplex import onto_simplex
from ..wire.messages import EXAMPLES
from .rate import Array
from .tables import ERRORS, TRAINED, Schema, Tables, overall


def noised(
    tables: Mapping[str, Array], deviation: float, draws: int, rng: np.random.Generator
) -> dict[str, Array]:
    """Draws of tables of one attribute with other Gaussian noise on every entry, settled: (D, ...).

    The tables have their own shape, or (D, ...) already.
    """
    return settle(
        {
            name: table + deviation * rng.standard_normal((draws, *table.shape[-_axes(name) :]))
            for name, table in tables.items()
        }
    )


LOUD: Final = 2.0
"""By how many deviations a sum has to stand out from the noise on it."""


def audible(schema: Schema, total: Tables, deviation: float) -> dict[str, float]:
    """The statistics over all rows of noised tables, of which those that noise drowns are left out.

    Nothing at all, where the number of rows itself does not stand out from the noise on it.

    >>> schema = Schema(classes=2)
    >>> total = schema.zeros() | {"everyone/confusion": np.array([[[50.0, -3.0], [9.0, 44.0]]])}
    >>> audible(schema, total, deviation=5.0), audible(schema, total, deviation=50.0)
    ({'examples': 100.0, 'correct': 94.0}, {})
    """
    found, groups = overall(schema, total), len(schema.attributes[0].groups)
    rows, scale = found[EXAMPLES], schema.scale or 1.0
    if rows < rows_needed(schema, deviation):
        return {}
    units = {"loss": schema.most, "target": scale}
    units |= dict.fromkeys(("squared_error", "target_squared"), scale**2)
    most = {name: rows * units.get(name, 1.0) for name in found}
    least = {name: LOUD * deviation * math.sqrt(groups) * units.get(name, 1.0) for name in found}
    return {
        name: max(-most[name], min(value, most[name]))
        for name, value in found.items()
        if abs(value) >= least[name]
    }


def rows_needed(schema: Schema, deviation: float) -> float:
    """How many rows stand out from noise of that deviation on every cell that counts them."""
    cells = len(schema.attributes[0].groups) * (schema.classes or 1) ** 2
    return LOUD * deviation * math.sqrt(cells)


def settle(tables: Mapping[str, Array]) -> dict[str, Array]:
    """The tables of one attribute, by kind, as rows could have them; those of rows stay as they are.

    A group has as many rows as its moments say on average, at least 0, and likewise train rows. Each
    group's confusion table is projected onto those that are not negative and add up to that, its
    histogram of scores onto those that add up to the classes of its confusion table. Sums of values in
    [0, 1], or [-1, 1] for errors, are kept where such values can have them.
    """
    moments = [name for name in tables if name == "loss" or name.startswith("metric.")]
    rows = _rows(tables, moments)
    found = {name: _moments(tables[name], rows) for name in moments}
    if "clipped" in tables:
        trained = _rows(tables, TRAINED)
        found["clipped"] = np.stack([trained, np.clip(tables["clipped"][..., 1], 0.0, trained)], -1)
        found["fit_loss"] = _moments(tables["fit_loss"], trained)
    if "pairs" in tables:
        found["pairs"] = _pairs(tables["pairs"])
    if "errors" in tables:
        found["errors"] = _errors(tables["errors"], rows)
    if "confusion" in tables:
        confusion = _cells(tables["confusion"], rows, axes=2)
        right = np.trace(confusion, axis1=-2, axis2=-1)
        halves = np.stack([rows - right, right], -1)
        classes = confusion.sum(-1) if confusion.shape[-1] == 2 else np.maximum(halves, 0.0)
        found["confusion"] = confusion
        found["scores"] = _cells(tables["scores"], classes, axes=1)
    return {name: found[name] for name in tables}


def _rows(tables: Mapping[str, Array], names: Sequence[str]) -> Array:
    """How many rows the tables say that there are, on average."""
    rows: Array = np.maximum(np.mean([tables[name][..., 0] for name in names], axis=0), 0.0)
    return rows


def _axes(name: str) -> int:
    return 3 if name in ("confusion", "scores") else 2


def _cells(table: Array, total: Array, axes: int) -> Array:
    shape = table.shape[: table.ndim - axes]
    return onto_simplex(table.reshape(*shape, -1), total).reshape(table.shape)


def _moments(table: Array, rows: Array) -> Array:
    """Σx in [0, n], and Σx² in [(Σx)²/n, Σx], as it is for n values in [0, 1]."""
    total = np.clip(table[..., 1], 0.0, rows)
    least = total**2 / np.where(rows > 0, rows, 1.0)
    return np.stack([rows, total, np.clip(table[..., 2], least, total)], -1)


def _pairs(table: Array) -> Array:
    """No more that are concordant or tied than are comparable."""
    comparable = np.maximum(table[..., 0], 0.0)
    concordant = np.clip(table[..., 1], 0.0, comparable)
    tied = np.clip(table[..., 2], 0.0, comparable - concordant)
    return np.stack([comparable, concordant, tied], -1)


def _errors(table: Array, rows: Array) -> Array:
    """Σ|r| in [|Σr|, n], and sums of squares at least those of values that are all alike."""
    part = {name: table[..., n] for n, name in enumerate(ERRORS)}
    size = np.where(rows > 0, rows, 1.0)
    residual, target = (np.clip(part[name], -rows, rows) for name in ("residual", "target"))
    absolute = np.clip(part["absolute"], np.abs(residual), rows)
    squared = np.clip(part["squared"], absolute**2 / size, absolute)
    target_squared = np.clip(part["target_squared"], target**2 / size, rows)
    return np.stack([rows, residual, absolute, squared, target, target_squared], -1)
