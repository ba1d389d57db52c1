"""What federation is compared with: all rows in one place, and every client by itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ..fairness.statistics import headline, rates
from ..server.coordinator import POOLED
from ..wire.durable import write_durably
from ..wire.errors import ClientsFailed
from ..wire.messages import Arrays, Instruction, Purpose, Settings, Statistics
from ..wire.transport import Transport


@dataclass(frozen=True, kw_only=True)
class Baselines:
    """Statistics of models that were trained without federation, for as long as the whole run.

    `pooled` is one model trained on all train rows and measured on the pooled test rows (empty if
    it was not asked for). `alone` is each client's own model, measured on the client's own rows.
    `refused` says why a result is missing, by client: as a rule because training diverged.
    """

    pooled: Statistics
    alone: Mapping[str, Statistics]
    refused: Mapping[str, str] = field(default_factory=dict)

    def mean_alone(self) -> tuple[str, float] | None:
        """The headline rate of the lone models, averaged over those clients that were not refused."""
        by_client = [rates(counts) for counts in self.alone.values()]
        if not by_client:
            return None
        name, _ = headline(by_client[0])
        return name, sum(found[name] for found in by_client) / len(by_client)


def train_baselines(
    transport: Transport,
    wanted: Sequence[str],
    clients: Sequence[str],
    *,
    seed: int,
    parameters: Arrays,
    settings: Settings,
) -> Baselines:
    """Trains what `wanted` names ("pooled", "alone") from `parameters`.

    Raises `ClientsFailed` if a client raises.
    """
    members = [*([POOLED] if "pooled" in wanted else []), *(clients if "alone" in wanted else [])]
    instruction = Instruction(
        round=0, purpose=Purpose.ALONE, seed=seed, parameters=parameters, settings=settings
    )
    fold = transport.gather(instruction, members)
    if fold.failures:
        first = fold.failures[0]
        message = f"Training {first.client!r} alone failed: {first.error}"
        raise ClientsFailed(0, message, fold.failures)
    found = {receipt.client: receipt.statistics for receipt in fold.receipts}
    refused = {refusal.client: refusal.reason for refusal in fold.refusals}
    return Baselines(pooled=found.pop(POOLED, {}), alone=found, refused=refused)


def save_baselines(path: Path, baselines: Baselines) -> None:
    """Writes them where `load_baselines` finds them."""
    write_durably(path, json.dumps(asdict(baselines)).encode())


def load_baselines(path: Path) -> Baselines | None:
    """What was saved, or None."""
    return Baselines(**json.loads(path.read_text())) if path.exists() else None
