"""The examples in docstrings run, however tacit is installed; --doctest-modules cannot do that."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest
import tacit

MODULES = ["tacit"] + [
    module.name
    for module in pkgutil.walk_packages(tacit.__path__, "tacit.")
    if module.name != "tacit.__main__"
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_docstrings_are_true(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
