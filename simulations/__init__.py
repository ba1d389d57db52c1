"""Simulation: a configuration, a population and worker processes in; a result out."""

from importlib import import_module
from typing import TYPE_CHECKING

from .config import Config, ConfigError, make_config, read_config
from .dataset import DataError, Dataset

if TYPE_CHECKING:
    from .conduct import Result
    from .run import simulate

__all__ = [
    "Config",
    "ConfigError",
    "DataError",
    "Dataset",
    "Result",
    "make_config",
    "read_config",
    "simulate",
]


def __getattr__(name: str) -> object:
    """What needs torch is imported when it is asked for: a coordinator does without."""
    homes = {"Result": ".conduct", "simulate": ".run"}
    if name not in homes:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(homes[name], __name__), name)
