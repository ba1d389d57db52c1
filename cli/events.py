"""A run as JSON: one object for each event, in one line on stdout, for other programs."""

from __future__ import annotations

from dataclasses import asdict

from ..fairness.statistics import rates
from ..reports.summary import scores
from ..server.progress import Began, Committed, Evaluated, Failed, Progress, Refused
from . import console
from .lines import Silent


class Events(Silent):
    """Every event as it comes. The names are those of `events.jsonl` in the run folder."""

    def observe(self, progress: Progress) -> None:
        """One object."""
        console.emit(event(progress))


def event(progress: Progress) -> dict[str, object]:
    """What happened, as an object with `event` and `round`."""
    match progress:
        case Began():
            facts = {"cohort": progress.cohort, "rounds": progress.rounds}
            return {"event": "round_began", "round": progress.round, **facts}
        case Refused():
            return {"event": "refused", "round": progress.round, **asdict(progress.refusal)}
        case Failed():
            return {"event": "client_failed", "round": progress.round, **asdict(progress.failure)}
        case Committed():
            return {
                "event": "round_committed",
                "round": progress.round,
                "cohort": progress.cohort,
                "admitted": progress.admitted,
                "refused": progress.refused,
                "training": rates(progress.training),
                "seconds": round(progress.seconds, 4),
            }
        case Evaluated():
            return {
                "event": "evaluated",
                "round": progress.round,
                "clients": len(progress.clients),
                "rates": rates(progress.everyone),
                "pooled": rates(progress.pooled),
                "scores": asdict(scores(progress.clients, progress.pooled, progress.everyone)),
                "seconds": round(progress.seconds, 4),
            }
