"""A table of the configuration that is one of several kinds: `kind = "dirichlet"`, `alpha = 0.5`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Union

from pydantic import (
    BeforeValidator,
    Discriminator,
    GetCoreSchemaHandler,
    SerializerFunctionWrapHandler,
    Tag,
    WrapSerializer,
)
from pydantic_core import CoreSchema

MISSING = "(missing)"


@dataclass(frozen=True)
class OneOf:
    """Marks a field that holds an instance of one of the frozen dataclasses in `kinds`.

    It is read from a table whose `kind` says which one, and written back as such a table.
    """

    kinds: Mapping[str, type]

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """The schema of the union of all kinds, told apart by `kind`."""
        options = [
            Annotated[cls, BeforeValidator(_without_kind), Tag(kind)]
            for kind, cls in self.kinds.items()
        ]
        union: Any = Union[tuple(options)]  # noqa: UP007 - its members are computed
        whole: Any = Annotated[union, Discriminator(self._kind), WrapSerializer(self._with_kind)]
        return handler.generate_schema(whole)

    def _kind(self, value: object) -> str:
        if isinstance(value, dict):
            return str(value.get("kind", MISSING))
        return next((kind for kind, cls in self.kinds.items() if type(value) is cls), MISSING)

    def _with_kind(
        self, value: object, handler: SerializerFunctionWrapHandler
    ) -> dict[str, object]:
        return {"kind": self._kind(value), **handler(value)}


def _without_kind(value: object) -> object:
    if isinstance(value, dict):
        return {name: entry for name, entry in value.items() if name != "kind"}
    return value
