"""SuperNodes as sites: who is asked, what each keeps, and what becomes of those who come and go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from contracts.ledgers import charges
from contracts.nodes import Handle, grid_of
from flwr.app import Context, Error, Message, UserConfig
from flwr.common.constant import ErrorCode
from tacit.flower.clientapp import app
from tacit.flower.letters import read_reply
from tacit.flower.running import deployed, execute, simulated
from tacit.simulations import Config, simulate
from tacit.simulations.conduct import Result
from tacit.simulations.custody import clients_folder, ledger_path
from tacit.simulations.run_folder import RunFolder
from tacit.wire.errors import ClientsFailed

PRIVATE: Mapping[str, Any] = {
    "dpsgd": {"noise_multiplier": 1.0},
    "budget": {"epsilon": 50.0, "unit": "example", "ledger": "run"},
    "insecure_noise_seed": 7,
}
NAMES = ["client-000", "client-001"]


def study(**changes: Any) -> Config:  # noqa: ANN401 - a table of TOML
    return Config(
        **{
            "rounds": 2,
            "data": {"name": "wine"},
            "partition": {"kind": "iid", "clients": 2},
            "model": {"kind": "mlp", "hidden": [8]},
            "train": {"learning_rate": 0.05},
            "run": {"workers": 0},
            "deployment": {"deadline": 30.0},
            **changes,
        }
    )


def sites(folder: Path, config: Config) -> dict[int, UserConfig]:
    """The node-config of two SuperNodes, with `config` as their own copy of the study."""
    path = folder / "study.toml"
    path.write_text(config.to_toml())
    return {
        node: {"name": name, "state": str(folder / name), "study": str(path)}
        for node, name in enumerate(NAMES, 11)
    }


def with_sites(
    config: Config, folder: Path, nodes: Mapping[int, UserConfig], handle: Handle = app
) -> Result:
    with grid_of(handle, nodes) as (grid, _):
        run = RunFolder(folder / "run")
        return execute(deployed(grid, config, run), run)


@pytest.mark.parametrize("named", [True, False])
def test_sites_end_with_the_bits_of_their_simulation(named: bool, tmp_path: Path) -> None:
    """The ledgers too: a site's charges its own rows, whatever a study calls the population."""
    config = study(**PRIVATE)
    nodes = sites(tmp_path, config)
    if not named:
        for position, said in enumerate(nodes.values()):
            del said["name"]
            said["partition-id"] = position
    found = with_sites(config, tmp_path, nodes)
    expected = simulate(config, folder=tmp_path / "simulated")
    assert found.digest == expected.digest
    assert found.clients == expected.clients
    simulated = ledger_path(config, RunFolder(tmp_path / "simulated"))
    assert charges(ledger_path(config, RunFolder(tmp_path / "run"))) == charges(simulated)
    for name in NAMES:
        (own,) = (tmp_path / name / "budget").rglob("ledger.db")
        other = clients_folder(simulated) / own.parent.name / own.name
        assert charges(own, "population") == charges(other, "population")
        assert len(charges(own)) == config.rounds


def test_a_site_that_lost_its_connection_hands_in_what_it_had_finished(tmp_path: Path) -> None:
    """It comes back at a new node while the round is open; nothing is charged or computed again."""
    config, answers = study(**PRIVATE), list[bytes]()

    def lost(message: Message, context: Context) -> Message:
        found = app(message, context)
        if message.metadata.message_type == "train" and context.node_id in (11, 21):
            answers.append(read_reply(found.content)[1])
            if context.node_id == 11:  # it answers, and is gone before it is heard
                nodes.configs[21] = nodes.configs.pop(11)
                return Message(Error(ErrorCode.NODE_UNAVAILABLE, "gone"), reply_to=message)
        return found

    with grid_of(lost, sites(tmp_path, config)) as (grid, nodes):
        run = RunFolder(tmp_path / "run")
        found = execute(deployed(grid, config, run), run)
    assert found.digest == simulate(config).digest
    assert answers[0] == answers[1]
    (own,) = (tmp_path / NAMES[0] / "budget").rglob("ledger.db")
    assert len(charges(own)) == config.rounds


