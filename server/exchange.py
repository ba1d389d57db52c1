"""One instruction to a cohort over the network, and what has come back of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ..wire import federation_pb2 as pb
from ..wire.errors import CodecError
from ..wire.fold import Fold
from ..wire.foreign import lines, shown
from ..wire.messages import Arrays, Failure, Instruction, Refusal
from ..wire.protocol import digest, update_of
from ..wire.transport import Receive
from .upload import Upload


@dataclass(eq=False)
class Exchange:
    """Open from the moment it is sent out until `close`; answers are folded one at a time, by a thread.

    `most` is the size of a contribution; `folder` is where uploads go; `until` is the deadline, by
    `time.monotonic`, once there is one.

    Guarantees:
      - Every member ends in exactly one of the fold's receipts, refusals and failures.
      - An answer counts once, however often it is handed in; none counts after `close`.
    """

    instruction: Instruction = field(repr=False)
    order: bytes = field(repr=False)
    members: frozenset[str] = field(repr=False)
    receive: Receive = field(repr=False)
    most: int
    folder: Path
    enough: int
    fold: Fold = field(default_factory=Fold, repr=False)
    verdicts: dict[str, pb.Verdict] = field(default_factory=dict, repr=False)
    uploads: dict[str, Upload] = field(default_factory=dict, repr=False)
    accepted: int = 0
    closed: bool = False
    broken: Exception | None = None
    until: float | None = None
    complete: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    folding: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1), repr=False)

    @property
    def id(self) -> bytes:
        """What answers call it."""
        return digest(self.order)

    def left(self) -> float:
        """Seconds until the deadline; 0 while there is none yet, for too few are connected."""
        return max(0.0, self.until - time.monotonic()) if self.until is not None else 0.0

    def waits_for(self, client: str) -> bool:
        """Whether the answer of `client` is still to come."""
        return not self.closed and client in self.members and client not in self.verdicts

    def verdict(self, client: str) -> pb.Verdict:
        """What became of the answer of `client`, who is not waited for."""
        if client not in self.members:
            reason = "not a member of this round's cohort"
            return pb.Verdict(status=pb.STATUS_REFUSED, reason=reason)
        return self.verdicts.get(client) or late(self.instruction)

    def upload(self, client: str, blob: pb.Blob) -> Upload:
        """Where the contribution of `client` goes; what arrived of it before is still there.

        Raises `CodecError` for a contribution of another size than this round's.
        """
        if blob.size > self.most:
            raise CodecError(f"{blob.size} bytes, where a contribution has at most {self.most}")
        found = self.uploads.get(client)
        if found is None or (found.blob.sha256, found.blob.size) != (blob.sha256, blob.size):
            self.forget(client)
            found = self.uploads[client] = Upload(blob, self.folder)
        return found

    def forget(self, client: str) -> None:
        """Lets go of what `client` uploaded."""
        if (upload := self.uploads.pop(client, None)) is not None:
            upload.close()

    async def settle(self, client: str, fold: Callable[[Fold], None]) -> tuple[pb.Verdict, bool]:
        """What becomes of the answer of `client`, which `fold` adds to a fold, and whether it is news.

        It is seen through to its end if the call breaks off, or nobody would notice that it was the last.
        """
        if self.closed:
            return self.verdict(client), True
        upload = self.uploads.pop(client, None)  # no other call may close what the thread reads
        loop = asyncio.get_running_loop()
        folding = loop.run_in_executor(self.folding, self._settle, client, fold)
        return await asyncio.shield(self._see_through(client, upload, folding))

    async def _see_through(
        self, client: str, upload: Upload | None, folding: asyncio.Future[tuple[pb.Verdict, bool]]
    ) -> tuple[pb.Verdict, bool]:
        try:
            found = await folding
        except Exception as error:
            self.broken = error  # the fold may hold a part of the answer
            self.complete.set()
            raise
        finally:
            if upload is not None:
                upload.close()
        self.forget(client)
        if self._is_complete():
            self.complete.set()
        return found

    def _settle(self, client: str, fold: Callable[[Fold], None]) -> tuple[pb.Verdict, bool]:
        if client in self.verdicts:
            return self.verdicts[client], False
        if self.closed:
            return late(self.instruction), True
        fold(self.fold)
        verdict = pb.Verdict(status=pb.STATUS_ACCEPTED)
        if self.fold.refusals and self.fold.refusals[-1].client == client:
            reason = self.fold.refusals[-1].reason
            verdict = pb.Verdict(status=pb.STATUS_REFUSED, reason=reason)
        self.accepted += client in self.fold
        self.verdicts[client] = verdict
        return verdict, True

    async def close(self, seconds: float) -> Fold:
        """The fold, in which those who have not answered are late; nothing is added any more.

        They failed to answer if `seconds` went by, and are refused if enough others were faster.
        """
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self.folding, self._close, seconds)
        return self.fold

    def _close(self, seconds: float) -> None:
        self.closed = True
        missing = self.members - self.verdicts.keys()
        note_missing(self.fold, missing, self.accepted, seconds, complete=self._is_complete())

    def _is_complete(self) -> bool:
        """Whether all have answered, or enough were let in."""
        return len(self.verdicts) == len(self.members) or self.accepted >= self.enough

    def release(self) -> None:
        """Lets go of every upload, and of the thread."""
        self.closed = True
        self.folding.shutdown(wait=False)
        for client in list(self.uploads):
            self.forget(client)


def folding_of(
    client: str, answer: pb.Answer, upload: Upload | None, exchange: Exchange
) -> Callable[[Fold], None]:
    """How `answer` comes into a fold; what it contributes was uploaded."""
    arrays = upload.arrays if upload else dict[str, NDArray[Any]]
    return partial(fold_in, client=client, answer=answer, arrays=arrays, receive=exchange.receive)


def fold_in(
    fold: Fold, *, client: str, answer: pb.Answer, arrays: Callable[[], Arrays], receive: Receive
) -> None:
    """Adds `answer` to `fold`: received, refused or noted as a failure.

    `arrays` are what it contributes; it raises `CodecError` if they are not what was announced.
    """
    match answer.WhichOneof("answer"):
        case "update":
            try:
                contribution = arrays()
            except CodecError as error:
                reason = shown(f"malformed: {error}")
                fold.refusals.append(Refusal(client=client, reason=reason))
                return
            receive(fold, update_of(client, answer.update, contribution))
        case "declined":
            fold.refusals.append(Refusal(client=client, reason=shown(answer.declined)))
        case "failed":
            kind, traceback = shown(answer.failed.error), lines(answer.failed.traceback)
            fold.failures.append(Failure(client=client, error=kind, traceback=traceback))
        case _:
            fold.refusals.append(Refusal(client=client, reason="malformed: an empty answer"))


def note_missing(
    fold: Fold, missing: Iterable[str], accepted: int, seconds: float, *, complete: bool
) -> None:
    """Notes those who have not answered when a round closes with `accepted` answers.

    They are refused if it is `complete` without them, and failed to answer if `seconds` went by.
    """
    for client in sorted(missing):
        if complete:
            reason = f"late: the round closed with {accepted} answers"
            fold.refusals.append(Refusal(client=client, reason=reason))
        else:
            error = f"Late: no answer within {seconds:.0f} s"
            fold.failures.append(Failure(client=client, error=error, traceback=""))


def late(instruction: Instruction) -> pb.Verdict:
    """The verdict on an answer that came after its round."""
    reason = f"late: round {instruction.round} is closed"
    return pb.Verdict(status=pb.STATUS_LATE, reason=reason)
