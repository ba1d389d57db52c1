"""One call of Submit: an answer comes in, then its contribution, and a verdict goes out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, NoReturn

import grpc

from ..wire import federation_pb2 as pb
from ..wire.errors import CodecError
from ..wire.identity import Identity
from .door import Context, Door, refuse
from .exchange import Exchange, folding_of
from .journal import Journal
from .remote import Remote
from .upload import Upload

IDLE: Final = 60.0
"""Seconds within which the next piece of an upload must come."""
MALFORMED: Final = grpc.StatusCode.INVALID_ARGUMENT


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What `identity` sends, as `pieces`.

    Guarantees:
      - Whoever may not stay any more when the last piece has come does not count.
    """

    identity: Identity
    pieces: AsyncIterator[pb.Piece]
    context: Context
    remote: Remote
    door: Door
    journal: Journal

    async def verdicts(self) -> AsyncIterator[pb.Verdict]:
        """How much is held already, and what became of it."""
        client = self.identity.name
        answer = await self._answer()
        exchange, is_new = self.remote.exchange, True
        if exchange is None or exchange.id != answer.instruction:
            verdict = pb.Verdict(status=pb.STATUS_LATE, reason="late: its round is closed")
        elif exchange.waits_for(client):
            upload = None
            try:
                if answer.update.contribution.size:
                    upload = exchange.upload(client, answer.update.contribution)
                    turn = upload.take_turn()
                    yield pb.Verdict(status=pb.STATUS_HELD, held=upload.held)
                    await self._receive(upload, turn, exchange)
            except CodecError as error:
                answer = pb.Answer(declined=f"malformed: {error}")
            except OSError as error:
                yield pb.Verdict(status=pb.STATUS_RETRY, reason=error.strerror or str(error))
                return
            verdict, is_new = await self._settle(exchange, answer, upload)
        else:
            verdict, is_new = exchange.verdict(client), client not in exchange.verdicts
        self._note(verdict, answer, exchange, is_new=is_new)
        yield verdict

    async def _answer(self) -> pb.Answer:
        piece = await self._next()
        if piece is None or piece.WhichOneof("piece") != "answer":
            await self._refuse(MALFORMED, "the first piece is no answer")
        return piece.answer

    async def _receive(self, upload: Upload, turn: object, exchange: Exchange) -> None:
        """All that is missing; less only if nobody waits for it any more."""
        while upload.has_turn(turn) and not upload.is_complete:
            piece = await self._next()
            if piece is None or not piece.data:
                await self._refuse(MALFORMED, "the upload breaks off")
            if upload.has_turn(turn):
                upload.add(piece.data)
                self.journal.metrics.received.inc(len(piece.data))
        if not upload.has_turn(turn) and exchange.waits_for(self.identity.name):
            await self._refuse(grpc.StatusCode.ABORTED, "another call goes on with this upload")

    async def _settle(
        self, exchange: Exchange, answer: pb.Answer, upload: Upload | None
    ) -> tuple[pb.Verdict, bool]:
        if found := self.door.objection(self.identity):
            await self._refuse(*found)
        client = self.identity.name
        return await exchange.settle(client, folding_of(client, answer, upload, exchange))

    async def _next(self) -> pb.Piece | None:
        """The next piece; None at the end. The call is aborted if none comes."""
        try:
            return await asyncio.wait_for(anext(self.pieces), IDLE)
        except StopAsyncIteration:
            return None
        except TimeoutError:
            reason = f"nothing came for {IDLE:.0f} s"
            await self._refuse(grpc.StatusCode.DEADLINE_EXCEEDED, reason)

    async def _refuse(self, code: grpc.StatusCode, reason: str) -> NoReturn:
        await refuse(self.context, self.journal, self.identity.name, code, reason)

    def _note(
        self, verdict: pb.Verdict, answer: pb.Answer, exchange: Exchange | None, *, is_new: bool
    ) -> None:
        event = {pb.STATUS_ACCEPTED: "submitted", pb.STATUS_LATE: "late"}
        asked = exchange.instruction if exchange and exchange.id == answer.instruction else None
        self.journal.note(
            event.get(verdict.status, "refused") if is_new else "repeated",
            self.identity.name,
            round=asked.round if asked else answer.update.round,
            purpose=str(asked.purpose) if asked else "",
            bytes=answer.update.contribution.size,
            reason=verdict.reason,
        )
