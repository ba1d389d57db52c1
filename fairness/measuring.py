"""An evaluation: what is counted, and what is done to the counts before they leave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..privacy.counts import ClientCounts, RowCounts
from ..privacy.sampling import Sampling
from .tables import Schema

WHOLE: Final = Sampling(scheme="everyone", clients=1, participation=1.0)
"""How an evaluation is sampled: everybody who has rows takes part, and a sum is divided by one."""

Counts = ClientCounts | RowCounts
"""How counts leave, where they are protected."""


@dataclass(frozen=True, kw_only=True)
class Measuring:
    """The tables of `schema`, exact and unprotected, or with `noise`.

    With noise nothing else leaves a client at an evaluation: not its statistics, nor how many rows it
    has. Who holds rows to evaluate on is public.
    """

    schema: Schema
    noise: Counts | None = None
