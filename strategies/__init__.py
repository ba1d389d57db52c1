"""Federated algorithms, one paper per file: a state, a server half and a client half, all pure."""

from .fedavg import FedAvg, FedAvgM
from .fednova import FedNova
from .fedopt import FedAdagrad, FedAdam, FedYogi
from .fedprox import FedProx
from .qfedavg import QFedAvg
from .scaffold import Scaffold
from .strategy import Correction, Fitted, Local, Received, Released, ServerState, Strategy

__all__ = [
    "Correction",
    "FedAdagrad",
    "FedAdam",
    "FedAvg",
    "FedAvgM",
    "FedNova",
    "FedProx",
    "FedYogi",
    "Fitted",
    "Local",
    "QFedAvg",
    "Received",
    "Released",
    "Scaffold",
    "ServerState",
    "Strategy",
]
