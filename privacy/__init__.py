"""Mechanisms: what one client may add to a sum, and what is released of it."""

from .mean import Mean
from .mechanism import Mechanism

__all__ = ["Mean", "Mechanism"]
