"""Worker processes keep the contract of a carrier, and a lost one ends the run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from contracts.carrier import check_carrier
from flwr.supercore.run import Run
from tacit.flower.app import App
from tacit.flower.nodes import Nodes, contexts
from tacit.flower.workers import simulated


@pytest.mark.parametrize("workers", [0, 2])
def test_simulated_nodes_keep_the_contract_of_a_carrier(workers: int) -> None:
    @contextmanager
    def connect(app: App, run: Run, nodes: int) -> Iterator[Nodes]:
        with simulated(app, contexts(run.run_id, nodes, app.run_config), workers) as found:
            yield found

    check_carrier(connect)
