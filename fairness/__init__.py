"""Whom a model serves: rates from counts that add, and how they differ between clients."""

from .statistics import Spread, add, headline, rates, spread

__all__ = ["Spread", "add", "headline", "rates", "spread"]
