"""The client: a task, a trainer that fits it to local rows, and what is remembered between rounds."""

from .client import Client
from .data import Data
from .dpsgd import DPSGD
from .guard import Guard
from .memory import Memory
from .task import Classification, Regression, Task
from .trainer import Plain, Trainer, choose_device, initial_parameters
from .training import Training

__all__ = [
    "DPSGD",
    "Classification",
    "Client",
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
