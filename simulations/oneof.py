"""A table of the configuration that is one of several kinds: `kind = "dirichlet"`, `alpha = 0.5`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Union

from pydantic import (
    BeforeValidator,
    Discriminator,
    SerializerFunctionWrapHandler,
    Tag,
    WrapSerializer,
)


def one_of(kinds: Mapping[str, type]) -> Any:  # noqa: ANN401 - a type made at run time has no type
    """The annotation of a field that holds an instance of one of the frozen dataclasses in `kinds`.

    It is read from a table whose `kind` says which one, and written back as such a table.
    """
    options = [Annotated[cls, BeforeValidator(_without_kind), Tag(k)] for k, cls in kinds.items()]
    names = {cls: kind for kind, cls in kinds.items()}
    return Annotated[
        Union[tuple(options)],  # noqa: UP007 - a union of a computed tuple
        Discriminator(_kind_of(names)),
        WrapSerializer(_with_kind(names)),
    ]


def _without_kind(value: object) -> object:
    if isinstance(value, dict):
        return {name: entry for name, entry in value.items() if name != "kind"}
    return value


def _kind_of(names: Mapping[type, str]) -> Callable[[object], str]:
    def kind(value: object) -> str:
        if isinstance(value, dict):
            return str(value.get("kind", "(missing)"))
        return names.get(type(value), "(missing)")

    return kind


def _with_kind(
    names: Mapping[type, str],
) -> Callable[[object, SerializerFunctionWrapHandler], dict[str, object]]:
    def serialize(value: object, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        return {"kind": names[type(value)], **handler(value)}

    return serialize
