"""A Flower app in a folder: what its pyproject.toml names, and the configuration it runs with."""

from __future__ import annotations

import hashlib
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TypeVar
from zipfile import ZipFile

import click
from flwr.app import UserConfig
from flwr.cli.build import build_fab_from_disk
from flwr.clientapp import ClientApp
from flwr.common.config import get_fused_config_from_dir, get_project_config, parse_config_args
from flwr.serverapp import ServerApp
from flwr.supercore.object_ref import load_app

from ..wire.errors import AppError

Loaded = TypeVar("Loaded")


@dataclass(frozen=True, kw_only=True)
class App:
    """A Flower app: where it is, which objects it is made of, its run config with the overrides in it."""

    folder: Path
    name: str
    version: str
    server: str
    client: str
    run_config: UserConfig = field(repr=False)

    def server_app(self) -> ServerApp:
        """The ServerApp. Raises `AppError` if it cannot be loaded."""
        return _loaded(self.server, self.folder, ServerApp)

    def client_app(self) -> ClientApp:
        """The ClientApp. Raises `AppError` if it cannot be loaded."""
        return _loaded(self.client, self.folder, ClientApp)

    def fingerprint(self) -> str:
        """SHA-256 of the code that Flower would bundle, and its pyproject.toml: equal for equal files.

        What the app, or tacit, writes beside the code does not make it another app. Raises `AppError` for
        an app that Flower would not bundle.
        """
        try:
            data = build_fab_from_disk(self.folder)
        except ValueError as error:
            raise AppError(f"{self.folder}: no Flower app: {error}") from error
        digest = hashlib.sha256()
        with ZipFile(BytesIO(data)) as bundle:
            for name in sorted(bundle.namelist()):
                if name == "pyproject.toml" or name.endswith(".py"):
                    own = hashlib.sha256(bundle.read(name)).hexdigest()
                    digest.update(f"{own} {name}\n".encode())
        return digest.hexdigest()


def read_app(folder: Path, run_config: Sequence[str] = ()) -> App:
    """The app in `folder`; `run_config` overrides as in `flwr run --run-config`: "lr=0.1 rounds=5".

    Raises `AppError`.
    """
    try:
        project = get_project_config(folder)
        config = get_fused_config_from_dir(folder, {})
    except (OSError, ValueError) as error:
        raise AppError(f"{folder}: no Flower app: {error}") from error
    overrides = parse_config(run_config, "--run-config")
    if unknown := sorted(overrides.keys() - config.keys()):
        known = ", ".join(config) or "none"
        raise AppError(f"--run-config: the app has no key {unknown[0]!r}; it has: {known}.")
    table = project["tool"]["flwr"]["app"]
    return App(
        folder=folder.absolute(),
        name=project["project"]["name"],
        version=project["project"]["version"],
        server=table["components"]["serverapp"],
        client=table["components"]["clientapp"],
        run_config=config | overrides,
    )


def parse_config(texts: Sequence[str], option: str) -> UserConfig:
    """What `texts`, such as "lr=0.1 rounds=5", say, which `option` was given. Raises `AppError`."""
    for text in texts:
        if "=" not in text and not text.endswith(".toml"):
            raise AppError(f"{option}: expected KEY=VALUE or a TOML file, got {text!r}.")
    try:
        return parse_config_args(list(texts) or None)
    except (OSError, ValueError) as error:
        raise AppError(f"{option}: {error}") from error
    except click.ClickException as error:
        raise AppError(f"{option}: {error.message}") from error


def _loaded(reference: str, folder: Path, kind: type[Loaded]) -> Loaded:
    """The object that `reference` names, with `folder` on the path."""
    try:
        found = load_app(reference, AppError, folder)
    except AppError as error:
        raise AppError(f"{folder}: {' '.join(str(error).split())}") from error
    except Exception as error:  # importing runs the user's code
        line = f"{folder}: {reference} cannot be imported: {type(error).__name__}: {error}"
        raise AppError(line, traceback.format_exc()) from error
    if not isinstance(found, kind):
        raise AppError(f"{folder}: {reference} is no {kind.__name__}.")
    return found
