"""Apps of Flower that tests write down: a folder with a pyproject.toml and one module."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent

PROJECT = """\
[project]
name = "{name}"
version = "1.0.0"
description = "An app of a test"
license = "Apache-2.0"
dependencies = []

[tool.flwr.app]
publisher = "tacit"

[tool.flwr.app.components]
serverapp = "{name}:server"
clientapp = "{name}:client"

[tool.flwr.app.config]
{config}
"""


def write_app(folder: Path, name: str, source: str, config: str = "") -> Path:
    """An app whose module `name` has the objects `server` and `client`; its folder.

    Modules stay imported: a test that runs apps in its own process names each of them differently.
    """
    assert name not in sys.modules
    folder = folder / name
    folder.mkdir()
    (folder / "pyproject.toml").write_text(PROJECT.format(name=name, config=config))
    (folder / f"{name}.py").write_text(dedent(source))
    return folder
