"""What a client with a good certificate may try: refused with a reason, and nobody else notices."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
import pytest
from contracts.certificates import dialling
from contracts.siege import (
    SIZE,
    Siege,
    answer_with,
    attend,
    besieged,
    contribution,
    good,
    instruction,
    refusal,
    submit,
)
from tacit.server.reception import MOST_CALLS
from tacit.wire import encode
from tacit.wire import federation_pb2 as pb
from tacit.wire import federation_pb2_grpc as rpc
from tacit.wire.protocol import MESSAGE, digest, write_instruction

ABORTED = grpc.StatusCode.ABORTED
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
INVALID = grpc.StatusCode.INVALID_ARGUMENT
NAME = next(iter(contribution(0.0)))


@pytest.fixture(scope="module")
def siege(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Siege]:
    with besieged(tmp_path_factory.mktemp("siege")) as siege:
        yield siege


@pytest.fixture
def stub(siege: Siege) -> Iterator[rpc.FederationStub]:
    with siege.net.channel("mallory") as channel:
        yield rpc.FederationStub(channel)


def odd(value: object) -> bytes:
    array = contribution(0.5)[NAME].copy()
    array[7] = value
    return encode({NAME: array})


BODIES: dict[str, tuple[bytes, str]] = {
    "NaN": (odd(np.nan), "not finite"),
    "infinity": (odd(-np.inf), "not finite"),
    "too large a value": (odd(1e38), "too large to be summed exactly"),
    "another shape": (encode({NAME: np.zeros(SIZE - 1, np.float32)}), "wrong shape"),
    "two dimensions": (encode({NAME: np.zeros((2, SIZE // 2), np.float32)}), "wrong shape"),
    "another type": (encode({NAME: np.zeros(SIZE // 2, np.int64)}), "wrong "),
    "another name": (encode({"\x1b[2J\n": np.zeros(9, np.float32)}), "wrong arrays"),
    "one array more": (encode({NAME: np.zeros(9), "x": np.zeros(1)}), "wrong arrays"),
    "no safetensors": (b"\xff" * 1000, "malformed: The header claims"),
    "a header of lies": ((9).to_bytes(8, "little") + b'{"a": {}}', "malformed: Array 'a'"),
}


@pytest.mark.parametrize(("data", "reason"), BODIES.values(), ids=BODIES.keys())
def test_a_body_that_is_no_contribution_is_refused(
    siege: Siege, stub: rpc.FederationStub, data: bytes, reason: str
) -> None:
    with siege.round() as order:
        verdict = submit(stub, answer_with(order, data, siege.rounds), data)
        assert verdict.status == pb.STATUS_REFUSED
        assert verdict.reason.startswith(reason)
        last = siege.net.audit()[-1]
        assert (last["event"], last["reason"]) == ("refused", verdict.reason)
    assert [(r.client, r.reason) for r in siege.fold.refusals] == [("mallory", verdict.reason)]


ANSWERS: dict[str, tuple[dict[str, Any], str]] = {
    "another round": ({"round": 99}, "wrong round"),
    "no rows": ({"examples": 0}, "no rows"),
    "rows beyond 2^53": ({"examples": 2**64 - 1}, "too many rows"),
    "a statistic that is NaN": ({"statistics": {"loss": float("nan")}}, "not finite"),
    "an infinite statistic": ({"statistics": {"loss": float("inf")}}, "not finite"),
    "as many statistics as a message holds": (
        {"statistics": {f"s{i}": 1.0 for i in range(40_000)}},
        "too many",
    ),
    "statistics of other rows": ({"statistics": {"examples": 1e9}}, "statistics of other rows"),
    "a statistic named by an escape": ({"statistics": {"\x1b[2J": 1.0}}, "a statistic without"),
    "a statistic with a long name": ({"statistics": {"s" * 10_000: 1.0}}, "a statistic without"),
}


@pytest.mark.parametrize(("changes", "reason"), ANSWERS.values(), ids=ANSWERS.keys())
def test_an_answer_that_lies_is_refused(
    siege: Siege, stub: rpc.FederationStub, changes: dict[str, Any], reason: str
) -> None:
    _, data = good(b"", 0)
    with siege.round() as order:
        answer = answer_with(order, data, **{"round": siege.rounds, **changes})
        verdict = submit(stub, answer, data)
        assert verdict.status == pb.STATUS_REFUSED
        assert verdict.reason.startswith(reason)
        assert len(verdict.reason) < 500


def test_an_announcement_that_no_contribution_has_is_refused_before_a_byte_is_kept(
    siege: Siege, stub: rpc.FederationStub
) -> None:
    _, data = good(b"", 0)
    for size in (2**63, 2**64 - 1, len(data) + 1):
        with siege.round() as order:
            answer = answer_with(order, data, siege.rounds)
            answer.update.contribution.size = size
            verdict = submit(stub, answer, data)
            assert verdict.status == pb.STATUS_REFUSED
            assert f"{size} bytes, where a contribution has at most {len(data)}" in verdict.reason


@pytest.mark.parametrize("size", [0, 1, 999_999])
def test_more_than_was_announced_is_refused(
    siege: Siege, stub: rpc.FederationStub, size: int
) -> None:
    with siege.round() as order:
        answer, data = good(order, siege.rounds)
        answer.update.contribution.size = size
        verdict = submit(stub, answer, data)
        assert verdict.status == pb.STATUS_REFUSED
        assert "more than" in verdict.reason or "wrong arrays" in verdict.reason


def test_less_than_was_announced_breaks_off_and_may_go_on(
    siege: Siege, stub: rpc.FederationStub
) -> None:
    with siege.round(counted=[0.25]) as order:
        answer, data = good(order, siege.rounds)
        pieces = [pb.Piece(answer=answer), pb.Piece(data=data[:1000])]
        assert refusal(stub.Submit(iter(pieces))) == (INVALID, "the upload breaks off")
        assert siege.net.audit()[-1]["reason"] == "the upload breaks off"
        call = stub.Submit(iter([pieces[0]]))
        assert next(call).held == 1000
        call.cancel()
        rest = [pieces[0], pb.Piece(data=data[1000 : 1 << 20]), pb.Piece(data=data[1 << 20 :])]
        assert list(stub.Submit(iter(rest)))[-1].status == pb.STATUS_ACCEPTED


def test_bytes_of_another_hash_are_refused(siege: Siege, stub: rpc.FederationStub) -> None:
    for sha256 in (bytes(32), b"", b"x" * 100_000):
        with siege.round() as order:
            answer, data = good(order, siege.rounds)
            answer.update.contribution.sha256 = sha256
            verdict = submit(stub, answer, data)
            assert verdict.status == pb.STATUS_REFUSED
            assert verdict.reason == "malformed: other bytes than announced: their SHA-256 differs"


def test_a_replayed_answer_gets_its_verdict_again_and_adds_nothing(
    siege: Siege, stub: rpc.FederationStub
) -> None:
    with siege.round(counted=[0.25]) as order:
        answer, data = good(order, siege.rounds)
        for _ in range(3):
            assert submit(stub, answer, data).status == pb.STATUS_ACCEPTED
        other = answer_with(order, odd(0.75), siege.rounds)
        assert submit(stub, other, odd(0.75)).status == pb.STATUS_ACCEPTED  # of the first
    assert submit(stub, answer, data).status == pb.STATUS_LATE
    with siege.round():
        assert submit(stub, answer, data).status == pb.STATUS_LATE


def test_an_answer_to_another_order_is_late(siege: Siege, stub: rpc.FederationStub) -> None:
    with siege.round() as order:
        blob = pb.Blob(sha256=bytes(32))
        foreign = write_instruction(instruction(siege.rounds + 1), blob, blob)
        for other in (foreign, b"", order[:-1], b"x" * 100_000):
            answer, data = good(other, siege.rounds)
            assert submit(stub, answer, data).status == pb.STATUS_LATE


FIRST: dict[str, list[pb.Piece]] = {
    "nothing at all": [],
    "an empty piece": [pb.Piece()],
    "bytes": [pb.Piece(data=b"x")],
}


@pytest.mark.parametrize("pieces", FIRST.values(), ids=FIRST.keys())
def test_what_does_not_begin_with_an_answer_is_refused(
    siege: Siege, stub: rpc.FederationStub, pieces: list[pb.Piece]
) -> None:
    with siege.round():
        assert refusal(stub.Submit(iter(pieces))) == (INVALID, "the first piece is no answer")
        assert siege.net.audit()[-1]["reason"] == "the first piece is no answer"


def test_an_answer_that_says_nothing_is_refused(siege: Siege, stub: rpc.FederationStub) -> None:
    with siege.round() as order:
        verdict = submit(stub, pb.Answer(instruction=digest(order)))
        assert (verdict.status, verdict.reason) == (pb.STATUS_REFUSED, "malformed: an empty answer")


def test_pieces_without_bytes_and_second_answers_do_not_go_on_forever(
    siege: Siege, stub: rpc.FederationStub
) -> None:
    with siege.round() as order:
        answer, _ = good(order, siege.rounds)

        def endless(piece: pb.Piece) -> Iterator[pb.Piece]:
            yield pb.Piece(answer=answer)
            while True:
                yield piece

        for piece in (pb.Piece(), pb.Piece(data=b""), pb.Piece(answer=answer)):
            assert refusal(stub.Submit(endless(piece), timeout=30))[0] is INVALID


def test_one_byte_at_a_time_is_only_slow(siege: Siege, stub: rpc.FederationStub) -> None:
    with siege.round(counted=[0.25]) as order:
        answer, data = good(order, siege.rounds)
        small = [pb.Piece(data=data[i : i + 1]) for i in range(2000)]
        rest = [pb.Piece(data=data[2000 : 1 << 20]), pb.Piece(data=data[1 << 20 :])]
        verdicts = list(stub.Submit(iter([pb.Piece(answer=answer), *small, *rest])))
        assert verdicts[-1].status == pb.STATUS_ACCEPTED


def stalled(answer: pb.Answer, data: bytes, free: threading.Event) -> Iterator[pb.Piece]:
    """An upload that waits after `data` until it is free."""
    yield pb.Piece(answer=answer)
    yield pb.Piece(data=data)
    free.wait(30)
    yield pb.Piece(data=data)


def holds(siege: Siege, size: int) -> None:
    """Waits until the server has as many bytes of Mallory: they come after the verdict on the answer."""
    until = time.monotonic() + 30
    while (exchange := siege.net.remote.exchange) and exchange.uploads["mallory"].held < size:
        assert time.monotonic() < until
        time.sleep(0.001)


def test_of_two_uploads_at_once_the_newer_goes_on(siege: Siege, stub: rpc.FederationStub) -> None:
    """Whether they are the same bytes or others: nothing is mixed, and nothing counts twice."""
    for value in (0.25, 0.75):
        with siege.round(counted=[value]) as order:
            first, data = good(order, siege.rounds)
            free = threading.Event()
            call = stub.Submit(stalled(first, data[:500], free))
            assert next(call).status == pb.STATUS_HELD
            holds(siege, 500)
            other = encode(contribution(value))
            assert submit_rest(stub, answer_with(order, other, siege.rounds), other)
            free.set()
            assert [verdict.status for verdict in call] == [pb.STATUS_ACCEPTED]  # what became of it


def test_an_older_upload_that_sends_beside_a_newer_one_is_aborted(
    siege: Siege, stub: rpc.FederationStub
) -> None:
    with siege.round(counted=[0.25]) as order:
        answer, data = good(order, siege.rounds)
        older, newer = threading.Event(), threading.Event()
        call = stub.Submit(stalled(answer, data[:500], older))
        assert next(call).held == 0
        holds(siege, 500)
        second = stub.Submit(stalled(answer, data[500:1000], newer))
        assert next(second).held == 500
        older.set()
        assert refusal(call) == (ABORTED, "another call goes on with this upload")
        holds(siege, 1000)
        assert submit_rest(stub, answer, data)
        newer.set()
        assert [verdict.status for verdict in second] == [pb.STATUS_ACCEPTED]


def submit_rest(stub: rpc.FederationStub, answer: pb.Answer, data: bytes) -> bool:
    """Hands `data` in from where the server has it; whether it was accepted."""
    held: list[int] = []
    ready = threading.Event()

    def pieces() -> Iterator[pb.Piece]:
        yield pb.Piece(answer=answer)
        assert ready.wait(30)
        for start in range(held[0], len(data), 1 << 20):
            yield pb.Piece(data=data[start : start + (1 << 20)])

    for verdict in stub.Submit(pieces(), timeout=30):
        if verdict.status == pb.STATUS_HELD:
            held.append(verdict.held)
            ready.set()
    return bool(verdict.status == pb.STATUS_ACCEPTED)


def test_many_submissions_of_one_client_race_and_one_counts(siege: Siege) -> None:
    """With different bytes each, so that each takes the file from the one before."""
    for _ in range(3):
        with siege.round(), siege.net.channel("mallory") as channel:
            stub, order = rpc.FederationStub(channel), siege.order
            data = [odd(np.nan)[:-4] + bytes([i, 0, 128, 127]) for i in range(6)]
            with ThreadPoolExecutor(6) as pool:
                calls = [
                    pool.submit(attempt, stub, answer_with(order, one, siege.rounds), one)
                    for one in data
                ]
                found = [call.result(60) for call in calls]
            assert pb.STATUS_REFUSED in found
            assert set(found) <= {pb.STATUS_REFUSED, "ABORTED"}


def attempt(stub: rpc.FederationStub, answer: pb.Answer, data: bytes) -> object:
    try:
        return submit(stub, answer, data).status
    except grpc.RpcError as error:
        return error.code().name


def test_an_upload_that_outlives_its_round_is_let_go(siege: Siege) -> None:
    free = threading.Event()
    with siege.net.channel("mallory") as channel:
        with siege.round() as order:
            answer, data = good(order, siege.rounds)
            call = rpc.FederationStub(channel).Submit(stalled(answer, data[:500], free))
            assert next(call).status == pb.STATUS_HELD
        free.set()
        assert {verdict.status for verdict in call} <= {pb.STATUS_LATE, pb.STATUS_REFUSED}
    with siege.round():
        pass


def test_a_client_that_hangs_up_while_its_answer_is_folded_does_not_hold_the_round(
    siege: Siege,
) -> None:
    """Its call is gone when the thread is done, and it was the last that was waited for."""
    for delay in (0.0, 0.002, 0.01):
        with siege.last(0.25) as order:
            answer, data = good(order, siege.rounds)
            channel = siege.net.channel("mallory")
            call = rpc.FederationStub(channel).Submit(
                iter(
                    [
                        pb.Piece(answer=answer),
                        pb.Piece(data=data[: 1 << 20]),
                        pb.Piece(data=data[1 << 20 :]),
                    ]
                )
            )
            assert next(call).status == pb.STATUS_HELD
            time.sleep(delay)
            channel.close()  # unless it was too early, the answer is in
            if not wait_for_verdict(siege):
                with siege.net.channel("mallory") as again:
                    assert submit_rest(rpc.FederationStub(again), answer, data)


def wait_for_verdict(siege: Siege) -> bool:
    """Whether Mallory's answer is settled, soon."""
    until = time.monotonic() + 2
    while (exchange := siege.net.remote.exchange) and exchange.waits_for("mallory"):
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def test_a_fetch_of_what_is_not_there_is_refused(siege: Siege, stub: rpc.FederationStub) -> None:
    with siege.round() as order:
        blob = pb.Instruction.FromString(order).parameters
        for sha256 in (b"", bytes(32), blob.sha256[:-1], b"x" * 500_000):
            assert refusal(stub.Fetch(pb.Wanted(sha256=sha256)))[0] is grpc.StatusCode.NOT_FOUND
        for offset in (blob.size, blob.size + 1, 2**63, 2**64 - 1):
            assert list(stub.Fetch(pb.Wanted(sha256=blob.sha256, offset=offset))) == []


