"""How clients hear of the end of a run: those who are here at once, those who are away when they come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Generic

from ..wire import federation_pb2 as pb
from .seats import Order, Seats


@dataclass(eq=False, kw_only=True)
class Ending(Generic[Order]):
    """What clients are told when a coordinator stops, or when its run is complete.

    `told` are those who heard of the end.
    """

    loop: asyncio.AbstractEventLoop
    seats: Seats[Order] = field(default_factory=Seats)
    complete: bool = False
    told: set[str] = field(default_factory=set)
    over: bool = False
    reason: str = "the run is complete"

    def last_order(self) -> Order:
        """What a client is told when there is nothing more to do: it holds `said`."""
        raise NotImplementedError

    def said(self) -> pb.Over:
        """Why there is nothing more to do."""
        reason = self.reason if self.complete else "the coordinator stops for now"
        return pb.Over(reason=reason, complete=self.complete)

    def tell_over(self) -> None:
        """Tells every client that is here that there is nothing more to do."""
        self.over = True
        self.seats.send(list(self.seats.taken), self.last_order())

    def finish(self, clients: Collection[str], linger: float, reason: str = "") -> None:
        """Tells `clients` that the run is at its end; those who are away may come for `linger` seconds.

        `reason` is why, if it did not reach its last round.
        """
        self.complete, self.reason = True, reason or self.reason
        self.loop.call_soon_threadsafe(self.tell_over)
        until = time.monotonic() + linger
        while time.monotonic() < until and not self.told >= set(clients):
            time.sleep(0.02)
