"""Peers that speak no gRPC: bytes on a TCP connection, or within TLS, up to HTTP/2 frames."""

from __future__ import annotations

import socket
import ssl
import time
from pathlib import Path

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS, HEADERS, CONTINUATION, PING, DATA = 4, 1, 9, 6, 0
END_HEADERS = 4


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One HTTP/2 frame."""
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
    return head + payload


def literal(name: bytes, value: bytes) -> bytes:
    """A header, not compressed; both shorter than 127 bytes."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def request(path: bytes) -> bytes:
    """The headers of a call."""
    fields = [(b":method", b"POST"), (b":scheme", b"https"), (b":path", path)]
    fields += [(b":authority", b"localhost"), (b"te", b"trailers")]
    fields += [(b"content-type", b"application/grpc")]
    return b"".join(literal(*field) for field in fields)


def tcp(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def tls(port: int, folder: Path) -> ssl.SSLSocket:
    """A connection with mutual TLS, as the holder of the keys in `folder`."""
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    context.set_alpn_protocols(["h2"])
    return context.wrap_socket(tcp(port), server_hostname="localhost")


def seconds_until_dropped(peer: socket.socket, most: float) -> float:
    """How long the server keeps `peer`, which reads and says nothing; `most` if longer."""
    began = time.monotonic()
    peer.settimeout(0.2)
    while (waited := time.monotonic() - began) < most:
        try:
            if not peer.recv(1 << 16):
                return waited
        except TimeoutError:
            continue
        except OSError:
            return waited
    return most
