"""A deployment from Python: a model and a loss of one's own, and rows that are in no file."""

from __future__ import annotations

import socket
import threading
from functools import partial
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
import pytest
from contracts.certificates import make_authority
from contracts.network import InTurn
from tacit.client import Client, Data, Guard, Training
from tacit.client.task import Classification
from tacit.deployment.serve import Listening, serve
from tacit.deployment.site import Site
from tacit.deployment.study import prepare_study
from tacit.simulations import ConfigError, Dataset, make_config
from tacit.simulations.run_folder import RunFolder
from tacit.wire import Instruction, Purpose
from tacit.wire.dial import dial
from tacit.wire.errors import Declined
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
    with socket.create_server(("127.0.0.1", 0)) as free:
        metrics = f"127.0.0.1:{free.getsockname()[1]}"

    def attend(number: int, name: str, port: int) -> None:
        site = Site(
            config=CONFIG, name=name, folder=tmp_path / name, task=TASK, dataset=rows(number)
        )
        keys = Keys(authority.folder_of(name))
        with site.locked():
            agent = site.agent(partial(dial, f"localhost:{port}", keys, Role.CLIENT))
            agent.answering.answers = InTurn(agent.answering.answers, lock)
            ends.append(agent.run())

    def start(port: int) -> None:
        with urlopen(f"http://{metrics}/metrics") as scraped:
            assert b"tacit_round 0.0" in scraped.read()
        for number, name in enumerate(SITES):
            threads.append(threading.Thread(target=attend, args=(number, name, port)))
            threads[-1].start()

    result = serve(
        prepare_study(CONFIG, task=TASK),
        RunFolder(tmp_path / "run"),
        Listening(address="127.0.0.1:0", certs=authority.folder_of("coordinator"), metrics=metrics),
        listens=start,
    )
    for thread in threads:
        thread.join(timeout=30)
    assert ends == ["the run is complete"] * 2
    assert sorted(result.parameters) == ["bias", "weight"]
    assert result.metrics["accuracy"] > 0.5
    with pytest.raises(URLError, match="refused"):
        urlopen(f"http://{metrics}/metrics")


def test_what_a_killed_process_had_begun_to_write_is_gone_when_the_site_starts(
    tmp_path: Path,
) -> None:
    left = tmp_path / "oslo" / "outbox" / f".{'0f' * 8}.tmp"
    left.parent.mkdir(parents=True)
    left.touch()
    with Site(config=CONFIG, name="oslo", folder=tmp_path / "oslo").locked():
        assert list(left.parent.iterdir()) == []


STEPS = Training(batch_size=20, steps=10)


def nowhere() -> Any:  # noqa: ANN401 - it never returns
    raise ConnectionError


def guard(folder: Path, cap: float | None, **budget: object) -> Guard:
    """What guards the rows of oslo, in a study with `budget`, after a restart."""
    table = {
        "rounds": 2,
        "data": {"path": "nowhere.csv", "classes": 2, "standardise": "client"},
        "partition": {"kind": "natural"},
        "train": {"steps": 10, "batch_size": 20},
        "dpsgd": {"noise_multiplier": 1.0},
        "budget": {"unit": "example", "epsilon": 50.0, **budget},
        "deployment": {"clients": SITES, "shape": [3]},
    }
    site = Site(
        config=make_config(table), name="oslo", folder=folder, task=TASK, dataset=rows(1), cap=cap
    )
    answers = site.agent(nowhere).answering.answers
    assert isinstance(answers, Client)
    assert answers.guard is not None
    return answers.guard


def train(found: Guard, run: str) -> None:
    instruction = Instruction(run=run, round=1, purpose=Purpose.FIT, parameters={}, seed=1)
    found.admit(instruction, rows(1).data, STEPS)


def test_a_cap_counts_what_other_studies_spent_under_whatever_name(tmp_path: Path) -> None:
    train(guard(tmp_path, 10.0, population="one"), "first")
    with pytest.raises(Declined, match="ε = 10 "):
        train(guard(tmp_path, 10.0, population="another"), "second")


def test_a_study_cannot_loosen_a_cap_by_its_delta(tmp_path: Path) -> None:
    assert guard(tmp_path, 3.0, delta=0.5).budget.delta == 1e-5
    assert guard(tmp_path, 3.0, delta=1e-7).budget.delta == 1e-7
    assert guard(tmp_path, 3.0, epsilon=2.0).budget.epsilon == 2.0
    assert guard(tmp_path, None, delta=0.5).budget.delta == 0.5


def test_a_cap_is_refused_where_nothing_is_noised_row_by_row(tmp_path: Path) -> None:
    site = Site(config=CONFIG, name="oslo", folder=tmp_path, task=TASK, dataset=rows(1), cap=3.0)
    with pytest.raises(ConfigError, match=r"no \[dpsgd\].*Join without --cap"):
        site.agent(nowhere)


def test_a_cap_is_refused_where_the_coordinator_adds_the_noise_to_counts(tmp_path: Path) -> None:
    noise = {"multiplier": 2.0, "by": "coordinator"}
    changes = {"dpsgd": {"noise_multiplier": 1.0}, "evaluate": {"noise": noise}}
    config = make_config({**CONFIG.model_dump(mode="json", exclude_none=True), **changes})
    site = Site(config=config, name="oslo", folder=tmp_path, task=TASK, dataset=rows(1), cap=3.0)
    with pytest.raises(
        ConfigError, match=r'evaluate\.noise\.by = "clients", or join without --cap'
    ):
        site.agent(nowhere)


@pytest.mark.parametrize("cap", [0.0, -1.0, float("nan")])
def test_a_cap_that_limits_nothing_or_everything_is_none(cap: float, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cap > 0"):
        Site(config=CONFIG, name="oslo", folder=tmp_path, cap=cap)
