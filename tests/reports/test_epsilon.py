"""The figure of ε over rounds: what it draws, and when there is nothing to draw."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from contextlib import closing
from pathlib import Path

import pytest
from tacit.privacy.accountants import rdp_epsilon
from tacit.privacy.budget import Adjacency, Budget, Unit
from tacit.privacy.event import Event, Gaussian, NonPrivate
from tacit.privacy.ledger import Key, Ledger
from tacit.reports.charges import Charges
from tacit.reports.epsilon import POINTS, epsilon_plot, lines, spending
from tacit.reports.ledgers import read_ledger
from tacit.server.progress import Committed
from tacit.simulations.config import make_config

CONFIG = {
    "rounds": 30,
    "data": {"name": "wine"},
    "partition": {"kind": "iid", "clients": 3},
    "mechanism": {"kind": "gaussian", "clip": 1.0, "noise_multiplier": 10.0},
    "budget": {"epsilon": 5.0, "population": "us"},
}
NOISED = Gaussian(noise_multiplier=10.0)


def charged(path: Path, *runs: tuple[str, int, Event]) -> Charges:
    """A ledger in which each run released `event` so often, one round each; the last is reported."""
    with closing(Ledger(path)) as ledger:
        heads: list[str] = []
        for run, rounds, event in runs:
            heads.clear()
            for round in range(1, rounds + 1):
                key = Key(
                    population="us",
                    unit=Unit.CLIENT,
                    run=run,
                    round=round,
                    release="model",
                    fingerprint=f"{round}",
                )
                heads.append(ledger.charge(key, event, Budget(epsilon=float("inf"))).hash)
    return Charges(
        config=make_config(CONFIG),
        ledger=str(path),
        entries=read_ledger(path),
        clients={},
        names=[],
        rows={},
        committed=[as_committed(number, head) for number, head in enumerate(heads, start=1)],
        broken=None,
    )


def as_committed(round: int, head: str) -> Committed:
    """A round that the ledger knows by `head`."""
    return Committed(
        round=round, cohort=3, admitted=3, refused=0, training={}, seconds=0.0, ledger=head
    )


def test_the_line_starts_where_earlier_runs_left_the_population(tmp_path: Path) -> None:
    spent = spending(charged(tmp_path / "l.db", ("a", 10, NOISED), ("b", 20, NOISED)))
    assert spent is not None
    assert [round for round, _ in spent.rdp] == list(range(21))
    for round, epsilon in spent.rdp:
        wanted = rdp_epsilon({NOISED: 10 + round}, 1e-5, Adjacency.ADD_REMOVE)
        assert epsilon == pytest.approx(wanted)
    assert len(spent.pld) <= POINTS
    assert spent.pld[-1][0] == 20
    assert all(stated <= dict(spent.rdp)[round] + 1e-6 for round, stated in spent.pld)


def test_the_budget_is_a_level(tmp_path: Path) -> None:
    spent = spending(charged(tmp_path / "l.db", ("a", 3, NOISED)))
    assert spent is not None
    assert [(line.name, line.y) for line in lines(spent)][-1] == ("budget", (5.0,))


@pytest.mark.parametrize("rounds", [1, 30])
def test_equal_numbers_give_equal_bytes(rounds: int, tmp_path: Path) -> None:
    spent = spending(charged(tmp_path / "l.db", ("a", rounds, NOISED)))
    assert spent is not None
    figure = epsilon_plot(spent).file()
    assert figure == epsilon_plot(spent).file()
    assert ET.fromstring(figure).tag.endswith("svg")


def test_what_has_no_bound_is_not_drawn(tmp_path: Path) -> None:
    assert spending(charged(tmp_path / "l.db", ("a", 3, NonPrivate()))) is None
    assert spending(charged(tmp_path / "none.db")) is None
