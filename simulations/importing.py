"""What a configuration names as "package.module:name"."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from .config import ConfigError


def imported(name: str, where: str) -> Any:  # noqa: ANN401 - a user's own
    """The object that `name` names; the current folder is searched as well.

    Raises `ConfigError`, which begins with `where`.
    """
    module, colon, attribute = name.partition(":")
    if not colon or not module or not attribute:
        raise ConfigError(f'{where}: expected "package.module:name", got {name!r}.')
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return vars(importlib.import_module(module))[attribute]
    except KeyError:
        raise ConfigError(f"{where}: module {module!r} has no {attribute!r}.") from None
    except Exception as error:
        raise ConfigError(f"{where}: {name!r} cannot be imported: {line_of(error)}") from error


def line_of(error: BaseException) -> str:
    """What `error` says, in one line that is not long."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}."
