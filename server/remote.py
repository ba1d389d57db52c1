"""The transport to clients that dialled in from elsewhere: orders are pushed to them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from pathlib import Path

from ..wire import federation_pb2 as pb
from ..wire.arrays import encoded_size
from ..wire.errors import Stopped
from ..wire.fold import Fold
from ..wire.messages import Instruction, Purpose
from ..wire.protocol import write_instruction
from .admission import Admission
from .blobs import Blobs
from .ending import Ending
from .exchange import Exchange
from .journal import Journal


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a cohort is waited for.

    A round closes when all have answered, or as soon as `enough` were let in. Its `deadline`, in
    seconds, counts from when all but `may_miss` of the cohort are connected. Who has not answered by
    then has failed, and more than `may_miss` failures end the run, which can be resumed.
    """

    deadline: float = 86400.0
    enough: int | None = None
    may_miss: int = 0

    def __post_init__(self) -> None:
        if not self.deadline > 0:
            raise ValueError(f"Expected deadline > 0, got {self.deadline}.")
        if self.enough is not None and self.enough < 1:
            raise ValueError(f"Expected enough >= 1, got {self.enough}.")
        if self.may_miss < 0:
            raise ValueError(f"Expected may_miss >= 0, got {self.may_miss}.")


@dataclass(eq=False, kw_only=True)
class Remote(Ending[pb.Order]):
    """`gather` is called by the coordinator's thread; everything else happens on the event loop.

    Raises `Stopped` when `stop` was called: after the round that was open, or at once.
    """

    admission: Admission
    patience: Patience
    folder: Path
    journal: Journal
    blobs: Blobs = field(init=False)
    exchange: Exchange | None = None
    stopping: bool = False
    _now: bool = False
    _gathering: asyncio.Task[Fold] | None = None

    def __post_init__(self) -> None:
        self.blobs = Blobs(self.folder)

    def gather(self, instruction: Instruction, members: Sequence[str]) -> Fold:
        """See `Transport`."""
        if not members:
            return Fold()
        if self.stopping and instruction.purpose is Purpose.FIT:
            raise Stopped("The run was asked to stop.")
        future = asyncio.run_coroutine_threadsafe(self._gather(instruction, members), self.loop)
        try:
            return future.result()
        except CancelledError:
            raise Stopped("The run was asked to stop, and gave the open round up.") from None
        except BaseException:
            future.cancel()  # Ctrl-C, for example: nobody waits any more
            raise

    def stop(self, *, now: bool) -> None:
        """Ends the run after the round that is open, or `now`."""
        self.stopping, self._now = True, now or self._now
        if self._now and self._gathering is not None:
            self._gathering.cancel()

    @property
    def phase(self) -> str:
        """What the run is doing, in a word."""
        if self.exchange is not None and not self.stopping:
            return str(self.exchange.instruction.purpose)
        return "over" if self.complete else "stopping" if self.stopping else "between rounds"

    def state_of(self, client: str) -> str:
        """What `client` is doing, in a word."""
        if client not in self.seats.taken:
            return "away"
        exchange = self.exchange
        if exchange is None or client not in exchange.members:
            return "idle"
        if not exchange.waits_for(client):
            return "answered"
        return "sending" if client in exchange.uploads else "asked"

    def last_order(self) -> pb.Order:
        """See `Ending`."""
        return pb.Order(over=self.said())

    def order_for(self, client: str) -> pb.Order | None:
        """What `client` has to do now, if anything."""
        if self.complete:
            return self.last_order()
        exchange = self.exchange
        if exchange is None or not exchange.waits_for(client):
            return None
        return pb.Order(instruction=exchange.order)

    async def _gather(self, instruction: Instruction, members: Sequence[str]) -> Fold:
        self._gathering = asyncio.current_task()
        if self._now:
            raise asyncio.CancelledError
        exchange = await asyncio.to_thread(self._exchange, instruction, frozenset(members))
        self.exchange = exchange
        self.seats.send(exchange.members, pb.Order(instruction=exchange.order))
        try:
            await self._answers(exchange)
            if exchange.broken is not None:
                raise exchange.broken
            return await exchange.close(self.patience.deadline)
        finally:
            self.exchange, self._gathering = None, None
            exchange.release()

    def _exchange(self, instruction: Instruction, members: frozenset[str]) -> Exchange:
        blobs = self.blobs.keep(instruction.parameters, instruction.extras)
        expected = self.admission.expected(instruction)
        return Exchange(
            instruction=instruction,
            order=write_instruction(instruction, *blobs),
            members=members,
            receive=self.admission.open(instruction, members),
            most=encoded_size(expected) if expected else 0,
            folder=self.folder,
            enough=min(self.patience.enough or len(members), len(members)),
        )

    async def _answers(self, exchange: Exchange) -> None:
        """Returns when the exchange is complete, or its deadline has come."""
        complete = asyncio.ensure_future(exchange.complete.wait())
        present = asyncio.ensure_future(self._present(exchange))
        try:
            await asyncio.wait({complete, present}, return_when=asyncio.FIRST_COMPLETED)
            exchange.until = time.monotonic() + self.patience.deadline
            await asyncio.wait({complete}, timeout=self.patience.deadline)
        finally:
            complete.cancel()
            present.cancel()

    async def _present(self, exchange: Exchange) -> None:
        needed = len(exchange.members) - self.patience.may_miss
        await self.seats.arrived(exchange.members, max(1, needed))
