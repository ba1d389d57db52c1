"""From sums of values and of their squares, shape (..., G, columns), to means and errors by group."""

from __future__ import annotations

import numpy as np

from .rate import ANY, POSITIVE, Array, Rate, divide
from .tables import ERRORS


def mean_rate(moments: Array, most: float = 1.0) -> Rate:
    """The mean of values in [0, `most`] from their `MOMENTS`, shape (..., 3), divided by `most`."""
    rows, total, squares = (moments[..., column] for column in range(3))
    mean = divide(total, rows)
    return Rate(
        value=mean * most,
        rows=rows,
        error=_error(mean, squares, rows) * most,
        bounds=(0.0, most),
    )


def regression_rates(errors: Array, scale: float | None = None) -> dict[str, Rate]:
    """Mean absolute error, RMSE, bias (prediction less target) and R² from `ERRORS`, shape (..., 6).

    `rmse` and `r2` have no standard error: it would need fourth moments, which are not counted. Drawing
    clients anew gives them an interval.
    """
    unit = 1.0 if scale is None else scale
    rows = errors[..., 0]
    means = {name: divide(errors[..., n], rows) for n, name in enumerate(ERRORS) if n}
    squared = means["squared"]
    spread = means["target_squared"] - means["target"] ** 2
    mean_errors = {
        name: _error(means[name], errors[..., ERRORS.index("squared")], rows) * unit
        for name in ("absolute", "residual")
    }
    return {
        "bias": Rate(
            value=means["residual"] * unit, rows=rows, error=mean_errors["residual"], bounds=ANY
        ),
        "mae": Rate(
            value=means["absolute"] * unit,
            rows=rows,
            error=mean_errors["absolute"],
            bounds=POSITIVE,
        ),
        "r2": Rate(value=1 - divide(squared, spread), rows=rows, bounds=ANY),
        "rmse": Rate(value=np.sqrt(np.maximum(squared, 0.0)) * unit, rows=rows, bounds=POSITIVE),
    }


def _error(mean: Array, squares: Array, rows: Array) -> Array:
    """The standard error of a mean, from the sum of squares; NaN of one row, which says nothing of it."""
    spread = np.maximum(divide(squares, rows) - mean**2, 0.0)
    return np.sqrt(divide(spread, np.maximum(rows - 1, 0.0)))
