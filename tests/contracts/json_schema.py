"""As much of JSON Schema as `privacy.schema.json` uses, so that nothing must be installed to check it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}
KNOWN = {
    "$schema", "$defs", "$ref", "title", "description", "type", "required", "properties",
    "additionalProperties", "items", "minItems", "enum", "const", "anyOf",
}  # fmt: skip


def violations(
    value: object, schema: dict[str, Any], root: dict[str, Any], at: str = "$"
) -> list[str]:
    """Where `value` is not as `schema` says; a schema that uses anything else is refused."""
    assert schema.keys() <= KNOWN, schema.keys() - KNOWN
    return list(_violations(value, schema, root, at))


def _violations(
    value: object, schema: dict[str, Any], root: dict[str, Any], at: str
) -> Iterator[str]:
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        yield from violations(value, root["$defs"][name], root, at)
    if "anyOf" in schema and all(violations(value, each, root, at) for each in schema["anyOf"]):
        yield f"{at}: {value!r:.80} is none of those allowed"
    if "const" in schema and value != schema["const"]:
        yield f"{at}: {value!r} is not {schema['const']!r}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at}: {value!r} is not in {schema['enum']}"
    if "type" in schema and not _is(value, schema["type"]):
        yield f"{at}: {value!r:.80} is not {schema['type']}"
    if isinstance(value, dict):
        yield from _in_object(value, schema, root, at)
    if isinstance(value, list):
        if len(value) < schema.get("minItems", 0):
            yield f"{at}: fewer than {schema['minItems']} items"
        for index, item in enumerate(value):
            yield from violations(item, schema.get("items", {}), root, f"{at}[{index}]")


def _in_object(
    value: dict[str, Any], schema: dict[str, Any], root: dict[str, Any], at: str
) -> Iterator[str]:
    properties = schema.get("properties", {})
    yield from (
        f"{at}.{name} is missing" for name in schema.get("required", ()) if name not in value
    )
    for name, own in value.items():
        if name in properties:
            yield from violations(own, properties[name], root, f"{at}.{name}")
        elif schema.get("additionalProperties", True) is False:
            yield f"{at}.{name} is not expected"


def _is(value: object, wanted: str | list[str]) -> bool:
    names = [wanted] if isinstance(wanted, str) else wanted
    if isinstance(value, bool):
        return "boolean" in names
    return isinstance(value, tuple(cls for name in names for cls in TYPES[name]))
