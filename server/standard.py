"""gRPC's own services, health checks and reflection, for those whom the door lets in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

from grpc_health.v1.health import aio as health
from grpc_reflection.v1alpha.reflection import aio as reflecting

from ..wire.identity import Role
from .door import Context, Door

EITHER: Final = (Role.CLIENT, Role.OPERATOR)


class Health(health.HealthServicer):  # type: ignore[misc]
    """Says whether a service is up."""

    def __init__(self, door: Door) -> None:
        super().__init__()
        self.door = door

    async def Check(self, request: object, context: Context) -> object:  # noqa: N802
        """See the protocol of gRPC's health checks."""
        await self.door.admit(context, *EITHER)
        return await super().Check(request, context)

    async def Watch(self, request: object, context: Context) -> object:  # noqa: N802
        """See the protocol of gRPC's health checks."""
        await self.door.admit(context, *EITHER)
        return await super().Watch(request, context)


class Reflection(reflecting.ReflectionServicer):  # type: ignore[misc]
    """Says of what messages `services` are made."""

    def __init__(self, door: Door, services: Sequence[str]) -> None:
        super().__init__(services)
        self.door = door

    async def ServerReflectionInfo(  # noqa: N802
        self, requests: AsyncIterator[object], context: Context
    ) -> AsyncIterator[object]:
        """See the protocol of gRPC's reflection."""
        await self.door.admit(context, *EITHER)
        async for answer in super().ServerReflectionInfo(requests, context):
            yield answer
