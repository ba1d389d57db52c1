"""Whom a model serves: rates from counts that add, and how they differ between clients and groups."""

from .assessing import assess
from .assessment import (
    Assessment,
    Bin,
    ByAttribute,
    ClientFairness,
    Estimate,
    Gap,
    Group,
    LocalGap,
)
from .clients import Evenness, evenness
from .intervals import Interval
from .statistics import Spread, add, headline, rates, spread
from .tables import Attribute, Judged, Schema, Tables

__all__ = [
    "Assessment",
    "Attribute",
    "Bin",
    "ByAttribute",
    "ClientFairness",
    "Estimate",
    "Evenness",
    "Gap",
    "Group",
    "Interval",
    "Judged",
    "LocalGap",
    "Schema",
    "Spread",
    "Tables",
    "add",
    "assess",
    "evenness",
    "headline",
    "rates",
    "spread",
]
