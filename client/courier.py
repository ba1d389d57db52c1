"""The courier: dials the coordinator, has letters answered one at a time, and hands the answers in."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

import grpc

from ..wire import federation_pb2 as pb
from ..wire import federation_pb2_grpc as rpc
from ..wire.foreign import shown
from ..wire.parcels import Assembly, Letter, parcels
from ..wire.protocol import PROTOCOL
from .answered import Answered, Kept
from .dialler import Dialler, Lost


class Answer(NamedTuple):
    """The bytes of an answer, and what the client remembers when it has given it."""

    data: bytes
    memory: bytes


Respond = Callable[[bytes, bytes], Answer]
"""The answer to a letter of these bytes, by a client who remembers these: none when a run begins."""
Meet = Callable[[pb.Welcome], Respond]
"""Takes a place in the run of a coordinator. Raises `Disagreement` if it cannot."""


@dataclass(kw_only=True)
class Courier(Dialler):
    """One client's end of the Post service. `meet` says who answers, and `kept` holds the last answer.

    Guarantees:
      - An answer and what is remembered with it are on disk, in one step, before the answer leaves.
      - A letter that was answered is not answered anew, after any loss of connection and any restart.
      - Of a run nothing is remembered in the next.
      - It returns only when the run is complete.

    Raises what a `Dialler` does, and what `meet` does.
    """

    meet: Meet
    fingerprint: str
    version: str
    kept: Kept
    _unkept: Answered | None = field(default=None, init=False, repr=False)

    def attend(self, channel: grpc.Channel) -> str:
        """See `Dialler`."""
        leaving: queue.SimpleQueue[Letter | None] = queue.SimpleQueue()
        arriving = rpc.PostStub(channel).Carry(self._parcels(leaving), wait_for_ready=False)
        try:
            return self._attend(arriving, leaving)
        finally:
            leaving.put(None)
            arriving.cancel()

    def _attend(
        self, arriving: Iterator[pb.Parcel], leaving: queue.SimpleQueue[Letter | None]
    ) -> str:
        respond, assembly = self._respond(next(arriving, pb.Parcel())), Assembly()
        for parcel in arriving:
            if parcel.WhichOneof("parcel") == "over":
                if not parcel.over.complete:
                    raise Lost(parcel.over.reason)
                with suppress(grpc.RpcError):
                    next(arriving, None)  # the end: who is cancelled does not know that this came
                return shown(parcel.over.reason)
            if (letter := assembly.add(parcel)) is not None:
                leaving.put(Letter(letter.name, self._answer(letter, respond)))
                self._patience = self.shortest
        raise Lost("the coordinator hung up")

    def _parcels(self, leaving: queue.SimpleQueue[Letter | None]) -> Iterator[pb.Parcel]:
        """What is sent: who this is, then the answers; gRPC asks for the next when one has left."""
        yield pb.Parcel(
            attendance=pb.Attendance(
                protocol=PROTOCOL,
                study=self.fingerprint,
                version=self.version,
                process=self._process,
            )
        )
        while (letter := leaving.get()) is not None:
            yield from parcels(letter)

    def _respond(self, first: pb.Parcel) -> Respond:
        if first.WhichOneof("parcel") != "welcome":
            raise Lost("the coordinator bade no welcome")
        respond = self.meet(first.welcome)
        self._run = first.welcome.run
        run = shown(self._run, 80)
        self._tell("joined", f"joined run {run[:8]}", run=run)
        return respond

    def _answer(self, letter: Letter, respond: Respond) -> bytes:
        """The answer to `letter`, which is kept."""
        if (found := self._unkept or self.kept.find(letter.name)) and found.name == letter.name:
            self._tell("kept", "this was answered before the connection was lost; handing it in")
        else:
            answer = respond(letter.data, self.kept.memory(self._run))
            found = Answered(run=self._run, name=letter.name, **answer._asdict())
        self._unkept = found
        self.kept.keep(found)  # if the disk is full, it is not lost either: the letter comes again
        self._unkept = None
        return found.data
