"""The Control service: what operators ask of a run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ..wire import federation_pb2 as pb
from ..wire import federation_pb2_grpc as rpc
from ..wire.identity import Role
from ..wire.protocol import chunks
from .door import UNKNOWN, Context, Door, refuse
from .remote import Remote

LOOK: Final = 0.2
"""Seconds between two looks for new events."""


@dataclass(eq=False)
class Control(rpc.ControlServicer):
    """Says how the run is, stops it, and hands out its report.

    `committed` says which round is the last that is, `events` is the log of the run, and `report` makes
    the page, or with True the privacy statement as JSON.
    """

    remote: Remote
    door: Door
    clients: tuple[str, ...]
    run: str
    rounds: int
    committed: Callable[[], int]
    events: Path
    report: Callable[[bool], bytes]
    began: float = field(default_factory=time.monotonic)

    async def Status(self, request: pb.StatusRequest, context: Context) -> pb.RunStatus:  # noqa: N802
        """See the protocol."""
        await self.door.admit(context, Role.OPERATOR)
        remote = self.remote
        return pb.RunStatus(
            run=self.run,
            round=self.committed(),
            rounds=self.rounds,
            phase=remote.phase,
            clients=[self._client(name) for name in self.clients],
            late=remote.journal.metrics.count("late"),
            refused=remote.journal.metrics.count("refused"),
            seconds=time.monotonic() - self.began,
        )

    async def Watch(  # noqa: N802
        self, request: pb.WatchRequest, context: Context
    ) -> AsyncIterator[pb.Event]:
        """See the protocol."""
        operator = await self.door.admit(context, Role.OPERATOR)
        seen = 0
        while True:
            if reason := self.door.objection(operator):
                await refuse(context, self.remote.journal, operator.name, UNKNOWN, reason)
            lines = await asyncio.to_thread(_whole_lines, self.events)
            for line in lines[max(seen, request.after) :]:
                yield pb.Event(json=line)
            seen = max(seen, len(lines))
            await asyncio.sleep(LOOK)

    async def Stop(self, request: pb.StopRequest, context: Context) -> pb.Stopping:  # noqa: N802
        """See the protocol."""
        operator = await self.door.admit(context, Role.OPERATOR)
        self.remote.stop(now=request.now)
        self.remote.journal.note("stopped", operator.name, now=request.now)
        return pb.Stopping(round=self.committed())

    async def Report(  # noqa: N802
        self, request: pb.ReportRequest, context: Context
    ) -> AsyncIterator[pb.Chunk]:
        """See the protocol."""
        await self.door.admit(context, Role.OPERATOR)
        for data in chunks(await asyncio.to_thread(self.report, request.json)):
            yield pb.Chunk(data=data)

    def _client(self, name: str) -> pb.ClientStatus:
        seat = self.remote.seats.taken.get(name)
        return pb.ClientStatus(
            name=name,
            connected=seat is not None,
            state=self.remote.state_of(name),
            seconds=time.monotonic() - seat.since if seat else 0.0,
        )


def _whole_lines(path: Path) -> list[str]:
    """The lines of `path` that are complete: the last may be under way."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return text[: text.rfind("\n") + 1].splitlines()
