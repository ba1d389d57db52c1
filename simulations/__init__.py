"""Simulation: a configuration, a population and worker processes in; a result out."""

from .config import Config, ConfigError, make_config, read_config
from .dataset import DataError, Dataset
from .run import Result, simulate

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
