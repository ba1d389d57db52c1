"""A package exports what its `__all__` says. That `__all__` is sorted, ruff checks (RUF022)."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import tacit

PACKAGES = ["tacit"] + [
    module.name for module in pkgutil.walk_packages(tacit.__path__, "tacit.") if module.ispkg
]


def bound(body: list[ast.stmt]) -> Iterator[str]:
    """The names that an `__init__.py` gives to its importer: its own, and those of our modules."""
    for statement in body:
        match statement:
            case (
                ast.FunctionDef(name=name)
                | ast.AsyncFunctionDef(name=name)
                | ast.ClassDef(name=name)
            ):
                yield name
            case ast.Assign(targets=targets):
                yield from (node.id for target in targets for node in names(target))
            case ast.AnnAssign(target=target):
                yield from (node.id for node in names(target))
            case ast.ImportFrom(level=level, names=aliases) if level:
                yield from (alias.asname or alias.name for alias in aliases)
            case ast.If(body=body, orelse=orelse):
                yield from bound([*body, *orelse])
            case _:
                pass


def names(target: ast.expr) -> Iterator[ast.Name]:
    return (node for node in ast.walk(target) if isinstance(node, ast.Name))


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_exports_what_it_says_and_nothing_else(package: str) -> None:
    module = importlib.import_module(package)
    exported: list[str] = vars(module).get("__all__", [])
    assert [name for name in exported if not hasattr(module, name)] == [], "exported, not there"
    body = ast.parse(Path(str(module.__file__)).read_text()).body
    public = {name for name in bound(body) if not name.startswith("_")}
    assert sorted(exported) == sorted(public), "`__all__` and the public names differ"
