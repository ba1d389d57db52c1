"""Checks of hyper-parameters: the message has the name, the rule and the value."""

from __future__ import annotations

import math


def positive(**values: float) -> None:
    """Raises ValueError unless every value is a finite number above 0.

    >>> positive(tau=0.0)
    Traceback (most recent call last):
    ...
    ValueError: Expected tau > 0, got 0.0.
    """
    for name, value in values.items():
        if not (value > 0 and math.isfinite(value)):  # also refuses NaN
            raise ValueError(f"Expected {name} > 0, got {value}.")


def not_negative(**values: float) -> None:
    """Raises ValueError unless every value is finite and at least 0."""
    for name, value in values.items():
        if not (value >= 0 and math.isfinite(value)):
            raise ValueError(f"Expected {name} >= 0, got {value}.")


def between(**values: float) -> None:
    """Raises ValueError unless every value is at least 0 and below 1."""
    for name, value in values.items():
        if not 0 <= value < 1:
            raise ValueError(f"Expected 0 <= {name} < 1, got {value}.")


def known(name: str, size: int | None) -> int:
    """A size that a run fills in. Raises ValueError if it is still open.

    >>> known("groups", None)
    Traceback (most recent call last):
    ...
    ValueError: Expected the number of groups, got None: a run fills it in.
    """
    if size is None:
        raise ValueError(f"Expected the number of {name}, got None: a run fills it in.")
    return size
