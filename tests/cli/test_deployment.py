"""A coordinator and three sites as processes, over mutual TLS, each site with rows of its own."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from contracts.certificates import make_authority
from contracts.processes import Shell, Started, Tacit, eventually
from tacit.deployment import Authority
from tacit.simulations.config import read_config
from tacit.simulations.run import simulate
from tacit.wire.identity import Role

EXAMPLE = Path(__file__).parents[2] / "examples" / "deploy"
SITES = ("bergen", "oslo", "turku")
SHORT = ("--set", "rounds=3")
PRIVATE = """
[dpsgd]
clip = 1.0
noise_multiplier = 1.0

[budget]
unit = "example"
epsilon = 50.0
ledger = "run"
"""


@dataclass
class Consortium:
    """A folder with rows, a study and certificates for all, and a shell in it."""

    shell: Shell
    authority: Authority
    port: str = "0"

    @property
    def address(self) -> str:
        return f"localhost:{self.port}"

    def serve(self, *words: str) -> Started:
        """A coordinator that listens, on the same port as the last one."""
        started = self.shell.start("serve", "--listen", f"127.0.0.1:{self.port}", *words)
        self.port = started.says("listening on").partition(";")[0].rpartition(":")[2]
        return started

    def join(self, name: str, *words: str, certs: Path | None = None) -> Started:
        own = ("--study", "study.toml", "--data", f"rows/{name}.csv", *SHORT)
        keys = certs or self.authority.folder_of(name)
        return self.shell.start("join", self.address, *own, "--certs", keys, *words)

    def watch(self, *words: str) -> Started:
        """An operator who watches, and has heard of the start."""
        keys = self.authority.folder_of("operator")
        started = self.shell.start("watch", self.address, "--certs", keys, *words)
        started.says("started")
        return started

    def ask(self, *words: str, certs: Path | None = None) -> subprocess.CompletedProcess[str]:
        """What an operator is told."""
        command, *options = words
        keys = certs or self.authority.folder_of("operator")
        return self.shell.run(command, self.address, "--certs", keys, *options)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rows")
    subprocess.run([sys.executable, EXAMPLE / "make_sites.py", folder], check=True)
    return folder


def consortium(forks: subprocess.Popen[str], rows: Path, folder: Path) -> Iterator[Consortium]:
    shutil.copy(EXAMPLE / "study.toml", folder)
    (folder / "rows").symlink_to(rows)
    (folder / "said").mkdir()
    shell = Shell(forks=forks, folder=folder, said=folder / "said")
    yield Consortium(shell, make_authority(folder / "certs", *SITES))
    shell.close()


@pytest.fixture
def parties(forks: subprocess.Popen[str], rows: Path, tmp_path: Path) -> Iterator[Consortium]:
    """Nobody runs yet."""
    yield from consortium(forks, rows, tmp_path)


@pytest.fixture(scope="module")
def waiting(
    forks: subprocess.Popen[str], rows: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Consortium]:
    """A round that is open: bergen and oslo have answered, and turku is away."""
    for parties in consortium(forks, rows, tmp_path_factory.mktemp("waiting")):
        parties.serve("study.toml", *SHORT, "--out", "served")
        for site in ("bergen", "oslo"):
            parties.join(site).says("handed in")
        yield parties


def test_the_sites_reach_the_model_of_a_simulation_over_a_stop_and_a_resumption(
    parties: Consortium, rows: Path
) -> None:
    """And the rows of the simulation are those of all sites, in one file with an owner column."""
    pooled = [f"data.path={str(rows / 'all.csv')!r}", "data.owner=site", "rounds=3"]
    expected = simulate(read_config(EXAMPLE / "study.toml", [*pooled, "run.workers=0"]))
    first = parties.serve("study.toml", *SHORT, "--resume", "served")
    watcher = parties.watch()
    sites = [parties.join("bergen"), parties.join("oslo")]
    for site in sites:
        site.says("handed in")
    assert parties.ask("stop").stdout.startswith("stops after round 1")
    sites.append(parties.join("turku"))
    ended = first.end()
    assert ended.returncode == 130
    assert "rounds up to 1 are safe; to go on: tacit serve --resume served" in ended.stderr
    watched = watcher.end()
    assert watched.returncode == 130
    assert "round 1 is committed, with 3 updates" in watched.stdout
    assert watched.stderr == (
        "error: the coordinator ended before the run did; it can be resumed there.\n"
    )
    for site in sites:
        site.says("not connected")
    second = parties.serve("study.toml", *SHORT, "--resume", "served").end()
    assert second.returncode == 0, second.stderr
    assert "resuming after round 1 of 3" in second.stdout
    assert expected.digest in second.stdout
    for ended in (site.end() for site in sites):
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.endswith("the run is complete\n")


def test_status_says_who_is_connected_and_doing_what(waiting: Consortium) -> None:
    found = json.loads(waiting.ask("status", "--format", "json").stdout)
    assert (found["round"], found["rounds"], found["open"]) == (0, 3, 1)
    assert found["phase"] == "fit"
    states = {client["name"]: client["state"] for client in found["clients"]}
    assert states == {"bergen": "answered", "oslo": "answered", "turku": "away"}
    shown = waiting.ask("status").stdout
    assert "2 of 3 clients connected" in shown
    assert "fit, round 1: waits for clients to connect" in shown


def test_the_report_of_a_run_under_way_is_fetched(waiting: Consortium) -> None:
    done = waiting.ask("report", "--out", "fetched")
    assert done.returncode == 0, done.stderr
    written = {path.name for path in (waiting.shell.folder / "fetched").iterdir()}
    assert {"report.html", "report.json", "model_card.md", "privacy.json"} <= written
    assert "\nwrote fetched/privacy.md\n" in done.stdout


def test_a_watcher_is_told_what_happened_before(waiting: Consortium) -> None:
    watcher = waiting.watch("--format", "json")
    watcher.says("round_began")
    assert [json.loads(line)["event"] for line in watcher.output().splitlines()] == [
        "started",
        "round_began",
    ]
    watcher.send(signal.SIGINT)
    assert watcher.end().returncode == 130


@pytest.mark.parametrize("command", ["status", "watch", "stop", "report"])
def test_only_an_operator_may_ask(waiting: Consortium, command: str) -> None:
    done = waiting.ask(command, certs=waiting.authority.folder_of("oslo"))
    assert done.returncode == 3
    assert "holds the keys of client 'oslo', where the role operator is needed" in done.stderr


def test_who_was_revoked_or_never_known_is_told_in_one_line(waiting: Consortium) -> None:
    ann = waiting.authority.issue(Role.OPERATOR, "ann")
    waiting.authority.revoke("ann")
    done = waiting.ask("status", certs=ann)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == f"error: {waiting.address} refuses this operator: revoked.\n"
    other = make_authority(waiting.shell.folder / "other").folder_of("operator")
    done = waiting.ask("status", certs=other)
    assert done.returncode == 3
    assert "was not believed: the authority in ca.pem did not issue its" in done.stderr
    assert done.stderr.count("\n") == 1


def test_nobody_at_the_address_is_the_networks_fault(waiting: Consortium) -> None:
    keys = waiting.authority.folder_of("operator")
    done = waiting.shell.run("status", "localhost:1", "--certs", keys)
    assert done.returncode == 1
    assert done.stderr.startswith("error: localhost:1 cannot be reached: nothing listens there")


def test_a_site_with_another_study_is_told_every_difference(waiting: Consortium) -> None:
    changes = ("--set", "train.learning_rate=0.5", "--set", "seed=7")
    done = waiting.join("turku", *changes, "--format", "json").end()
    assert done.returncode == 3
    assert "train.learning_rate is 0.1 at the coordinator, and 0.5 here" in done.stderr
    assert "seed is 42 at the coordinator, and 7 here" in done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["event"] == "error"


def test_a_site_that_is_not_on_the_list_is_refused_for_good(waiting: Consortium) -> None:
    keys = waiting.authority.issue(Role.CLIENT, "riga")
    done = waiting.join("turku", "--set", 'deployment.clients=["riga"]', certs=keys).end()
    assert done.returncode == 3
    assert "not on the list of clients" in done.stderr


def test_a_site_with_the_keys_of_another_authority_is_told_so_and_ends(
    waiting: Consortium,
) -> None:
    other = make_authority(waiting.shell.folder / "elsewhere", "turku").folder_of("turku")
    done = waiting.join("turku", certs=other).end()
    assert done.returncode == 3
    assert done.stderr == (
        "error: The coordinator was not believed: the authority in ca.pem did not issue its "
        "certificate: these keys are for another one.\n"
    )


def test_a_site_says_why_it_cannot_connect_and_what_is_kept_when_it_is_stopped(
    waiting: Consortium,
) -> None:
    site = Consortium(waiting.shell, waiting.authority, port="1").join("turku")
    site.says("not connected: nothing listens there")
    site.send(signal.SIGINT)
    done = site.end()
    assert done.returncode == 130
    assert "what this site finished is kept; to go on: tacit join localhost:" in done.stderr


def test_a_site_keeps_to_its_own_cap_and_the_coordinator_says_so(parties: Consortium) -> None:
    folder = parties.shell.folder
    text = (folder / "study.toml").read_text()
    text = text.replace("epochs = 1", "steps = 2")  # rows are drawn by their own coins
    (folder / "study.toml").write_text(text + PRIVATE)
    coordinator = parties.serve("study.toml", *SHORT, "--out", "served")
    watcher = parties.watch()
    for site in SITES:
        parties.join(site, *(("--cap", "0.01") if site == "oslo" else ()))
    done = coordinator.end()
    assert done.returncode == 0, done.stderr
    events = (folder / "served" / "events.jsonl").read_text().splitlines()
    refused = [e for e in map(json.loads, events) if e["event"] == "refused"]
    assert {event["client"] for event in refused} == {"oslo"}
    assert "budget" in refused[0]["reason"]
    watched = watcher.end()
    assert (watched.returncode, watched.stderr) == (0, "")
    assert "finished after round 3" in watched.stdout.splitlines()[-1]


def test_a_port_that_is_taken_is_said_in_one_line(waiting: Consortium) -> None:
    address = f"127.0.0.1:{waiting.port}"
    done = waiting.shell.run("serve", "study.toml", "--listen", address, "--out", "second")
    error, note = done.stderr.splitlines()
    assert done.returncode == 1
    assert error == f"error: {address} cannot be listened on: Address already in use."
    assert note == "note: no round is complete yet; to go on: tacit serve --resume second"


def test_a_study_is_checked_where_no_rows_are(tacit: Tacit) -> None:
    done = tacit("check", EXAMPLE / "study.toml")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "the rows are at the sites: each checks its own when it joins.\n"
        "ok: nothing here would stop a run.\n"
    )
    done = tacit("check", EXAMPLE / "study.toml", "--set", "data.standardise=pooled")
    assert "needs everybody's rows" in done.stderr


def test_sigterm_costs_the_open_round_and_no_other(parties: Consortium) -> None:
    coordinator = parties.serve("study.toml", *SHORT, "--out", "served")
    eventually(lambda: "round 1" in parties.ask("status").stdout, lambda: "round 1")
    coordinator.send(signal.SIGTERM)
    ended = coordinator.end()
    assert ended.returncode == 130
    assert "to go on: tacit serve --resume served" in ended.stderr


def test_up_ends_with_the_model_of_a_simulation(tacit: Tacit, wine: Path) -> None:
    two = ("--set", "partition.clients=2", "--format", "json")
    simulated, up = tacit("run", wine, *two), tacit("up", wine, *two, "--out", "up")
    assert up.returncode == 0, up.stderr
    ends = [json.loads(done.stdout.splitlines()[-1]) for done in (simulated, up)]
    assert ends[0]["digest"] == ends[1]["digest"]
    written = [*(wine.parent / "up").rglob("*")]
    assert [path for path in written if path.stat().st_mode & 0o077] == []