def test_of_a_thousand_fetches_at_once_eight_are_served(siege: Siege) -> None:
    """Over many connections: a limit for each of them would be none. What is served is never read."""
    with siege.round() as order:
        wanted = pb.Wanted(sha256=pb.Instruction.FromString(order).parameters.sha256)
        channels = [slow_channel(siege) for _ in range(70)]
        calls = [rpc.FederationStub(c).Fetch(wanted) for c in channels for _ in range(15)]
        with ThreadPoolExecutor(16) as pool:
            codes = list(pool.map(first_code, calls))
        assert (codes.count(None), codes.count(EXHAUSTED)) == (MOST_CALLS, len(calls) - MOST_CALLS)
        for channel in channels:
            channel.close()


def slow_channel(siege: Siege) -> grpc.Channel:
    """Of Mallory, with a window of 64 KiB into which the second piece of a blob does not go."""
    assert siege.net.certs is not None
    options = [("grpc.http2.bdp_probe", 0), ("grpc.use_local_subchannel_pool", 1)]
    credentials = dialling(siege.net.certs / "mallory")
    return grpc.secure_channel(siege.net.address, credentials, options)


def first_code(call: Iterator[pb.Chunk]) -> grpc.StatusCode | None:
    """How the call is refused; None if a first message comes, after which nothing more is read."""
    try:
        next(call)
    except grpc.RpcError as error:
        return error.code()
    return None


