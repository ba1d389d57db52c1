"""Who may come in: a peer is what its certificate says, and may do what its role allows."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NoReturn, Protocol

import grpc

from ..wire.errors import Unidentified
from ..wire.identity import Identity, Role, claimed, identity_of
from ..wire.revocations import Revocations
from .journal import Journal

UNKNOWN: Final = grpc.StatusCode.UNAUTHENTICATED
UNAVAILABLE: Final = grpc.StatusCode.UNAVAILABLE
Objection = tuple[grpc.StatusCode, str]
"""With which status, and why."""
Context = grpc.aio.ServicerContext[Any, Any]


class Door(Protocol):
    """Decides about each call, and about open ones again and again."""

    async def admit(self, context: Context, *roles: Role) -> Identity:
        """Who calls, in one of `roles`; the call is aborted with the reason if it may not be made."""
        ...

    def objection(self, identity: Identity) -> Objection | None:
        """Why whoever was admitted may not stay; None if nothing is wrong."""
        ...


@dataclass(frozen=True, kw_only=True)
class Certified:
    """The door of a coordinator with mutual TLS. `clients` may take part.

    Guarantees:
      - Nobody is anybody but whom the certificate names, which the handshake has verified.
      - Who is not on the list, or has another role, or was revoked, is refused with a reason.
    """

    clients: Collection[str]
    revocations: Revocations
    journal: Journal

    async def admit(self, context: Context, *roles: Role) -> Identity:
        """See `Door`."""
        pems = list(context.auth_context().get("x509_pem_cert", []))
        try:
            identity = identity_of(pems[0] if pems else b"")
        except Unidentified as error:
            await refuse(context, self.journal, "?", UNKNOWN, str(error))
        if found := self.objection(identity):
            await refuse(context, self.journal, identity.name, *found)
        return await _allowed(context, self.journal, identity, roles, self.clients)

    def objection(self, identity: Identity) -> Objection | None:
        """See `Door`. A list that cannot be read refuses everyone, until it can be."""
        found = self.revocations.objection(identity, datetime.now(UTC))
        return found and (UNKNOWN if found.for_good else UNAVAILABLE, found.reason)


@dataclass(frozen=True, kw_only=True)
class Claimed:
    """The door of a coordinator without TLS, which only this machine can reach: names are believed."""

    clients: Collection[str]
    journal: Journal

    async def admit(self, context: Context, *roles: Role) -> Identity:
        """See `Door`."""
        agents = [
            value for key, value in context.invocation_metadata() or () if key == "user-agent"
        ]
        try:
            identity = claimed(str(agents[0]).partition(" ")[0] if agents else "")
        except Unidentified as error:
            await refuse(context, self.journal, "?", UNKNOWN, str(error))
        return await _allowed(context, self.journal, identity, roles, self.clients)

    def objection(self, identity: Identity) -> Objection | None:
        """Nothing is known that could be wrong."""
        return None


async def _allowed(
    context: Context,
    journal: Journal,
    identity: Identity,
    roles: Collection[Role],
    clients: Collection[str],
) -> Identity:
    """`identity`, unless it may not do what `roles` may."""
    if identity.role not in roles:
        reason = f"the role {identity.role}, where {' or '.join(roles)} is needed"
        await refuse(context, journal, identity.name, grpc.StatusCode.PERMISSION_DENIED, reason)
    if identity.role is Role.CLIENT and identity.name not in clients:
        reason = "not on the list of clients (deployment.clients, or --client)"
        await refuse(context, journal, identity.name, grpc.StatusCode.PERMISSION_DENIED, reason)
    return identity


async def refuse(
    context: Context, journal: Journal, client: str, code: grpc.StatusCode, reason: str
) -> NoReturn:
    """Ends the call, says why, and notes it."""
    journal.note("refused", client, reason=reason, peer=context.peer())
    await context.abort(code, reason)
    raise AssertionError("abort raises")
