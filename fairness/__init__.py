"""Whom a model serves: rates from counts that add, and how they differ between clients and groups."""

from .statistics import Spread, add, headline, rates, spread
from .tables import Attribute, Judged, Schema, Tables

__all__ = [
    "Attribute",
    "Judged",
    "Schema",
    "Spread",
    "Tables",
    "add",
    "headline",
    "rates",
    "spread",
]
