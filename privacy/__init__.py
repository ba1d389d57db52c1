"""Mechanisms, their noise, the events they cause, and the ledger and accountants that judge those."""

from .account import Account
from .accounting import AccountantsDisagree, Verdict, calibrate, releases_left, verdict
from .adaptive import AdaptiveGaussian
from .banded import BandedGaussian
from .budget import Adjacency, Budget, Unit
from .event import Event, Unaccountable
from .gaussian import Gaussian
from .ledger import Entry, Ledger
from .local import LocalGaussian
from .mean import Mean
from .mechanism import Mechanism
from .noise import Noise
from .sampling import Sampling
from .secret import Secret

__all__ = [
    "Account",
    "AccountantsDisagree",
    "AdaptiveGaussian",
    "Adjacency",
    "BandedGaussian",
    "Budget",
    "Entry",
    "Event",
    "Gaussian",
    "Ledger",
    "LocalGaussian",
    "Mean",
    "Mechanism",
    "Noise",
    "Sampling",
    "Secret",
    "Unaccountable",
    "Unit",
    "Verdict",
    "calibrate",
    "releases_left",
    "verdict",
]
