"""What a benchmark asks of a coordinator, and what it is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

STUDY = {"name": "a benchmark", "as long as": "a study file" + 2000 * "."}
FINGERPRINT = "f"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run of `rounds` rounds over `cohort` of `clients` (0: all) with a model of `size` bytes.

    `certs` has the parties' folders; without it names are believed. When connections are `shared`,
    the certificate is that of a proxy, and a header says which client speaks.
    """

    folder: Path
    clients: tuple[str, ...] = field(repr=False)
    size: int
    rounds: int
    certs: Path | None = None
    shared: bool = False
    cohort: int = 0
    evaluates: bool = False


@dataclass(frozen=True, kw_only=True)
class Took:
    """Seconds: from one commit to the next, of the rounds alone, and of the evaluations alone."""

    periods: list[float]
    rounds: list[float]
    evaluations: list[float]


def model(size: int) -> dict[str, NDArray[Any]]:
    """About `size` bytes of parameters in sixteen arrays."""
    rng = np.random.default_rng(0)
    return {f"{n:02d}": rng.random(max(size // 64, 1), dtype=np.float32) for n in range(16)}
