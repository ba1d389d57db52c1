"""A strategy learns how many clients there are, and a client which of them it is, alike everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tacit.deployment.site import Site
from tacit.simulations import ConfigError, make_config, simulate
from tacit.simulations.config import Config
from tacit.simulations.members import members
from tacit.simulations.setup import make_population, prepare
from tacit.strategies import AFL

BASE: dict[str, Any] = {
    "rounds": 3,
    "data": {"name": "wine"},
    "partition": {"kind": "iid", "clients": 4},
    "strategy": {"kind": "afl"},
    "mechanism": {"kind": "mean", "weighting": "uniform"},
    "run": {"workers": 0, "device": "cpu"},
}
NAMES = [f"client-{number:03}" for number in range(4)]


def config(**changes: object) -> Config:
    return make_config({**BASE, **changes})


def test_a_run_fills_in_the_number_of_clients_and_keeps_it() -> None:
    found = prepare(config()).config
    assert found.strategy == AFL(clients=4)
    assert prepare(make_config({**found.model_dump(mode="json")})).config == found


def test_another_number_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^strategy\.clients: it is 4, not 5; leave it out\.$"):
        prepare(config(strategy={"kind": "afl", "clients": 5}))


def test_positions_follow_from_the_names_for_all_parties() -> None:
    """Also for a site whose own rows are all that it has, and in whatever order names were written."""
    mixed = [NAMES[2], NAMES[0], NAMES[3], NAMES[1]]
    named = config(deployment={"clients": mixed})
    whole = make_population(named)
    alone = make_population(
        config(partition={"kind": "iid", "clients": 1})
    )  # its client is client-000
    assert members(config(), whole) == members(named, whole) == members(named, alone)
    assert members(named, alone) == tuple(NAMES)
    assert members(config(), alone) == tuple(NAMES[:1])


def test_a_site_must_know_of_the_others_where_each_has_a_place(tmp_path: Path) -> None:
    rows = tmp_path / "rows.npz"
    np.savez(rows, features=np.ones((6, 13), np.float32), targets=np.arange(6) % 3)
    site = Site(config=config(partition={"kind": "natural"}), name="a", folder=tmp_path, data=rows)
    with pytest.raises(ConfigError, match=r"^deployment\.clients: name them"):
        site.agent(lambda: None)  # type: ignore[arg-type,return-value]


def test_worker_processes_give_each_client_its_own_place() -> None:
    """The mixture of AFL tells clients apart: in another order it would end elsewhere."""
    one, other = (simulate(config(run={"workers": n, "device": "cpu"})) for n in (0, 2))
    assert one.digest == other.digest
    plain = simulate(config(strategy={"kind": "fedavg"}))
    assert one.digest != plain.digest
