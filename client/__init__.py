"""The client: a task, a trainer that fits it to local rows, and what is remembered between rounds."""

from importlib import import_module
from typing import TYPE_CHECKING

from .data import Data
from .dpsgd import DPSGD
from .guard import Guard
from .memory import Memory
from .training import Training

if TYPE_CHECKING:
    from .client import Client
    from .survival import Cox
    from .task import Classification, Regression, Task
    from .trainer import Plain, Trainer, choose_device, initial_parameters

__all__ = [
    "DPSGD",
    "Classification",
    "Client",
    "Cox",
    "Data",
    "Guard",
    "Memory",
    "Plain",
    "Regression",
    "Task",
    "Trainer",
    "Training",
    "choose_device",
    "initial_parameters",
]

_WITH_TORCH = {
    "Client": "client",
    "Classification": "task",
    "Cox": "survival",
    "Regression": "task",
    "Task": "task",
    "Plain": "trainer",
    "Trainer": "trainer",
    "choose_device": "trainer",
    "initial_parameters": "trainer",
}


def __getattr__(name: str) -> object:
    """What needs torch is imported when it is asked for: a coordinator does without."""
    if name not in _WITH_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_WITH_TORCH[name]}", __name__), name)
