"""Clients that dialled in keep the contract of a carrier, over TLS and over names that are believed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from contracts.carrier import check_carrier
from contracts.certificates import make_authority
from contracts.flower_network import Place, coordinator
from contracts.processes import eventually
from flwr.supercore.run import Run
from tacit.flower.app import App
from tacit.flower.clients import Clients

pytestmark = pytest.mark.filterwarnings(  # Flower's own, when it lists an app's files
    "ignore:GitWildMatchPattern:DeprecationWarning"
)
ROSTER = ["oslo", "bergen", "tromsø"]


@pytest.mark.parametrize("certified", [False, True])
def test_clients_that_dialled_in_keep_the_contract(tmp_path: Path, certified: bool) -> None:
    @contextmanager
    def connect(app: App, run: Run, nodes: int) -> Iterator[Clients]:
        certs = None
        if certified:
            certs = make_authority(tmp_path / "certs", *ROSTER).folder
        place = Place(app=app, folder=tmp_path / "run", certs=certs)
        with coordinator(place, run, ROSTER[:nodes]) as carrier:
            eventually(lambda: len(carrier.nodes()) == nodes, lambda: f"{place.news}")
            yield carrier
        assert place.ended == dict.fromkeys(ROSTER, "the run is complete")

    check_carrier(connect)
