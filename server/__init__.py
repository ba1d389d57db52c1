"""The coordinator's side: rounds, cohorts, admission and the store. Nothing here imports torch."""

from .admission import Admission
from .coordinator import POOLED, Coordinator
from .progress import Began, Committed, Evaluated, Failed, Observe, Progress, Refused
from .sampler import Cohort, Cyclic, Everyone, FixedSize, Poisson, Sampler
from .store import Store

__all__ = [
    "POOLED",
    "Admission",
    "Began",
    "Cohort",
    "Committed",
    "Coordinator",
    "Cyclic",
    "Evaluated",
    "Everyone",
    "Failed",
    "FixedSize",
    "Observe",
    "Poisson",
    "Progress",
    "Refused",
    "Sampler",
    "Store",
]
