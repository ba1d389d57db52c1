"""What a client does with an order, whoever brought it: it agrees, answers once, and keeps the answer."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ..wire import federation_pb2 as pb
from ..wire.errors import Declined
from ..wire.messages import Arrays, Instruction
from ..wire.protocol import digest, instruction_of, purpose_of, read_instruction, write_update
from ..wire.transport import Answers
from .agreement import Agreement
from .dialler import News, Observe
from .failure import kind_of, may_pass, places_of
from .outbox import Outbox, blob_of

log = logging.getLogger("tacit.client")


Fetch = Callable[[pb.Instruction], tuple[Arrays, Arrays]]
"""Brings the parameters and the extras that an instruction names."""


@dataclass(kw_only=True)
class Answering:
    """The part of a client that does not depend on how orders come. `answers` does what is asked.

    Guarantees:
      - What `agreement` does not allow is declined.
      - An update that was finished is not computed twice; it is kept in `outbox`, over restarts.
      - Of an error in the client's code the coordinator learns the kind and the places in the code,
        and not the message, which may quote rows.

    Raises OSError or `StoreError` where nothing can be written: that is no failure of the client's code.
    """

    answers: Answers
    agreement: Agreement
    outbox: Outbox
    observe: Observe = field(default=lambda news: None, repr=False)
    _run: str = field(default="", init=False)
    _finished: tuple[pb.Answer, bytes] | None = field(default=None, init=False, repr=False)

    def join(self, welcome: pb.Welcome) -> None:
        """Takes part in a run. Raises `Disagreement` if it is another, or of another study."""
        self.agreement.meet(welcome)
        self.outbox.bind(welcome.run)
        self._run = welcome.run

    def finished(self, order: bytes) -> tuple[pb.Answer, bytes] | None:
        """The answer to `order` and its contribution, if it was finished before."""
        instruction = digest(order)
        if self._finished is not None and self._finished[0].instruction == instruction:
            return self._finished
        return self.outbox.find(instruction)

    def answer(self, order: bytes, fetch: Fetch) -> tuple[pb.Answer, bytes]:
        """The answer to `order`, which was not finished before, and its contribution; both are kept."""
        message = read_instruction(order)
        purpose = str(purpose_of(message))
        try:
            self.agreement.consider(message, self._run, self.outbox.last(purpose))
        except Declined as declined:
            answer, contribution = self._decline(declined), b""
        else:
            answer, contribution = self._attempt(instruction_of(message, *fetch(message)))
        answer.instruction = digest(order)
        if answer.WhichOneof("answer") == "update":  # what failed may succeed when asked again
            self._keep(purpose, answer, contribution)
        return answer, contribution

    def settled(self) -> None:
        """Forgets what it held in memory: the last answer was handed in."""
        self._finished = None

    def _attempt(self, instruction: Instruction) -> tuple[pb.Answer, bytes]:
        round, purpose = instruction.round, str(instruction.purpose)
        doing = {"fit": "training", "evaluate": "measuring"}.get(purpose, purpose)
        where = f"round {round}/{self.agreement.rounds}"
        self._tell("asked", f"{where}: {doing}", round=round, purpose=purpose)
        began = time.monotonic()
        try:
            self.agreement.check(instruction)
            update = self.answers.answer(instruction)
        except Declined as declined:
            return self._decline(declined), b""
        except Exception as error:
            if may_pass(error):
                raise
            return self._failed(error), b""
        spent = time.monotonic() - began
        facts = {"round": round, "purpose": purpose, "seconds": float(f"{spent:.3f}")}
        self._tell("done", f"{where}: {doing} took {spent:.1f} s", **facts)
        blob, contribution = blob_of(update.contribution)
        return pb.Answer(update=write_update(update, blob)), contribution

    def _decline(self, declined: Declined) -> pb.Answer:
        self._tell("declined", f"declined: {declined}", reason=str(declined))
        return pb.Answer(declined=str(declined))

    def _failed(self, error: Exception) -> pb.Answer:
        kind = type(error).__name__
        self._tell("failed", f"this site's own code failed: {kind}", error=kind)
        return pb.Answer(failed=failing(error))

    def _keep(self, purpose: str, answer: pb.Answer, contribution: bytes) -> None:
        """On the disk or, if that is full, in memory: it may have taken hours."""
        try:
            self.outbox.keep(purpose, answer, contribution)
        except OSError as error:
            self._finished = answer, contribution
            self._tell("unkept", f"the finished update could not be kept: {error}")

    def _tell(self, event: str, text: str, **facts: object) -> None:
        self.observe(News(event=event, text=text, facts=facts))


def failing(error: Exception) -> pb.Failed:
    """What a coordinator is told of `error`; the rest goes to the client's log."""
    log.error("the client's own code failed", exc_info=error)
    return pb.Failed(error=kind_of(error), traceback=places_of(error))
