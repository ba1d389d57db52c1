"""`tacit init`: a project that runs as it is, without a network."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from . import console
from .outcome import UsageError
from .project import FILES


def init(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Where to; made if it is not there.")
    ] = Path(),
) -> None:
    """Write a project to start from: a configuration, a task of your own, a README."""
    for name in FILES:
        if (folder / name).exists():
            raise UsageError(
                f"{folder / name} exists, and nothing is overwritten: choose another folder."
            )
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in FILES.items():
        with (folder / name).open("x", encoding="utf-8") as file:
            file.write(text)
        console.say(f"wrote {folder / name}")
    change = "" if folder == Path() else f"cd {shlex.quote(str(folder))} && "
    console.say(f"next: {change}tacit run tacit.toml")
