"""Where the rows and the shared ledger of a run are: in files, or in the database of `$TACIT_DATABASE`.

The URL is in the environment because it may hold a password, which a command line or a file would show.
"""

from __future__ import annotations

import os
from typing import Final

from ..wire.database import Where
from ..wire.errors import StoreError
from .config import Config
from .custody import is_shared, ledger_path
from .run_folder import RunFolder

VARIABLE: Final = "TACIT_DATABASE"


def named_database() -> str | None:
    """The URL that the environment names."""
    return os.environ.get(VARIABLE) or None


def database_of(folder: RunFolder) -> str | None:
    """The URL of the database with the rows of the run in `folder`; None if they are in the folder.

    Raises `StoreError` if the environment does not name it.
    """
    if not folder.key.exists():
        return None
    if (url := named_database()) is None:
        raise StoreError(
            f"{folder.path} has its rows in PostgreSQL: set {VARIABLE} to the URL of that database."
        )
    return url


def database_for(folder: RunFolder) -> str | None:
    """The same for a coordinator: a new run has its rows where the environment says."""
    return None if folder.rows.exists() else database_of(folder) or named_database()


def ledger_of(config: Config, folder: RunFolder, database: str | None) -> Where:
    """The ledger that the run in `folder` is charged in: a shared one is beside the rows."""
    if database is not None and is_shared(config):
        return database
    return ledger_path(config, folder)
