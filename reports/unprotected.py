"""What a reader must know about privacy before anything else: today, nothing here protects a client."""

from __future__ import annotations

STATEMENT = (
    "No privacy guarantee: the mean is not noised, and no ε bounds what it says about a client."
)

UNPROTECTED = (
    "each client's update, which the coordinator receives in the clear",
    "how many training rows each client has",
    "each client's mean training loss, in every round in which it takes part",
    "each client's counts on its held-out rows, at every evaluation",
)
"""What leaves a client as it is."""
