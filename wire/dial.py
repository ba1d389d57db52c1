"""How a client or an operator dials a coordinator."""

from __future__ import annotations

from typing import Final

import grpc

from .errors import CertificateError
from .identity import Role, uri_of
from .keys import Keys
from .protocol import MESSAGE

TRUST: Final = (
    "the authority in ca.pem did not issue its certificate: these keys are for another one"
)
OTHER_HOST: Final = (
    "its certificate names other hosts than the one that was dialled: "
    "`tacit certs renew coordinator --host NAME`"
)
WORDS: Final = {
    "unable to get local issuer certificate": TRUST,
    "certificate signature failure": TRUST,
    "self signed certificate": TRUST,
    "self-signed certificate": TRUST,
    "certificate has expired": "its certificate has expired: there, `tacit certs renew`",
    "certificate is not yet valid": "its certificate is not valid yet: compare the clocks",
    "Hostname Verification Check failed": OTHER_HOST,
    "WRONG_VERSION_NUMBER": "what answers there does not speak TLS",
    "Connection refused": "nothing listens there: it is not running, or on another port",
    "Domain name not found": "there is no host of that name",
    "lookup failed": "there is no host of that name",
    "No route to host": "there is no way to that host",
    "Network is unreachable": "there is no way to that host",
    "Timeout occurred": "that host does not answer: a firewall, or the wrong port",
    "timed out": "that host does not answer: a firewall, or the wrong port",
    "Handshake timeout": "whatever listens there does not answer as a coordinator does",
    "Handshake read failed": "it ended the TLS handshake: its log may say why",
    "Socket closed": "it hung up, as a coordinator does that does not know the authority of the "
    "certificate shown, or finds it expired; one that stops does so too",
}
"""What a phrase of gRPC's means. Of a refused certificate TLS 1.3 says nothing to whoever showed it."""

LOOPBACK: Final = ("127.0.0.1:", "localhost:", "[::1]:")
"""How the addresses of this machine begin, that nobody else can reach."""

OPTIONS: Final = [
    ("grpc.max_receive_message_length", MESSAGE),
    # Training for hours is silence: pings tell a coordinator that thinks from one that is gone.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.ping_timeout_ms", 20_000),  # what counts: gRPC 1.8x never acts on the one above
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.enable_retries", 0),  # whoever calls knows what may be repeated
    ("grpc.use_local_subchannel_pool", 1),
]


def dial(address: str, keys: Keys, role: Role) -> grpc.Channel:
    """A channel with mutual TLS to the coordinator at `address`, HOST:PORT.

    Raises `CertificateError`, for keys of another role than `role` too.
    """
    return grpc.secure_channel(address, keys.channel_credentials(role), OPTIONS)


def dial_insecurely(address: str, role: Role, name: str) -> grpc.Channel:
    """A channel without TLS, to a coordinator of this machine that believes what it is told.

    Raises `CertificateError` for another machine: nothing would hide what is sent there.
    """
    if not address.startswith(LOOPBACK):
        raise CertificateError(
            f"{address}: without certificates only 127.0.0.1 is dialled; see `tacit certs`."
        )
    claim = ("grpc.primary_user_agent", uri_of(role, name))
    return grpc.insecure_channel(address, [*OPTIONS, claim])


def reason_of(error: grpc.RpcError) -> str:
    """Why a call failed, in words: what gRPC says of a failed TLS handshake is for its developers.

    `error` is one that a call raised.
    """
    said = str(error.details() or "")
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return "it did not answer in time"
    if error.code() is not grpc.StatusCode.UNAVAILABLE:
        return said or str(error.code().name)
    return next((words for phrase, words in WORDS.items() if phrase in said), said) or "no answer"


def is_mistake(error: grpc.RpcError) -> bool:
    """Whether the keys, or the name that was dialled, are not those of whoever answers there."""
    return reason_of(error) in (TRUST, OTHER_HOST)
