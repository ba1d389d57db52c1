"""Deployment: who may take part, and the parts of a run on the machines that take part."""

from .authority import Authority
from .issued import Issued

__all__ = ["Authority", "Issued"]
