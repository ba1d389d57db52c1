"""Federated algorithms, one paper per file: a state, a server half and a client half, all pure."""

from .afl import AFL
from .ditto import Ditto
from .fairfed import FairFed
from .fedavg import FedAvg, FedAvgM
from .fedfb import FedFB
from .fedmgda import FedMGDA
from .fedminmax import FedMinMax
from .fednova import FedNova
from .fedopt import FedAdagrad, FedAdam, FedYogi
from .fedprox import FedProx
from .propfair import PropFair
from .qfedavg import QFedAvg
from .reweighing import Reweighing
from .scaffold import Scaffold
from .strategy import Correction, Fitted, Local, Personal, Received, Released, ServerState, Strategy
from .term import TERM

__all__ = [
    "AFL",
    "TERM",
    "Correction",
    "Ditto",
    "FairFed",
    "FedAdagrad",
    "FedAdam",
    "FedAvg",
    "FedAvgM",
    "FedFB",
    "FedMGDA",
    "FedMinMax",
    "FedNova",
    "FedProx",
    "FedYogi",
    "Fitted",
    "Local",
    "Personal",
    "PropFair",
    "QFedAvg",
    "Received",
    "Released",
    "Reweighing",
    "Scaffold",
    "ServerState",
    "Strategy",
]
