"""Mutated messages, certificates and files: refused by an error that is expected, and nothing else.

`TACIT_FUZZ_INPUTS` says how many; they are the same ones each time.
"""

from __future__ import annotations

import asyncio
import base64
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from contracts import certificates as cert
from contracts.siege import ADMISSION, Siege, answer_with, besieged
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from google.protobuf.message import DecodeError
from tacit.client.agreement import Agreement
from tacit.client.outbox import Cache, Outbox
from tacit.server.exchange import Exchange, folding_of
from tacit.wire import CodecError, Fold, Instruction, Purpose, encode
from tacit.wire import federation_pb2 as pb
from tacit.wire.errors import Declined, Disagreement, Unidentified
from tacit.wire.identity import identity_of
from tacit.wire.protocol import digest, instruction_of, read_instruction, write_instruction

INPUTS = int(os.environ.get("TACIT_FUZZ_INPUTS", "10000"))
SMALL = Instruction(
    round=3,
    purpose=Purpose.FIT,
    seed=1,
    parameters={"w": np.zeros(4, np.float32)},
    run="r",
    settings={"learning_rate": 0.5, "batch": 8, "name": "x"},
    terms={"clip": 1.0},
)
NAME = next(iter(ADMISSION.expected(SMALL)))
UPDATE = {NAME: np.ones(4, np.float32)}
AGREEMENT = Agreement(
    study={"a": {"b": 1}},
    seed=1,
    rounds=9,
    every=1,
    settings=SMALL.settings,
    terms=frozenset({"clip"}),
    model=SMALL.parameters,
    extras=SMALL.extras,
)
Read = Callable[[bytes], object]
Call = Callable[..., Iterator[bytes]]


