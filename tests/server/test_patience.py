"""How long a cohort is waited for, and what becomes of those who are late, over a real network."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from contracts.certificates import make_authority
from contracts.network import Network, agent, attend, network
from contracts.processes import eventually
from tacit.privacy import Mean
from tacit.server import Admission
from tacit.server.remote import Patience
from tacit.strategies import FedAvg
from tacit.wire import Instruction, Purpose, Update
from tacit.wire.errors import Stopped

ADMISSION = Admission(strategy=FedAvg(), mechanism=Mean(weighting="uniform"))
ASKED = Instruction(
    round=1, purpose=Purpose.FIT, seed=0, parameters={"w": np.zeros(3, np.float32)}, run="r"
)


@dataclass
class Obliging:
    """A client that answers with ones, once it may."""

    may: threading.Event = field(default_factory=threading.Event)
    answered: int = 0

    def answer(self, instruction: Instruction) -> Update:
        assert self.may.wait(30)
        self.answered += 1
        ones = {f"delta/{k}": np.ones_like(a) for k, a in instruction.parameters.items()}
        expected = ADMISSION.expected(instruction)
        contribution = {k: ones.get(k, np.ones_like(a)) for k, a in expected.items()}
        return Update(client="?", round=instruction.round, examples=1, contribution=contribution)


def prompt() -> Obliging:
    found = Obliging()
    found.may.set()
    return found


@contextmanager
def joined(name: str, client: Obliging, net: Network) -> Iterator[None]:
    attend(name, client, net)
    yield
    client.may.set()


def test_a_round_closes_as_soon_as_enough_have_answered(tmp_path: Path) -> None:
    slow, patience = Obliging(), Patience(deadline=60.0, enough=2)
    with (
        network(ADMISSION, ["a", "b", "c"], tmp_path, patience) as net,
        joined("a", prompt(), net),
        joined("b", prompt(), net),
        joined("c", slow, net),
    ):
        fold = net.remote.gather(ASKED, ["a", "b", "c"])
        assert [receipt.client for receipt in fold.receipts] == ["a", "b"]
        assert [(r.client, r.reason) for r in fold.refusals] == [
            ("c", "late: the round closed with 2 answers")
        ]
        slow.may.set()
        eventually(lambda: net.remote.journal.metrics.count("late") == 1, lambda: "a late answer")
        assert [receipt.client for receipt in fold.receipts] == ["a", "b"]


def test_who_has_not_answered_by_the_deadline_has_failed(tmp_path: Path) -> None:
    with (
        network(ADMISSION, ["a", "b"], tmp_path, Patience(deadline=0.5)) as net,
        joined("a", prompt(), net),
        joined("b", Obliging(), net),
    ):
        began = time.monotonic()
        fold = net.remote.gather(ASKED, ["a", "b"])
        assert 0.5 <= time.monotonic() - began < 20
        assert [receipt.client for receipt in fold.receipts] == ["a"]
        assert [failure.error for failure in fold.failures] == ["Late: no answer within 0 s"]


def test_the_deadline_counts_from_when_all_who_may_not_miss_are_here(tmp_path: Path) -> None:
    with (
        network(ADMISSION, ["a", "b"], tmp_path, Patience(deadline=0.5)) as net,
        joined("a", prompt(), net),
        ThreadPoolExecutor(1) as pool,
    ):
        gathering = pool.submit(net.remote.gather, ASKED, ["a", "b"])
        time.sleep(1.0)
        assert not gathering.done()
        with joined("b", prompt(), net):
            fold = gathering.result(30)
        assert [receipt.client for receipt in fold.receipts] == ["a", "b"]


def test_who_may_miss_is_not_waited_for_beyond_the_deadline(tmp_path: Path) -> None:
    with (
        network(ADMISSION, ["a", "b"], tmp_path, Patience(deadline=0.5, may_miss=1)) as net,
        joined("a", prompt(), net),
    ):
        fold = net.remote.gather(ASKED, ["a", "b"])
        assert [receipt.client for receipt in fold.receipts] == ["a"]
        assert [failure.client for failure in fold.failures] == ["b"]


def test_stopping_now_gives_the_open_round_up(tmp_path: Path) -> None:
    with network(ADMISSION, ["a"], tmp_path) as net, ThreadPoolExecutor(1) as pool:
        gathering = pool.submit(net.remote.gather, ASKED, ["a"])
        eventually(lambda: net.remote.exchange is not None, lambda: "an open round")
        net.remote.loop.call_soon_threadsafe(lambda: net.remote.stop(now=True))
        with pytest.raises(Stopped):
            gathering.result(30)


def test_stopping_lets_the_open_round_end_and_no_other_begin(tmp_path: Path) -> None:
    slow = Obliging()
    with (
        network(ADMISSION, ["a"], tmp_path) as net,
        joined("a", slow, net),
        ThreadPoolExecutor(1) as pool,
    ):
        gathering = pool.submit(net.remote.gather, ASKED, ["a"])
        eventually(lambda: net.remote.exchange is not None, lambda: "an open round")
        net.remote.loop.call_soon_threadsafe(lambda: net.remote.stop(now=False))
        slow.may.set()
        assert len(gathering.result(30).receipts) == 1
        with pytest.raises(Stopped):
            net.remote.gather(ASKED, ["a"])


def test_an_answer_outlives_its_coordinator_and_is_not_computed_twice(tmp_path: Path) -> None:
    """The first coordinator goes away while the client trains; the next one gets the answer."""
    client = Obliging()
    with network(ADMISSION, ["a"], tmp_path) as net, ThreadPoolExecutor(1) as pool:
        port = net.port
        work = agent("a", client, net, stubborn=True).run
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        gathering = pool.submit(net.remote.gather, ASKED, ["a"])
        eventually(lambda: net.remote.state_of("a") == "asked", lambda: "a client that trains")
        net.remote.loop.call_soon_threadsafe(lambda: net.remote.stop(now=True))
        with pytest.raises(Stopped):
            gathering.result(30)
    client.may.set()
    with network(ADMISSION, ["a"], tmp_path / "again", port=port) as net:
        fold = net.remote.gather(ASKED, ["a"])
        assert [receipt.client for receipt in fold.receipts] == ["a"]
        net.remote.finish(["a"], linger=30.0)
    thread.join(30)
    assert (client.answered, thread.is_alive()) == (1, False)


def test_who_has_joined_waits_out_a_coordinator_that_is_not_believed(tmp_path: Path) -> None:
    """Its administrator may have brought the wrong keys; that is not for the sites to mend."""
    ours, theirs = (make_authority(tmp_path / name, "a").folder for name in ("ours", "theirs"))
    said: list[str] = []
    with network(ADMISSION, ["a"], tmp_path / "one", certs=ours) as net:
        port = net.port
        site = agent("a", prompt(), net, stubborn=True)
        site.observe = lambda news: said.append(news.text)
        thread = threading.Thread(target=site.run, daemon=True)
        thread.start()
        net.remote.gather(ASKED, ["a"])
        net.remote.stopping = True
    with network(ADMISSION, ["a"], tmp_path / "two", certs=theirs, port=port):
        eventually(lambda: "did not issue its certificate" in said[-1], lambda: str(said))
    with network(ADMISSION, ["a"], tmp_path / "three", certs=ours, port=port) as net:
        net.remote.finish(["a"], linger=30.0)
    thread.join(30)
    assert not thread.is_alive()


def test_patience_out_of_range_is_refused() -> None:
    for wrong in ({"deadline": 0.0}, {"deadline": float("nan")}, {"enough": 0}, {"may_miss": -1}):
        with pytest.raises(ValueError, match="Expected"):
            Patience(**wrong)
