"""The Control service: what operators ask of a run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import grpc

from ..wire import federation_pb2 as pb
from ..wire import federation_pb2_grpc as rpc
from ..wire.errors import TacitError
from ..wire.identity import Role
from ..wire.messages import Purpose
from ..wire.protocol import chunks
from .door import Context, Door, refuse
from .remote import Remote

LOOK: Final = 0.2
"""Seconds between two looks for new events."""


@dataclass(eq=False)
class Control(rpc.ControlServicer):
    """Says how the run is, stops it, and hands out its report.

    `committed` says which round is the last that is, `events` is the log of the run, and `report` makes
    its report as a ZIP archive, or with True the privacy statement alone, as JSON.

    Guarantees:
      - Whoever watches is told of everything, the end of the run included, before the server stops.
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
        exchange = remote.exchange
        return pb.RunStatus(
            run=self.run,
            round=self.committed(),
            rounds=self.rounds,
            phase=remote.phase,
            clients=[self._client(name) for name in self.clients],
            late=remote.journal.metrics.count("late"),
            refused=remote.journal.metrics.count("refused"),
            seconds=time.monotonic() - self.began,
            open=exchange.instruction.round if exchange else 0,
            left=exchange.left() if exchange else 0.0,
        )

    async def Watch(  # noqa: N802
        self, request: pb.WatchRequest, context: Context
    ) -> AsyncIterator[pb.Event]:
        """See the protocol."""
        operator = await self.door.admit(context, Role.OPERATOR)
        seen = position = 0
        while True:
            if found := self.door.objection(operator):
                await refuse(context, self.remote.journal, operator.name, *found)
            over = self.remote.over
            lines, position = await asyncio.to_thread(_whole_lines, self.events, position)
            for line in lines:
                seen += 1
                if seen > request.after:
                    yield pb.Event(json=line)
            if over:
                return
            await asyncio.sleep(LOOK)

    async def Stop(self, request: pb.StopRequest, context: Context) -> pb.Stopping:  # noqa: N802
        """See the protocol."""
        operator = await self.door.admit(context, Role.OPERATOR)
        self.remote.stop(now=request.now)
        self.remote.journal.note("stopped", operator.name, now=request.now)
        exchange = self.remote.exchange
        ends = exchange is not None and exchange.instruction.purpose is Purpose.FIT
        return pb.Stopping(round=self.committed() + (ends and not request.now))

    async def Report(  # noqa: N802
        self, request: pb.ReportRequest, context: Context
    ) -> AsyncIterator[pb.Chunk]:
        """See the protocol."""
        await self.door.admit(context, Role.OPERATOR)
        try:
            found = await asyncio.to_thread(self.report, request.json)
        except TacitError as error:  # accountants that disagree, for example
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, " ".join(str(error).split()))
        for data in chunks(found):
            yield pb.Chunk(data=data)

    def _client(self, name: str) -> pb.ClientStatus:
        seat = self.remote.seats.taken.get(name)
        return pb.ClientStatus(
            name=name,
            connected=seat is not None,
            state=self.remote.state_of(name),
            seconds=time.monotonic() - seat.since if seat else 0.0,
        )


def _whole_lines(path: Path, position: int) -> tuple[list[str], int]:
    """The lines of `path` from byte `position` on that are complete, and where the next one begins."""
    if not path.exists():
        return [], position
    with path.open("rb") as file:
        file.seek(position)
        data = file.read()
    whole = data[: data.rfind(b"\n") + 1]
    return whole.decode(errors="replace").splitlines(), position + len(whole)