def mutated(chance: random.Random, seed: bytes) -> bytes:
    """`seed` with a few bytes changed, cut out, doubled, swapped or put in."""
    data = bytearray(seed)
    for _ in range(chance.choice([1, 1, 2, 3, 8])):
        at, size = chance.randrange(len(data) + 1), chance.choice([1, 1, 2, 4, 16])
        match chance.randrange(6):
            case 0:
                data[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                del data[at : at + size]
            case 2:
                data[at:at] = data[at : at + size]
            case 3:
                data[at:at] = chance.randbytes(size)
            case 4:
                data[at : at + size] = chance.choice(ODD)
            case _:
                del data[at:]
    return bytes(data)


ODD = [
    b"\xff" * 9 + b"\x01",
    b"\x80" * 20,
    b"\0",
    b"[" * 900,
    b"1e999",
    b"NaN",
    b'"\\ud800"',
    b"{}",
]


def blob(data: bytes) -> pb.Blob:
    return pb.Blob(sha256=digest(data), size=len(data))


ORDER = write_instruction(SMALL, blob(b"p"), blob(b"e"))
ANSWER = answer_with(ORDER, encode(UPDATE), 3, statistics={"loss": 0.5, "examples": 3.0})
STUDY = pb.Welcome(protocol=1, run="r", study='{"a": {"b": 2, "c": [1, 2]}}')


def read_order(data: bytes) -> None:
    """What a client does with an order."""
    order = pb.Order.FromString(data)
    if order.WhichOneof("order") == "welcome":
        AGREEMENT.meet(order.welcome)
    else:
        read_as_instruction(order.instruction)


def read_as_instruction(data: bytes) -> None:
    asked = instruction_of(read_instruction(data), SMALL.parameters, {})
    AGREEMENT.check(asked)


class Settling:
    """An exchange that answers are settled in, as Submit does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def piece(self, data: bytes) -> None:
        piece = pb.Piece.FromString(data)
        if piece.WhichOneof("piece") == "answer":
            asyncio.run(self._settle(piece.answer, encode(UPDATE)))

    def body(self, data: bytes) -> None:
        answer = pb.Answer()
        answer.CopyFrom(ANSWER)
        answer.update.contribution.CopyFrom(blob(data))
        asyncio.run(self._settle(answer, data))

    async def _settle(self, answer: pb.Answer, data: bytes) -> None:
        exchange, upload = self._exchange(), None
        try:
            if answer.update.contribution.size:
                upload = exchange.upload("mallory", answer.update.contribution)
                upload.add(data)
            verdict = await exchange.settle(
                "mallory", folding_of("mallory", answer, upload, exchange)
            )
        finally:
            exchange.release()
        assert verdict[0].status in (pb.STATUS_ACCEPTED, pb.STATUS_REFUSED)
        fold: Fold = exchange.fold
        assert len(fold.receipts) + len(fold.refusals) + len(fold.failures) == 1
        assert all(r.reason.isprintable() and len(r.reason) < 4001 for r in fold.refusals)

    def _exchange(self) -> Exchange:
        members = frozenset({"mallory", "ann"})
        return Exchange(
            instruction=SMALL,
            order=ORDER,
            members=members,
            most=1 << 16,
            folder=self.folder,
            receive=ADMISSION.open(SMALL, members),
            enough=2,
        )


class Kept:
    """What a client keeps on disk, damaged."""

    def __init__(self, folder: Path) -> None:
        self.outbox, self.cache = Outbox(folder / "outbox"), Cache(folder / "cache")
        self.outbox.keep("fit", ANSWER, encode(UPDATE))
        self.cache.folder.mkdir()

    def answer(self, data: bytes) -> None:
        (self.outbox.folder / "fit.answer").write_bytes(data)
        found = self.outbox.find(digest(ORDER))
        assert found is None or digest(found[1]) == found[0].update.contribution.sha256

    def blob(self, data: bytes) -> None:
        named = blob(encode(UPDATE))
        (self.cache.folder / f"{named.sha256.hex()}.blob").write_bytes(data)
        assert list(self.cache.read(named)) == [NAME]


def targets(folder: Path) -> dict[str, tuple[int, Read, list[bytes]]]:
    """What is fuzzed: a share of the inputs, how it is read, and what it is mutated from."""
    authority = cert.make_authority(folder / "certs", "mallory")
    party = cert.odd(authority)
    pems = [(authority.folder / n / "cert.pem").read_bytes() for n in ("mallory", "operator")]
    pems.append((party / "cert.pem").read_bytes())
    settling, kept = Settling(folder), Kept(folder)
    orders = [pb.Order(instruction=ORDER), pb.Order(welcome=STUDY)]
    pieces = [
        pb.Piece(answer=ANSWER),
        pb.Piece(answer=pb.Answer(declined="no")),
        pb.Piece(data=b"x"),
        pb.Piece(answer=pb.Answer(failed=pb.Failed(error="e", traceback="t\nt"))),
    ]
    return {
        "an order": (30, read_order, [order.SerializeToString() for order in orders]),
        "an instruction": (20, read_as_instruction, [ORDER]),
        "a certificate": (20, pem_or_der(pems), pems),
        "a piece": (10, settling.piece, [piece.SerializeToString() for piece in pieces]),
        "a body": (10, settling.body, [encode(UPDATE)]),
        "an outbox": (5, kept.answer, [ANSWER.SerializeToString()]),
        "a cache": (5, kept.blob, [encode(UPDATE)]),
    }


def pem_or_der(pems: list[bytes]) -> Read:
    """Reads PEM that was damaged as such; every other one is damaged beneath its base64."""
    ders = [x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER) for pem in pems]
    chance = random.Random(5)

    def read(pem: bytes) -> object:
        if chance.random() < 0.3:
            return identity_of(pem)
        der = base64.encodebytes(mutated(chance, chance.choice(ders)))
        head, tail = b"-----BEGIN CERTIFICATE-----\n", b"-----END CERTIFICATE-----\n"
        return identity_of(head + der + tail)

    return read


# A serial number below one: cryptography warns that it will refuse it later.
pytestmark = pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
EXPECTED = (DecodeError, CodecError, Declined, Disagreement, Unidentified)


def test_mutated_bytes_are_refused_by_an_expected_error(tmp_path: Path) -> None:
    chance, tried = random.Random(7), 0
    for name, (share, read, seeds) in targets(tmp_path).items():
        for _ in range(INPUTS * share // 100):
            data = mutated(chance, chance.choice(seeds))
            tried += 1
            try:
                read(data)
            except EXPECTED:
                continue
            except Exception as error:
                raise AssertionError(f"{name}: {data!r}") from error
    assert tried >= INPUTS * 99 // 100


@pytest.fixture
def siege(tmp_path: Path) -> Iterator[Siege]:
    with besieged(tmp_path) as siege:
        yield siege


def test_mutated_messages_to_a_live_server_end_in_a_status(siege: Siege) -> None:
    """Bytes in, bytes out: what the generated code would never send."""
    chance = random.Random(9)
    with siege.round() as order, siege.net.channel("mallory") as channel:
        answer = answer_with(order, b"x" * 10, siege.rounds)
        seeds = {
            "Attend": pb.Attendance(protocol=1, study="g", version="v").SerializeToString(),
            "Fetch": pb.Wanted(sha256=bytes(32), offset=7).SerializeToString(),
        }
        for _ in range(max(500, INPUTS // 50)):
            method, seed = chance.choice(list(seeds.items()))
            call: Call = channel.unary_stream(f"/tacit.wire.v1.Federation/{method}")
            ended(call(mutated(chance, seed), timeout=10))
        submit: Call = channel.stream_stream("/tacit.wire.v1.Federation/Submit")
        answer.instruction = bytes(32)
        piece = pb.Piece(answer=answer).SerializeToString()
        for _ in range(max(500, INPUTS // 50)):
            ended(submit(iter([mutated(chance, piece) for _ in range(2)]), timeout=10))
    with siege.round():
        pass


def ended(call: Iterator[bytes]) -> None:
    """Reads the call to its end, which may be any status but one of an unhandled exception."""
    try:
        for _ in call:
            pass
    except grpc.RpcError as error:
        if error.code() in (grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL):
            raise
