"""One code path: a run over gRPC ends with the bits of the same run simulated."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from contracts.certificates import make_authority
from contracts.network import InTurn
from tacit.deployment.serve import Listening, serve
from tacit.deployment.site import Site
from tacit.deployment.study import prepare_study
from tacit.simulations import simulate
from tacit.simulations.conduct import Result
from tacit.simulations.config import Config
from tacit.simulations.run_folder import RunFolder
from tacit.wire.dial import dial
from tacit.wire.identity import Role
from tacit.wire.keys import Keys

STUDIES: dict[str, dict[str, Any]] = {
    "plain": {},
    "with a memory at every client": {
        "strategy": {"kind": "scaffold"},
        "sampler": {"kind": "fixed", "size": 2},
    },
    "with a model of its own at every client": {"strategy": {"kind": "ditto"}},
    "with a place for every client": {
        "strategy": {"kind": "afl"},
        "mechanism": {"kind": "mean", "weighting": "uniform"},
        "deployment": {"clients": ["client-002", "client-000", "client-001"]},
    },
    "with noise at the coordinator": {
        "strategy": {"kind": "fedadam"},
        "mechanism": {"kind": "gaussian", "clip": 1.0, "noise_multiplier": 0.5},
        "insecure_noise_seed": 7,
    },
    "with noise at every row": {
        "dpsgd": {"noise_multiplier": 1.0},
        "budget": {"epsilon": 50.0, "unit": "example", "ledger": "run"},
        "insecure_noise_seed": 7,
    },
    "with the clipped rows counted": {
        "strategy": {"kind": "scaffold"},
        "dpsgd": {"noise_multiplier": 1.0, "clip": 0.5},
        "budget": {"epsilon": 50.0, "unit": "example", "ledger": "run"},
        "evaluate": {"every": 2, "noise": {"multiplier": 2.0}, "clipping": True},
        "insecure_noise_seed": 7,
    },
    "with noise at every client": {
        "mechanism": {"kind": "local", "clip": 1.0, "epsilon": 8.0},
        "insecure_noise_seed": 7,
    },
    "with noise on the counts of clients": {
        "mechanism": {"kind": "gaussian", "clip": 1.0, "noise_multiplier": 0.5},
        "evaluate": {"groups": ["label"], "noise": {"multiplier": 2.0, "clip": 9.0}},
        "insecure_noise_seed": 7,
    },
    "with noise on the counts of rows": {
        "dpsgd": {"noise_multiplier": 1.0},
        "budget": {"epsilon": 50.0, "unit": "example", "ledger": "run"},
        "evaluate": {"groups": ["label"], "noise": {"multiplier": 2.0}},
        "insecure_noise_seed": 7,
    },
}


def study(**changes: Any) -> Config:  # noqa: ANN401 - a table of TOML
    return Config(
        **{
            "rounds": 3,
            "data": {"name": "wine"},
            "partition": {"kind": "dirichlet", "clients": 3, "alpha": 1.0, "min_rows": 8},
            "model": {"kind": "mlp", "hidden": [8], "dropout": 0.2},
            "train": {"learning_rate": 0.05, "epochs": 2},
            "run": {"workers": 0},
            **changes,
        }
    )


def deployed(config: Config, folder: Path) -> Result:
    """What `config` ends with over mutual TLS, every site in a thread of its own."""
    prepared = prepare_study(config)
    authority = make_authority(folder / "certs", *prepared.clients)
    lock = threading.Lock()

    def start(port: int) -> None:
        for name in prepared.clients:
            keys = Keys(authority.folder_of(name))
            site = Site(config=config, name=name, folder=folder / "sites" / name)
            agent = site.agent(
                partial(dial, f"localhost:{port}", keys, Role.CLIENT), lambda line: None
            )
            agent.answering.answers = InTurn(agent.answering.answers, lock)
            threading.Thread(target=agent.run, name=name, daemon=True).start()

    listening = Listening(address="127.0.0.1:0", certs=authority.folder_of("coordinator"))
    return serve(prepared, RunFolder(folder / "run"), listening, listens=start)


def counted(result: Result) -> list[dict[str, Any]]:
    """Everything that was counted, after every round; statistics have no order on the wire."""
    evaluations = [replace(found, seconds=0.0, ledger="") for _, found in result.history if found]
    return [json.loads(evaluation.to_json()) for evaluation in evaluations]


@pytest.mark.parametrize("kind", STUDIES)
def test_a_run_over_grpc_ends_with_the_bits_of_its_simulation(kind: str, tmp_path: Path) -> None:
    """The parameters, and what was counted about them on the way."""
    config = study(**STUDIES[kind])
    found, expected = deployed(config, tmp_path), simulate(config, folder=tmp_path / "simulated")
    assert found.digest == expected.digest
    assert counted(found) == counted(expected)