REFUSED: Mapping[str, tuple[UserConfig, int, str]] = {
    "no folder": ({"state": ""}, 2, "its node-config has no state"),
    "no study": ({"study": ""}, 2, "its node-config has no study"),
    "no such name": ({"name": "mallory"}, 2, "the study has no client 'mallory'"),
    "another study": ({}, 9, "rounds is 2 at the coordinator, and 9 here"),
}
"""What its node-config says, the rounds of its study, and what the log says of it."""


@pytest.mark.parametrize("kind", REFUSED)
def test_who_is_no_site_of_the_study_is_not_asked_and_the_log_says_why(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    said, rounds, reason = REFUSED[kind]
    path = tmp_path / "own.toml"
    path.write_text(study(rounds=rounds).to_toml())
    own = {"name": NAMES[0], "state": str(tmp_path / "other"), "study": str(path)}
    nodes = {**sites(tmp_path, study(rounds=2)), 5: {**own, **said}}
    with grid_of(app, nodes) as (grid, carrier):
        run = RunFolder(tmp_path / "run")
        execute(deployed(grid, study(rounds=2), run), run)
        asked = {(m.metadata.dst_node_id, m.metadata.message_type) for m in carrier.handled}
    assert {kind for node, kind in asked if node == 5} == {"query"}
    assert reason in caplog.text


def test_a_site_takes_part_in_one_run_until_it_agrees_to_another(tmp_path: Path) -> None:
    """Noise that it adds itself would differ from run to run, and could be averaged out."""
    config = study(rounds=1)
    nodes = sites(tmp_path, config)
    with_sites(config, tmp_path / "first", nodes)
    with pytest.raises(ClientsFailed, match="to agree to another run, remove"):
        with_sites(config, tmp_path / "second", nodes)


def test_a_site_takes_no_part_in_a_simulation(tmp_path: Path) -> None:
    """Its rows would be trained on past its ledger, in a folder that the coordinator chose."""
    run = RunFolder(tmp_path / "run")
    with (
        grid_of(app, sites(tmp_path, study())) as (grid, _),
        pytest.raises(ClientsFailed, match="a site takes part in no simulation"),
    ):
        execute(simulated(grid, study(), run), run)


def test_sites_of_one_name_are_left_out_until_one_is_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    both = "Nodes 11 and 13 both say to be 'client-000', and neither is asked"
    present, configs = list[list[int]](), sites(tmp_path, study(rounds=1))
    configs |= {
        node: {**configs[11], "state": str(tmp_path / f"other-{node}")} for node in (13, 14)
    }

    def handle(message: Message, context: Context) -> Message:
        if message.metadata.message_type != "query" and context.node_id != 12:
            present.append(list(nodes.configs))
        return app(message, context)

    with grid_of(handle, configs) as (grid, nodes):
        ids = nodes.nodes

        def leaving() -> Sequence[int]:
            if both in caplog.text:
                nodes.configs.pop(13, None)
                nodes.configs.pop(14, None)
            return ids()

        nodes.nodes = leaving  # type: ignore[method-assign]
        run = RunFolder(tmp_path / "run")
        found = execute(deployed(grid, study(rounds=1), run), run)
    assert [committed.admitted for committed, _ in found.history] == [2]
    assert both in caplog.text
    assert present
    assert all(those == [11, 12] for those in present)


def test_a_sites_error_says_where_it_was_and_not_what_it_says(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A task that fails at one site only, whose message quotes rows."""
    config = study(data={"name": "wine"}, rounds=1)
    nodes = sites(tmp_path, config)
    rows = tmp_path / "rows.csv"
    rows.write_text("a,b\n1,secret-value\n")
    nodes[11] = {**nodes[11], "data": str(rows)}
    with pytest.raises(ClientsFailed, match="round 1; the first is 'client-000'") as caught:
        with_sites(config, tmp_path, nodes)
    (failure,) = caught.value.failures
    assert failure.error.endswith("(see the client's log)")
    assert "read_file" in failure.traceback
    assert "secret-value" not in failure.error + failure.traceback
