"""A deployment from Python: a model and a loss of one's own, and rows that are in no file."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path

import numpy as np
from contracts.certificates import make_authority
from contracts.network import InTurn
from tacit.client import Data
from tacit.client.task import Classification
from tacit.deployment.serve import Listening, serve
from tacit.deployment.site import Site
from tacit.deployment.study import prepare_study
from tacit.simulations import Dataset, make_config
from tacit.simulations.run_folder import RunFolder
from tacit.wire.dial import dial
from tacit.wire.identity import Role
from tacit.wire.keys import Keys
from torch import nn

SITES = ("bergen", "oslo")
CONFIG = make_config(
    {
        "rounds": 2,
        "data": {"path": "nowhere.csv", "classes": 2, "standardise": "client"},
        "partition": {"kind": "natural"},
        "deployment": {"clients": SITES, "shape": [3]},
    }
)
TASK = Classification(build=lambda: nn.Linear(3, 2))


def rows(seed: int) -> Dataset:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(60, 3)).astype(np.float32)
    targets = (features[:, 0] > 0).astype(np.int64)
    return Dataset(
        name="own",
        data=Data(features=features, targets=targets),
        classes=2,
        test=np.zeros(60, bool),
        owner=None,
        owners=(),
        group_names={},
        tabular=True,
    )


def test_a_task_and_rows_of_ones_own_take_part(tmp_path: Path) -> None:
    authority = make_authority(tmp_path / "certs", *SITES)
    lock, threads, ends = threading.Lock(), [], []

    def attend(number: int, name: str, port: int) -> None:
        site = Site(
            config=CONFIG, name=name, folder=tmp_path / name, task=TASK, dataset=rows(number)
        )
        keys = Keys(authority.folder_of(name))
        with site.locked():
            agent = site.agent(partial(dial, f"localhost:{port}", keys, Role.CLIENT))
            agent.answers = InTurn(agent.answers, lock)
            ends.append(agent.run())

    def start(port: int) -> None:
        for number, name in enumerate(SITES):
            threads.append(threading.Thread(target=attend, args=(number, name, port)))
            threads[-1].start()

    result = serve(
        prepare_study(CONFIG, task=TASK),
        RunFolder(tmp_path / "run"),
        Listening(address="127.0.0.1:0", certs=authority.folder_of("coordinator")),
        listens=start,
    )
    for thread in threads:
        thread.join(timeout=30)
    assert ends == ["the run is complete"] * 2
    assert sorted(result.parameters) == ["bias", "weight"]
    assert result.metrics["accuracy"] > 0.5
