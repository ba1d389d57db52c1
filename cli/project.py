"""What `tacit init` writes."""

from __future__ import annotations

CONFIG = """\
# One run of federated learning. `tacit check tacit.toml` says what is wrong with this file, and
# `tacit run tacit.toml --set train.epochs=2` changes one value of it.
seed = 42                         # the same seed gives the same parameters, bit for bit
rounds = 20
baselines = ["pooled", "alone"]   # to compare with: all rows in one place, and every client by itself
# task = "task:MyTask"            # your own model and loss, from task.py, in place of [model]

[data]
name = "digits"                   # or path = "rows.csv", target = "label"
held_out = 0.2                    # of each client's rows, to measure on

[partition]
kind = "dirichlet"                # each digit is dealt out in proportions drawn from Dir(alpha)
clients = 50
alpha = 0.5                       # smaller: clients see fewer of the digits
min_rows = 5

[model]
kind = "mlp"                      # or "cnn"
hidden = [64]

[train]
optimizer = "sgd"
learning_rate = 0.2
batch_size = 10
epochs = 2                        # of each client, in each round

[strategy]
kind = "fedavg"                   # or fedprox, scaffold, fedadam, ...; the fair ones: docs/fairness.md

[sampler]
kind = "everyone"                 # or kind = "fixed", size = 10; or kind = "poisson", rate = 0.2

# [mechanism]                     # differential privacy for whole clients: noise on each round's mean
# kind = "gaussian"               # or adaptive, banded, local; without this table nothing is noised
# clip = 1.0                      # the norm that one client's update may have
# noise_multiplier = 1.0          # leave it out to get the least noise that fits the budget

# [budget]                        # over all runs on this data: see `tacit budget tacit.toml`
# epsilon = 8.0
# delta = 1e-5

[evaluate]
every = 1
groups = ["label"]                # by which groups to count; by default the attributes of the data
# noise = { multiplier = 4.0, clip = 50.0 }     # counts with privacy: docs/fairness.md

# [run]
# workers = 2                     # processes; without it one for each core
"""

TASK = '''\
"""A task of your own. To use it, set task = "task:MyTask" in tacit.toml."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class MyTask:
    """Digits, by a small network with dropout."""

    def model(self) -> nn.Module:
        """A fresh model for rows of shape (1, 8, 8)."""
        hidden = [nn.Flatten(), nn.Linear(64, 48), nn.ReLU(), nn.Dropout(0.1)]
        return nn.Sequential(*hidden, nn.Linear(48, 10))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss of each row, shape (B,): not their mean."""
        return functional.cross_entropy(outputs, targets, reduction="none")

    def statistics(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Sums over the batch; `correct` is reported as accuracy."""
        right = outputs.argmax(1) == targets
        return {"correct": right.sum(), "confidence": torch.softmax(outputs, 1).amax(1).sum()}
'''

README = """\
# A federated run

    tacit check tacit.toml      what would fail, before anything runs
    tacit plan tacit.toml       rounds, bytes, time and privacy
    tacit run tacit.toml        train; the result is in a new folder under runs/
    tacit report runs/...       pages and figures about that run and its privacy

`task.py` shows a model and a loss of your own; `tacit run tacit.toml --set task=task:MyTask` uses it.
Run these commands in this folder: `task.py` and data files are looked up in the current one.
"""

FILES = {"tacit.toml": CONFIG, "task.py": TASK, "README.md": README}

LONGEST = 30
"""Letters of an app's name."""

_FLOWER = """\
# Flower runs this folder as an app, with tacit's coordinator and clients:
#   flwr run . --stream                         simulates them, here or on a Ray cluster: any node can
#                                               be any client, and more (num-supernodes) are faster
#   flwr run . SUPERLINK --stream               is a deployment, whose SuperNodes are its sites:
#   flower-supernode ... --node-config 'name="client-000" state="/var/lib/tacit"'
# tacit itself must be installed wherever the app runs: were it listed in `dependencies`, Flower would
# fetch what a package index has by that name.
[project]
name = "{name}"
version = "1.0.0"
description = "A federated run"
license = "LicenseRef-Proprietary"
dependencies = []

[tool.flwr.app]
publisher = "me"                  # and fab-include = ["rows.csv"] brings data along

[tool.flwr.app.components]
serverapp = "tacit.flower.serverapp:app"
clientapp = "tacit.flower.clientapp:app"

[tool.flwr.app.config]            # flwr run . --run-config "set='rounds=5 train.epochs=1'"
config = "tacit.toml"
set = ""                          # changes of that file
out = ""                          # the run folder; without it a new one below ~/.flwr/tacit
"""


def flower_app(folder: str) -> str:
    """The pyproject.toml of a Flower app in a folder of that name.

    >>> 'name = "my-app-2"' in flower_app("My app 2")
    True
    """
    letters = (letter if letter.isascii() and letter.isalnum() else "-" for letter in folder)
    name = "".join(letters).lower()[:LONGEST].strip("-")
    return _FLOWER.format(name=name if name[:1].isalpha() else f"tacit-{name}".strip("-"))
