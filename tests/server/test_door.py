"""Who may come in, over mutual TLS: everybody else is refused with a reason, and leaves no mark."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from contracts import certificates as cert
from contracts.processes import eventually
from contracts.siege import Siege, answer_with, attend, besieged, good, refusal
from cryptography import x509
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tacit.deployment import Authority
from tacit.deployment.certificates import make_leaf
from tacit.wire import federation_pb2 as pb
from tacit.wire import federation_pb2_grpc as rpc
from tacit.wire.dial import dial_insecurely
from tacit.wire.identity import Role

UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
DENIED = grpc.StatusCode.PERMISSION_DENIED
CUT = 10.0
"""Seconds after which a stream that may not stay must have ended."""


@pytest.fixture(scope="module")
def siege(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Siege]:
    with besieged(tmp_path_factory.mktemp("siege")) as siege:
        authority_of(siege).revoke("ron")
        yield siege


def authority_of(siege: Siege) -> Authority:
    assert siege.net.certs is not None
    return Authority(siege.net.certs)


def channel(siege: Siege, folder: Path) -> grpc.Channel:
    return grpc.secure_channel(siege.net.address, cert.dialling(folder))


def uri(text: str) -> x509.GeneralName:
    return x509.UniformResourceIdentifier(text)


SHUT_OUT: dict[str, Callable[[Authority], Path]] = {
    "expired": lambda a: cert.expired(a, Role.CLIENT, "mallory"),
    "not valid yet": lambda a: cert.early(a, Role.CLIENT, "mallory"),
    "of another authority": lambda a: cert.stranger(a, Role.CLIENT, "mallory"),
    "self-signed": lambda a: cert.self_signed(a, "tacit://client/mallory"),
}


@pytest.mark.parametrize("make", SHUT_OUT.values(), ids=SHUT_OUT.keys())
def test_a_certificate_that_cannot_be_verified_ends_in_the_handshake(
    siege: Siege, make: Callable[[Authority], Path]
) -> None:
    with siege.round(), channel(siege, make(authority_of(siege))) as dialled:
        code, _ = refusal(attend(rpc.FederationStub(dialled)))
        assert code is grpc.StatusCode.UNAVAILABLE


def test_without_a_certificate_there_is_no_handshake(siege: Siege) -> None:
    ca = (authority_of(siege).folder / "mallory" / "ca.pem").read_bytes()
    with siege.round():
        anonymous = grpc.secure_channel(siege.net.address, grpc.ssl_channel_credentials(ca))
        plain = dial_insecurely(siege.net.address, Role.CLIENT, "ann")
        for dialled in (anonymous, plain):
            with dialled:
                code, _ = refusal(attend(rpc.FederationStub(dialled)))
                assert code is grpc.StatusCode.UNAVAILABLE


NAMELESS = {
    "no name": [],
    "two names": [uri("tacit://client/mallory"), uri("tacit://client/ann")],
    "another spelling": [uri("tacit://client/%61nn")],
    "no role": [uri("tacit://root/ann")],
    "a line break": [uri("tacit://client/a%0Ann")],
    "a host name": [x509.DNSName("ann")],
    "a very long name": [uri("tacit://client/" + "a" * 5000)],
}


@pytest.mark.parametrize("names", NAMELESS.values(), ids=NAMELESS.keys())
def test_a_certificate_that_names_nobody_is_refused_and_noted(
    siege: Siege, names: list[x509.GeneralName]
) -> None:
    with siege.round(), channel(siege, cert.odd(authority_of(siege), *names)) as dialled:
        code, reason = refusal(attend(rpc.FederationStub(dialled)))
    assert code is UNAUTHENTICATED
    assert "tacit://ROLE/NAME" in reason
    assert len(reason) < 500
    assert noted(siege, "?", reason)


def noted(siege: Siege, client: str, reason: str) -> bool:
    """Whether the audit log says that `client` was refused for `reason`."""
    wanted = ("refused", client, reason)
    return wanted in [(e["event"], e["client"], e.get("reason")) for e in siege.net.audit()]


WRONG = {
    "revoked": ("ron", UNAUTHENTICATED, "revoked"),
    "on no list": ("sue", DENIED, "not on the list of clients (deployment.clients, or --client)"),
    "an operator": ("operator", DENIED, "the role operator, where client is needed"),
}


@pytest.mark.parametrize(("name", "code", "reason"), WRONG.values(), ids=WRONG.keys())
def test_who_may_not_take_part_is_refused_in_every_call(
    siege: Siege, name: str, code: grpc.StatusCode, reason: str
) -> None:
    with siege.round() as order, channel(siege, authority_of(siege).folder / name) as dialled:
        stub = rpc.FederationStub(dialled)
        piece = pb.Piece(answer=answer_with(order, b""))
        for call in (
            attend(stub),
            stub.Fetch(pb.Wanted(sha256=bytes(32))),
            stub.Submit(iter([piece])),
        ):
            assert refusal(call) == (code, reason)
    assert noted(siege, name, reason)


def test_the_services_of_grpc_itself_are_behind_the_same_door(siege: Siege) -> None:
    def calls(dialled: grpc.Channel) -> list[Iterator[object]]:
        health = health_pb2_grpc.HealthStub(dialled)
        about = reflection_pb2_grpc.ServerReflectionStub(dialled)
        listing = reflection_pb2.ServerReflectionRequest(list_services="")
        return [
            iter(lambda: health.Check(health_pb2.HealthCheckRequest()), None),
            health.Watch(health_pb2.HealthCheckRequest()),
            about.ServerReflectionInfo(iter([listing])),
        ]

    for name in ("mallory", "operator"):
        with siege.round(), channel(siege, authority_of(siege).folder / name) as dialled:
            check, watch, about = (next(call) for call in calls(dialled))
            assert check == watch == health_pb2.HealthCheckResponse(status="SERVING")
            assert "tacit.wire.v1.Federation" in str(about)
    for name, code, reason in list(WRONG.values())[:2]:
        with siege.round(), channel(siege, authority_of(siege).folder / name) as dialled:
            assert [refusal(call) for call in calls(dialled)] == [(code, reason)] * 3


def test_a_coordinator_cannot_dial(siege: Siege) -> None:
    folder = authority_of(siege).folder / "coordinator"
    with siege.round(), channel(siege, folder) as dialled:
        assert refusal(attend(rpc.FederationStub(dialled)))[0] is grpc.StatusCode.UNAVAILABLE


def test_a_client_is_no_operator(siege: Siege) -> None:
    reason = "the role client, where operator is needed"
    with siege.round(), siege.net.channel("mallory") as dialled:
        stub = rpc.ControlStub(dialled)
        for call in (stub.Watch(pb.WatchRequest()), stub.Report(pb.ReportRequest())):
            assert refusal(call) == (DENIED, reason)
        with pytest.raises(grpc.RpcError, match=reason):
            stub.Stop(pb.StopRequest(now=True))
        with pytest.raises(grpc.RpcError, match=reason):
            stub.Status(pb.StatusRequest())
    assert noted(siege, "mallory", reason)
    assert not siege.net.remote.stopping


def test_a_client_cannot_answer_for_another(siege: Siege) -> None:
    """Nothing in a message says who sends it, so Ron's metadata and Mallory's answer are Mallory's."""
    with siege.round(counted=[0.25]) as order, siege.net.channel("mallory") as dialled:
        answer, data = good(order, siege.rounds)
        stub = rpc.FederationStub(dialled)
        pieces = [
            pb.Piece(answer=answer),
            pb.Piece(data=data[: 1 << 20]),
            pb.Piece(data=data[1 << 20 :]),
        ]
        forged = (("client", "ann"), ("x-client", "ann"), ("user-agent", "tacit://client/ann"))
        verdicts = list(stub.Submit(iter(pieces), metadata=forged))
        assert verdicts[-1].status == pb.STATUS_ACCEPTED
    assert [receipt.client for receipt in siege.fold.receipts] == ["ann", "mallory"]


