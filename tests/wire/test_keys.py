"""Real handshakes: who gets through, who does not, and what a server then knows of its peer."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from contracts.certificates import (
    dialling,
    early,
    elsewhere,
    expired,
    make_authority,
    odd,
    self_signed,
    serving,
    stranger,
)
from cryptography import x509
from tacit.deployment import Authority
from tacit.wire.dial import is_mistake
from tacit.wire.errors import CertificateError, Unidentified
from tacit.wire.identity import Role, identity_of
from tacit.wire.keys import Keys

ECHO = "/tests.Echo/Echo"


def name_of(request: bytes, context: grpc.ServicerContext) -> bytes:
    """Who the server thinks that it talks to."""
    (pem,) = context.auth_context()["x509_pem_cert"]
    return str(identity_of(pem)).encode() + b" says " + request


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("keys") / "certs", "St. Mary's")


@pytest.fixture
def serve() -> Iterator[Callable[[grpc.ServerCredentials], int]]:
    """Starts a server, and says at which port."""
    servers: list[grpc.Server] = []

    def start(credentials: grpc.ServerCredentials) -> int:
        method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(name_of)
        server = grpc.server(ThreadPoolExecutor(2))
        server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler("tests.Echo", {"Echo": method})]
        )
        servers.append(server)
        port = server.add_secure_port("127.0.0.1:0", credentials)
        server.start()
        return port

    yield start
    for server in servers:
        server.stop(None).wait()


def say_hello(channel: grpc.Channel) -> bytes:
    echo: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(ECHO)
    return echo(b"hello", timeout=20)


def ask(port: int, credentials: grpc.ChannelCredentials, host: str = "127.0.0.1") -> str:
    with grpc.secure_channel(f"{host}:{port}", credentials) as channel:
        return say_hello(channel).decode()


def refused(port: int, credentials: grpc.ChannelCredentials, host: str = "127.0.0.1") -> str:
    with pytest.raises(grpc.RpcError) as raised:
        ask(port, credentials, host)
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
    return str(raised.value.details())


Serve = Callable[[grpc.ServerCredentials], int]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_server_knows_who_calls(authority: Authority, serve: Serve, host: str) -> None:
    port = serve(Keys(authority.folder_of("coordinator")).server_credentials())
    client = Keys(authority.folder_of("St. Mary's"))
    operator = Keys(authority.folder_of("operator"))
    assert ask(port, client.channel_credentials(), host) == """client "St. Mary's" says hello"""
    assert ask(port, operator.channel_credentials(), host) == "operator 'operator' says hello"
    assert client.identity().name == "St. Mary's"


def test_an_asyncio_server_knows_it_too(authority: Authority) -> None:
    async def echo(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        (pem,) = context.auth_context()["x509_pem_cert"]
        return str(identity_of(pem)).encode()

    async def meet() -> bytes:
        server = grpc.aio.server()
        method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(echo)
        handler = grpc.method_handlers_generic_handler("tests.Echo", {"Echo": method})
        server.add_generic_rpc_handlers((handler,))
        keys = Keys(authority.folder_of("coordinator"))
        port = server.add_secure_port("127.0.0.1:0", keys.server_credentials())
        await server.start()
        credentials = Keys(authority.folder_of("operator")).channel_credentials()
        async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials) as channel:
            call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(ECHO)
            answer = await call(b"hello", timeout=20)
        await server.stop(None)
        return answer

    assert asyncio.run(meet()) == b"operator 'operator'"


def test_without_a_certificate_there_is_no_handshake(authority: Authority, serve: Serve) -> None:
    port = serve(Keys(authority.folder_of("coordinator")).server_credentials())
    ca = (authority.folder / "ca" / "ca.pem").read_bytes()
    refused(port, grpc.ssl_channel_credentials(ca))
    with (
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
        pytest.raises(grpc.RpcError),
    ):
        say_hello(channel)


@pytest.mark.parametrize("make", [stranger, expired, early])
def test_a_certificate_of_another_place_or_time_does_not_get_in(
    authority: Authority, serve: Serve, make: Callable[[Authority, Role, str], Path]
) -> None:
    port = serve(Keys(authority.folder_of("coordinator")).server_credentials())
    refused(port, dialling(make(authority, Role.CLIENT, "St. Mary's")))


def test_who_vouches_for_himself_does_not_get_in(authority: Authority, serve: Serve) -> None:
    port = serve(Keys(authority.folder_of("coordinator")).server_credentials())
    refused(port, dialling(self_signed(authority, "tacit://client/a")))


def test_who_has_no_name_gets_in_and_is_unidentified(authority: Authority, serve: Serve) -> None:
    """A handshake cannot see it: the server's own check must."""
    port = serve(Keys(authority.folder_of("coordinator")).server_credentials())
    folder = odd(authority, x509.DNSName("localhost"))
    with pytest.raises(grpc.RpcError) as raised:
        ask(port, dialling(folder))
    assert "Expected one URI tacit://ROLE/NAME" in str(raised.value.details())
    with pytest.raises(Unidentified):
        Keys(folder).identity()


