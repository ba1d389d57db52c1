"""The transport to clients that dialled in from elsewhere: orders are pushed to them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Sequence
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
from .exchange import Exchange
from .journal import Journal
from .seats import Seats


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


@dataclass(eq=False)
class Remote:
    """`gather` is called by the coordinator's thread; everything else happens on the event loop.

    Raises `Stopped` when `stop` was called: after the round that was open, or at once.
    """

    loop: asyncio.AbstractEventLoop
    admission: Admission
    patience: Patience
    folder: Path
    journal: Journal
    seats: Seats = field(default_factory=Seats)
    blobs: Blobs = field(init=False)
    exchange: Exchange | None = None
    complete: bool = False
    told: set[str] = field(default_factory=set)
    stopping: bool = False
    over: bool = False
    reason: str = "the run is complete"
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

    def tell_over(self) -> None:
        """Tells every client that is here that there is nothing more to do."""
        self.over = True
        self.seats.send(list(self.seats.taken), self._over())

    def finish(self, clients: Collection[str], linger: float, reason: str = "") -> None:
        """Tells `clients` that the run is at its end; those who are away may come for `linger` seconds.

        `reason` is why, if it did not reach its last round.
        """
        self.complete, self.reason = True, reason or self.reason
        self.loop.call_soon_threadsafe(self.tell_over)
        until = time.monotonic() + linger
        while time.monotonic() < until and not self.told >= set(clients):
            time.sleep(0.02)

    def order_for(self, client: str) -> pb.Order | None:
        """What `client` has to do now, if anything."""
        if self.complete:
            return self._over()
        exchange = self.exchange
        if exchange is None or not exchange.waits_for(client):
            return None
        return pb.Order(instruction=exchange.order)

    def _over(self) -> pb.Order:
        reason = self.reason if self.complete else "the coordinator stops for now"
        return pb.Order(over=pb.Over(reason=reason, complete=self.complete))

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
