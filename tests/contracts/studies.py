"""What is trained while everything goes wrong: each study keeps something that a fault could spoil."""

from __future__ import annotations

from typing import Any

from tacit.simulations import Config

ROUNDS = 6
CLIENTS = ["client-000", "client-001", "client-002"]

BASE: dict[str, Any] = {
    "rounds": ROUNDS,
    "insecure_noise_seed": 3,
    "data": {"name": "wine"},
    "partition": {"kind": "iid", "clients": len(CLIENTS)},
    "model": {"kind": "mlp", "hidden": [300]},
    "train": {"learning_rate": 0.05, "batch_size": 16},
    "evaluate": {"every": 2},
    "run": {"workers": 0},
}


def study(**changes: object) -> Config:
    return Config.model_validate({**BASE, **changes})


STUDIES = {
    # With control variates a contribution has more than a megabyte, and so takes several messages.
    "clients with a memory": study(
        strategy={"kind": "scaffold"}, model={"kind": "mlp", "hidden": [9000]}
    ),
    "a noised sum": study(
        mechanism={"kind": "gaussian", "clip": 0.5},
        budget={"epsilon": 8.0, "ledger": "run"},
    ),
    "clients with a ledger": study(
        dpsgd={"noise_multiplier": 2.0},
        budget={"epsilon": 100.0, "unit": "example", "ledger": "run"},
    ),
}
