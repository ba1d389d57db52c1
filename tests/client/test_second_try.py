"""What failed at a client once is tried again when the coordinator asks again, or by itself."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from contracts.network import Network, attending, network
from tacit.privacy import Mean
from tacit.server import Admission
from tacit.strategies import FedAvg
from tacit.wire import Instruction, Purpose, Update

ASKED = Instruction(
    round=1, purpose=Purpose.EVALUATE, seed=0, parameters={}, extras={}, settings={}, run="r"
)


@dataclass
class Stumbling:
    """A client that fails with each of `errors` before it answers."""

    errors: list[Exception] = field(default_factory=list)

    def answer(self, instruction: Instruction) -> Update:
        if self.errors:
            raise self.errors.pop()
        return Update(client="ann", round=1, examples=1)


@contextmanager
def stumbling_over(error: Exception, folder: Path) -> Iterator[Network]:
    admission = Admission(strategy=FedAvg(), mechanism=Mean())
    own = {"ann": Stumbling([error])}
    with network(admission, own, folder) as net, attending(own, net):
        yield net


def test_a_failure_is_not_kept_and_the_same_question_is_answered_afresh(tmp_path: Path) -> None:
    """As after a resumed run: the coordinator asks what it had asked before."""
    with stumbling_over(MemoryError(), tmp_path) as net:
        assert len(net.remote.gather(ASKED, ["ann"]).failures) == 1
        assert len(net.remote.gather(ASKED, ["ann"]).receipts) == 1


def test_a_full_disk_at_a_client_is_waited_out(tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    with stumbling_over(full, tmp_path) as net:
        fold = net.remote.gather(ASKED, ["ann"])
    assert [receipt.client for receipt in fold.receipts] == ["ann"]
    assert fold.failures == []