def test_a_thousand_calls_of_attend_leave_one_seat_and_the_others_theirs(
    siege: Siege, stub: rpc.FederationStub
) -> None:
    with siege.round():
        for _ in range(1000):
            call = attend(stub)
            next(call)
            call.cancel()  # type: ignore[attr-defined]
        until = time.monotonic() + 10
        while "mallory" in siege.net.remote.seats.taken and time.monotonic() < until:
            time.sleep(0.05)
        assert set(siege.net.remote.seats.taken) == {"ann"}


def test_a_second_call_of_attend_takes_the_seat(siege: Siege, stub: rpc.FederationStub) -> None:
    with siege.round():
        first = attend(stub)
        assert [next(first).WhichOneof("order") for _ in range(2)] == ["welcome", "instruction"]
        second = attend(stub)
        assert [next(second).WhichOneof("order") for _ in range(2)] == ["welcome", "instruction"]
        wanted = (grpc.StatusCode.ALREADY_EXISTS, "this client connected again")
        assert refusal(first) == wanted
        second.cancel()  # type: ignore[attr-defined]


def test_another_study_or_protocol_is_refused(siege: Siege, stub: rpc.FederationStub) -> None:
    with siege.round():
        for request in (
            pb.Attendance(protocol=1, study="g\x1b[2J\n"),
            pb.Attendance(protocol=2**32 - 1, study="f"),
            pb.Attendance(),
        ):
            assert refusal(stub.Attend(request))[0] is grpc.StatusCode.FAILED_PRECONDITION


