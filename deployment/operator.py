"""An operator's end of the wire: asks a running coordinator how it is, and tells it to stop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import grpc

from ..wire import federation_pb2 as pb
from ..wire import federation_pb2_grpc as rpc
from ..wire.dial import dial, dial_insecurely, is_mistake, reason_of
from ..wire.errors import CertificateError, Refused, Unreachable
from ..wire.identity import Role
from ..wire.keys import Keys

SOON: Final = 20.0
"""Seconds within which a coordinator answers a question."""
LONG: Final = 300.0
"""Seconds within which it has made a report."""


@dataclass(frozen=True, kw_only=True)
class Operator:
    """Looks after the coordinator at `address`, over `channel`.

    Every method raises `Unreachable` if the coordinator does not answer, `Refused` if it will not have
    this operator, and `CertificateError` if these keys are not good for it.
    """

    address: str
    channel: grpc.Channel

    @classmethod
    @contextmanager
    def dialled(cls, address: str, certs: Path, insecure: str | None = None) -> Iterator[Self]:
        """With the keys in `certs`, or `insecure`: as that name, to a coordinator of this machine.

        Raises `CertificateError`.
        """
        with (
            dial(address, Keys(certs), Role.OPERATOR)
            if insecure is None
            else dial_insecurely(address, Role.OPERATOR, insecure)
        ) as channel:
            yield cls(address=address, channel=channel)

    def status(self) -> pb.RunStatus:
        """How the run is."""
        with self._asking() as stub:
            found: pb.RunStatus = stub.Status(pb.StatusRequest(), timeout=SOON)
            return found

    def watch(self) -> Iterator[str]:
        """What happened and what happens, one JSON object each, until the coordinator ends."""
        self.status()  # a call without a deadline should not be the first
        with self._asking() as stub:
            for event in stub.Watch(pb.WatchRequest()):
                yield event.json

    def stop(self, *, now: bool = False) -> int:
        """Ends the run after the round that is open, or `now`; the last round that is committed."""
        with self._asking() as stub:
            found: pb.Stopping = stub.Stop(pb.StopRequest(now=now), timeout=SOON)
            return found.round

    def report(self) -> bytes:
        """The files of the report on the run so far, as a ZIP archive."""
        with self._asking() as stub:
            return b"".join(chunk.data for chunk in stub.Report(pb.ReportRequest(), timeout=LONG))

    @contextmanager
    def _asking(self) -> Iterator[rpc.ControlStub]:
        try:
            yield rpc.ControlStub(self.channel)
        except grpc.RpcError as error:
            reason = reason_of(error)
            if is_mistake(error):
                raise CertificateError(f"{self.address} was not believed: {reason}.") from error
            match error.code():
                case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.DEADLINE_EXCEEDED:
                    raise Unreachable(f"{self.address} cannot be reached: {reason}.") from error
                case grpc.StatusCode.FAILED_PRECONDITION:
                    raise Refused(f"{self.address} cannot do it: {reason}") from error
                case _:
                    raise Refused(f"{self.address} refuses this operator: {reason}.") from error
