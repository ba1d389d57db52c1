"""How instructions reach clients and folds come back: the one seam between coordinator and clients."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from .errors import Declined
from .fold import Fold
from .messages import Failure, Instruction, Refusal, Update

Receive = Callable[[Fold, Update], None]
"""What happens to an update on arrival: it is admitted, bounded and added to the fold, or refused."""

Admit = Callable[[Instruction, Collection[str]], Receive]
"""Opens admission for the answers that some members give to one instruction."""


class Answers(Protocol):
    """The far side of a transport: anything that turns an instruction into an update."""

    def answer(self, instruction: Instruction) -> Update:
        """The update of this client. Whatever it raises becomes a `Failure`."""
        ...


class Transport(Protocol):
    """Sends one instruction to a cohort and brings back one fold.

    Guarantees:
      - Every member of the cohort ends in exactly one of receipts, refusals or failures.
      - The fold's total does not depend on the order of arrival, nor on who folded what first.
    """

    def gather(self, instruction: Instruction, members: Sequence[str]) -> Fold:
        """The fold over `members`, each name at most once."""
        ...


@dataclass(frozen=True)
class InMemory:
    """The transport in which the clients are objects of this process, called one after the other."""

    clients: Mapping[str, Answers] = field(repr=False)
    admit: Admit = field(repr=False)

    def gather(self, instruction: Instruction, members: Sequence[str]) -> Fold:
        """Asks each member in turn; see `Transport`."""
        fold, receive = Fold(), self.admit(instruction, members)
        for member in members:
            collect(fold, member, self.clients[member], instruction, receive)
        return fold


def collect(
    fold: Fold, member: str, client: Answers, instruction: Instruction, receive: Receive
) -> None:
    """One member's answer into the fold. This is the boundary at which a user's error is recorded."""
    try:
        update = client.answer(instruction)
    except Declined as declined:
        fold.refusals.append(Refusal(client=member, reason=str(declined)))
    except Exception as error:  # noqa: BLE001 - a client runs code we did not write
        fold.failures.append(
            Failure(
                client=member,
                error=f"{type(error).__name__}: {error}",
                traceback=traceback.format_exc(),
            )
        )
    else:
        receive(fold, replace(update, client=member))  # whoever it says it is
