"""The errors a caller can act on.

TacitError
├── CodecError        bytes that are not the arrays they should be
├── ClientsFailed     clients raised or were all refused; what was done before is kept
├── WorkerLost        a worker process died
├── StoreError        a run folder or a ledger that is damaged, locked, or another run's
├── BudgetSpent       the privacy budget allows no further release; what was paid for is kept
├── Declined          a client will not do what it is asked; its reason reveals nothing private
├── CertificateError  keys or certificates that cannot be used, or issued, as asked
├── Unidentified      a certificate that does not say who its holder is
├── Unreachable       a coordinator that does not answer, or breaks off; it may tomorrow
├── Refused           a coordinator will not have this peer, now or later
├── Disagreement      a coordinator runs another study than the client agreed to
├── AppError          a Flower app that cannot run, or whose ServerApp raised
├── Stopped           someone asked the run to stop; it can be resumed
├── Unaccountable     no accountant can say what this would reveal (privacy/)
├── AccountantsDisagree  two accountants contradict each other (privacy/)
├── DataError         data that is missing, damaged or cannot be used as asked (simulations/)
└── ConfigError       a configuration that cannot run (simulations/)
"""

from __future__ import annotations

from collections.abc import Sequence

from .messages import Failure


class TacitError(Exception):
    """One line that says what happened, why, and what to try."""


class CodecError(TacitError):
    """The bytes are malformed, or larger or of another kind than was agreed."""


class WorkerLost(TacitError):
    """A worker process ended without answering."""


class Unreachable(TacitError):
    """The coordinator does not answer, or the connection to it broke off."""


class Refused(TacitError):
    """The coordinator refuses this client or operator for good."""


class Disagreement(TacitError):
    """Coordinator and client do not mean the same study: one line for each difference."""


class AppError(TacitError):
    """A Flower app cannot run, or its ServerApp raised: `traceback` is what its own code raised."""

    def __init__(self, line: str, traceback: str = "") -> None:
        super().__init__(line, traceback)
        self.line = line
        self.traceback = traceback

    def __str__(self) -> str:
        return self.line


class Stopped(TacitError):
    """The run was stopped from outside, and can be resumed."""


class StoreError(TacitError):
    """The run folder cannot be used as asked."""


class BudgetSpent(TacitError):
    """Another release would exceed the privacy budget."""


class ClientsSpent(BudgetSpent):
    """All who were asked say that their own budgets are spent. The run may go on if others come."""


class Declined(TacitError):
    """A client's answer that it will not take part, and why: its own budget is spent, for example."""


class CertificateError(TacitError):
    """A key, a certificate or a revocation list that is missing, damaged, or another party's."""


class Unidentified(TacitError):
    """A certificate without exactly one role and one name that tacit knows."""


class ClientsFailed(TacitError):
    """Clients raised, or none could be admitted, in round `round`."""

    def __init__(self, round: int, message: str, failures: Sequence[Failure] = ()) -> None:
        super().__init__(round, message, tuple(failures))
        self.round = round
        self.message = message
        self.failures = tuple(failures)

    def __str__(self) -> str:
        return self.message
