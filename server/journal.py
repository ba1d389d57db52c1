"""What happened at the door: an audit log, a line in the log, and a count, from one call."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge

from ..wire.durable import append_line

log = logging.getLogger("tacit.server")


@dataclass(frozen=True)
class Metrics:
    """What Prometheus scrapes: public counts, never a client's values."""

    registry: CollectorRegistry
    happened: Counter
    received: Counter
    sent: Counter
    connected: Gauge
    round: Gauge

    @classmethod
    def fresh(cls) -> Metrics:
        """All at zero, in a registry of their own."""
        registry = CollectorRegistry()
        return cls(
            registry=registry,
            happened=Counter(
                "tacit_events", "What clients did, by kind.", ["event"], registry=registry
            ),
            received=Counter(
                "tacit_received_bytes", "Bytes of contributions that came in.", registry=registry
            ),
            sent=Counter(
                "tacit_sent_bytes", "Bytes of parameters that went out.", registry=registry
            ),
            connected=Gauge("tacit_connected_clients", "Clients now connected.", registry=registry),
            round=Gauge("tacit_round", "The last committed round.", registry=registry),
        )

    def count(self, event: str) -> int:
        """How often `event` happened."""
        return int(self.registry.get_sample_value("tacit_events_total", {"event": event}) or 0)

    def committed(self) -> int:
        """The last committed round."""
        return int(self.registry.get_sample_value("tacit_round") or 0)


@dataclass(frozen=True)
class Journal:
    """Notes who did what and when in the file `path`, one JSON object a line; only ever appended to.

    Guarantees:
      - No line holds a value of a client: names, rounds, sizes and reasons alone.
    """

    path: Path
    metrics: Metrics

    def note(self, event: str, client: str, **facts: object) -> None:
        """`client` did `event`."""
        line = {"time": round(time.time(), 3), "event": event, "client": client, **facts}
        append_line(self.path, json.dumps(line))
        self.metrics.happened.labels(event).inc()
        level = logging.WARNING if event == "refused" else logging.INFO
        log.log(level, event, extra={"facts": line})