def test_a_coordinator_cannot_call(authority: Authority, serve: Serve) -> None:
    coordinator = authority.folder_of("coordinator")
    port = serve(Keys(coordinator).server_credentials())
    refused(port, dialling(coordinator))
    with pytest.raises(CertificateError, match="coordinator 'coordinator', where the role client"):
        Keys(coordinator).channel_credentials()


@pytest.mark.parametrize("name", ["St. Mary's", "operator"])
def test_only_a_coordinator_is_taken_for_one(authority: Authority, serve: Serve, name: str) -> None:
    folder = authority.folder_of(name)
    port = serve(serving(folder))
    mine = Keys(authority.folder_of("St. Mary's")).channel_credentials()
    refused(port, mine, "localhost")
    with pytest.raises(CertificateError, match="where the role coordinator is needed"):
        Keys(folder).server_credentials()


@pytest.mark.parametrize("make", [stranger, expired, early])
def test_a_coordinator_of_another_place_or_time_is_not_believed(
    authority: Authority, serve: Serve, make: Callable[[Authority, Role, str], Path]
) -> None:
    port = serve(serving(make(authority, Role.COORDINATOR, "coordinator")))
    refused(port, Keys(authority.folder_of("St. Mary's")).channel_credentials())


def test_a_coordinator_at_another_host_is_not_believed(authority: Authority, serve: Serve) -> None:
    mine = Keys(authority.folder_of("St. Mary's")).channel_credentials()
    port = serve(serving(elsewhere(authority, "fl.example.org", "10.0.0.7")))
    for host in ("127.0.0.1", "localhost"):
        refused(port, mine, host)
    options = [("grpc.ssl_target_name_override", "fl.example.org")]
    with grpc.secure_channel(f"127.0.0.1:{port}", mine, options) as channel:
        assert say_hello(channel).endswith(b"hello")


def test_a_mistake_is_told_from_what_may_pass(authority: Authority, serve: Serve) -> None:
    """A coordinator's certificate can be renewed, and it can be away or just stopping."""
    mine = Keys(authority.folder_of("St. Mary's")).channel_credentials()
    party = (authority, Role.COORDINATOR, "coordinator")
    other = dialling(stranger(authority, Role.CLIENT, "a"))

    def is_mistaken(port: int, credentials: grpc.ChannelCredentials = mine) -> bool:
        with pytest.raises(grpc.RpcError) as raised:
            ask(port, credentials)
        return is_mistake(raised.value)

    assert is_mistaken(serve(serving(stranger(*party))))
    assert is_mistaken(serve(serving(elsewhere(authority, "fl.example.org"))))
    assert not is_mistaken(serve(serving(expired(*party))))
    assert not is_mistaken(serve(serving(early(*party))))
    assert not is_mistaken(serve(serving(authority.folder_of("coordinator"))), other)
    assert not is_mistaken(1)


@pytest.fixture
def own(authority: Authority, tmp_path: Path) -> Path:
    """The client's folder, to be spoilt."""
    return Path(shutil.copytree(authority.folder_of("St. Mary's"), tmp_path / "own"))


@pytest.mark.parametrize("file", ["ca.pem", "cert.pem", "key.pem"])
def test_a_missing_file_is_named(own: Path, file: str) -> None:
    (own / file).unlink()
    with pytest.raises(CertificateError, match=rf"own/{file}: No such file .* see `tacit certs`"):
        Keys(own).channel_credentials()


@pytest.mark.parametrize("file", ["ca.pem", "cert.pem", "key.pem"])
def test_a_damaged_file_is_refused(own: Path, file: str) -> None:
    (own / file).write_text("-----BEGIN NOTHING-----")
    with pytest.raises(CertificateError, match="expected certificates and a key"):
        Keys(own).channel_credentials()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610])
def test_a_key_that_others_can_read_is_refused(own: Path, mode: int) -> None:
    (own / "key.pem").chmod(mode)
    with pytest.raises(CertificateError, match=rf"read by others \(mode {mode:04o}\); chmod 600"):
        Keys(own).channel_credentials()
    (own / "key.pem").chmod(0o400)
    Keys(own).channel_credentials()


def test_the_key_of_somebody_else_is_noticed(authority: Authority, own: Path) -> None:
    shutil.copy(authority.folder_of("operator") / "key.pem", own / "key.pem")
    with pytest.raises(CertificateError, match=r"key\.pem is not the key of cert\.pem"):
        Keys(own).channel_credentials()


def test_a_certificate_that_can_only_fail_is_refused_before_it_is_shown(
    authority: Authority,
) -> None:
    with pytest.raises(CertificateError, match="was not issued by the authority"):
        Keys(stranger(authority, Role.CLIENT, "a")).channel_credentials()
    with pytest.raises(CertificateError, match="has expired since"):
        Keys(expired(authority, Role.CLIENT, "a")).channel_credentials()