def test_messages_and_headers_that_are_too_large_are_refused(
    siege: Siege, stub: rpc.FederationStub
) -> None:
    with siege.round() as order:
        answer, _ = good(order, siege.rounds)
        large = [pb.Piece(answer=answer), pb.Piece(data=bytes(MESSAGE + 1))]
        assert refusal(stub.Submit(iter(large)))[0] is EXHAUSTED
        for size in (20_000, 200_000):
            call = stub.Fetch(pb.Wanted(), metadata=(("x", "y" * size),))
            code = refusal(call)[0]
            assert code in (EXHAUSTED, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE)


ESCAPES = "no\x1b]0;owned\x07\nround 9: all is well\u202e\r" + "!" * 10_000


def test_what_a_client_says_cannot_pass_for_what_the_server_says(
    siege: Siege, stub: rpc.FederationStub
) -> None:
    """Neither by a line of its own in a log or on a screen, nor by its length."""
    failed = pb.Failed(error=ESCAPES, traceback=ESCAPES * 10)
    for answer in (pb.Answer(declined=ESCAPES), pb.Answer(failed=failed)):
        with siege.round() as order:
            answer.instruction = digest(order)
            submit(stub, answer)
            raw = (siege.net.folder / "audit.jsonl").read_bytes()
            assert max(map(len, raw.split(b"\n"))) < 6000
            assert not {*raw} & {*range(32), 127} - {10}
        said = [refused.reason for refused in siege.fold.refusals]
        said += [failure.error for failure in siege.fold.failures]
        assert said[0].isprintable()
        assert len(said[0]) <= 4000
        for failure in siege.fold.failures:
            assert all(line.isprintable() for line in failure.traceback.split("\n"))
            assert len(failure.traceback) <= 40_000
