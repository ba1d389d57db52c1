"""How a client keeps in touch: it dials again after any loss, unless it is refused for good."""

from __future__ import annotations

import random
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import grpc

from ..wire.dial import is_mistake, reason_of
from ..wire.errors import CertificateError, CodecError, Refused
from ..wire.foreign import shown

FOR_GOOD: Final = {
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.FAILED_PRECONDITION,
}
"""With these a coordinator refuses a client, and will tomorrow."""


@dataclass(frozen=True, kw_only=True)
class News:
    """What whoever looks after a site may want to know: an `event`, the same in words, its facts."""

    event: str
    text: str
    facts: Mapping[str, object] = field(default_factory=dict)


Observe = Callable[[News], None]
Connect = Callable[[], grpc.Channel]


class Lost(Exception):
    """The connection is of no more use; the message says why."""


@dataclass(kw_only=True)
class Dialler(ABC):
    """One client's end of the wire; `attend` is what it does there.

    Between two attempts to connect it waits `shortest` seconds at first, and `longest` at most.

    Raises `Refused` when the coordinator refuses it for good, and `CertificateError` when the keys
    here were never good for that coordinator.
    """

    connect: Connect
    observe: Observe = field(default=lambda news: None, repr=False)
    coins: random.Random = field(default_factory=random.SystemRandom, repr=False)
    shortest: float = 0.5
    longest: float = 60.0
    _patience: float = field(default=0.0, init=False)
    _run: str = field(default="", init=False)
    """The name of the run; empty until a coordinator bade welcome."""
    _process: bytes = field(
        default_factory=partial(secrets.token_bytes, 16), init=False, repr=False
    )

    @abstractmethod
    def attend(self, channel: grpc.Channel) -> str:
        """Does what it is asked until the run is complete; what the coordinator says of its end."""

    def run(self) -> str:
        """Attends until the run is complete; what the coordinator says of its end."""
        self._patience = self.shortest
        while True:
            try:
                with self.connect() as channel:
                    return self.attend(channel)
            except (grpc.RpcError, Lost, OSError, CodecError) as error:
                self._be_patient(error)

    def _be_patient(self, error: Exception) -> None:
        """Waits a random while, the longer the more often in a row; or raises what is for good."""
        reason = shown(str(error))
        if isinstance(error, grpc.RpcError):
            reason = shown(reason_of(error))
            if error.code() in FOR_GOOD:
                raise Refused(f"The coordinator refuses this client: {reason}.") from None
            if not self._run and is_mistake(error):  # later it is the coordinator's, and may pass
                raise CertificateError(f"The coordinator was not believed: {reason}.") from None
        wait = self.coins.uniform(self._patience / 2, self._patience)
        self._patience = min(2 * self._patience, self.longest)
        text = f"not connected: {reason}; the next attempt is in {wait:.1f} s"
        with suppress(OSError):  # its log is on a disk that is full
            self._tell("lost", text, reason=reason, seconds=float(f"{wait:.1f}"))
        time.sleep(wait)

    def _tell(self, event: str, text: str, **facts: object) -> None:
        self.observe(News(event=event, text=text, facts=facts))
