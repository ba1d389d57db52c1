"""How a client or an operator dials a coordinator."""

from __future__ import annotations

from typing import Final

import grpc

from .identity import Role, uri_of
from .keys import Keys
from .protocol import MESSAGE

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


def dial(address: str, keys: Keys) -> grpc.Channel:
    """A channel with mutual TLS to the coordinator at `address`, HOST:PORT."""
    return grpc.secure_channel(address, keys.channel_credentials(), OPTIONS)


def dial_insecurely(address: str, role: Role, name: str) -> grpc.Channel:
    """A channel without TLS, to a coordinator of this machine that believes what it is told."""
    claim = ("grpc.primary_user_agent", uri_of(role, name))
    return grpc.insecure_channel(address, [*OPTIONS, claim])