def test_a_client_that_is_revoked_while_it_attends_is_cut_off(tmp_path: Path) -> None:
    with besieged(tmp_path) as siege, siege.round(), siege.net.channel("mallory") as dialled:
        orders = attend(rpc.FederationStub(dialled))
        assert next(orders).WhichOneof("order") == "welcome"
        assert next(orders).WhichOneof("order") == "instruction"
        authority_of(siege).revoke("mallory")
        began = time.monotonic()
        assert refusal(orders) == (UNAUTHENTICATED, "revoked")
        assert time.monotonic() - began < CUT
        assert noted(siege, "mallory", "revoked")
        taken = siege.net.remote.seats.taken
        eventually(lambda: "mallory" not in taken, lambda: "an empty seat")


def test_an_upload_that_was_under_way_at_its_revocation_does_not_count(tmp_path: Path) -> None:
    with besieged(tmp_path) as siege, siege.round() as order:
        answer, data = good(order, siege.rounds)

        def pieces() -> Iterator[pb.Piece]:
            yield pb.Piece(answer=answer)
            yield pb.Piece(data=data[:100])
            authority_of(siege).revoke("mallory")
            yield pb.Piece(data=data[100:1000])
            yield pb.Piece(data=data[1000 : 1 << 20])
            yield pb.Piece(data=data[1 << 20 :])

        with siege.net.channel("mallory") as dialled:
            call = rpc.FederationStub(dialled).Submit(pieces())
            assert refusal(call) == (UNAUTHENTICATED, "revoked")


def test_a_certificate_that_expires_while_its_stream_is_open_ends_it(tmp_path: Path) -> None:
    with besieged(tmp_path) as siege, siege.round():
        authority, now = authority_of(siege), datetime.now(UTC)
        end = now + timedelta(seconds=4)
        pair = make_leaf(cert.root_of(authority), Role.CLIENT, "mallory", now, end)
        with channel(siege, cert.hand(authority, "brief", pair)) as dialled:
            orders = attend(rpc.FederationStub(dialled))
            assert next(orders).WhichOneof("order") == "welcome"
            code, reason = refusal(orders)
        assert code is UNAUTHENTICATED
        assert reason.startswith("expired since")
        assert datetime.now(UTC) < end + timedelta(seconds=CUT)


def test_an_operator_who_is_revoked_sees_no_more(tmp_path: Path) -> None:
    with besieged(tmp_path) as siege, siege.round():
        (siege.net.folder / "events.jsonl").write_text("{}\n")
        with channel(siege, authority_of(siege).folder / "operator") as dialled:
            events = rpc.ControlStub(dialled).Watch(pb.WatchRequest())
            assert next(events).json == "{}"
            authority_of(siege).revoke("operator")
            assert refusal(events) == (UNAUTHENTICATED, "revoked")
        assert noted(siege, "operator", "revoked")
