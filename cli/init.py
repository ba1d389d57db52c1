"""`tacit init`: a project that runs as it is, without a network."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from . import console
from .outcome import UsageError
from .project import FILES, flower_app


def init(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Where to; made if it is not there.")
    ] = Path(),
    flower: Annotated[
        bool,
        typer.Option(
            "--flower", help="Make it an app for Flower as well; adds to a project that is there."
        ),
    ] = False,
) -> None:
    """Write a project to start from: a configuration, a task of your own, a README."""
    files = _files(folder, flower=flower)
    for name in files:
        if (folder / name).exists():
            raise UsageError(
                f"{folder / name} exists, and nothing is overwritten: choose another folder."
            )
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        with (folder / name).open("x", encoding="utf-8") as file:
            file.write(text)
        console.say(f"wrote {folder / name}")
    if flower:
        console.say(f"next: flwr run {shlex.quote(str(folder))} --stream")
        return
    change = "" if folder == Path() else f"cd {shlex.quote(str(folder))} && "
    console.say(f"next: {change}tacit run tacit.toml")


def _files(folder: Path, *, flower: bool) -> dict[str, str]:
    """What to write; for Flower, that alone where there is a configuration."""
    if not flower:
        return FILES
    app = {"pyproject.toml": flower_app(folder.resolve().name)}
    if not (folder / ".gitignore").exists():  # what Flower sends to others is not what it names
        app[".gitignore"] = "runs/\n"
    return app if (folder / "tacit.toml").exists() else {**FILES, **app}
