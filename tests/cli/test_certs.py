"""`tacit certs`: folders that can be handed out, and one line where something cannot be done."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from contracts.processes import Tacit
from tacit.wire.identity import Role
from tacit.wire.keys import Keys


@pytest.fixture
def certs(tacit: Tacit, tmp_path: Path) -> Path:
    assert tacit("certs", "init", "--host", "fl.example.org").returncode == 0
    return tmp_path / "certs"


def test_what_is_handed_out_works_at_once(tacit: Tacit, certs: Path) -> None:
    done = tacit("certs", "client", "hospital", "St. Mary's")
    assert done.returncode == 0, done.stderr
    assert """certs/St. Mary's  for client "St. Mary's"\n""" in done.stdout
    Keys(certs / "coordinator").server_credentials()
    for name, role in (
        ("hospital", Role.CLIENT),
        ("St. Mary's", Role.CLIENT),
        ("operator", Role.OPERATOR),
    ):
        keys = Keys(certs / name)
        keys.channel_credentials()
        assert (keys.identity().role, keys.identity().name) == (role, name)
        assert stat.S_IMODE((certs / name / "key.pem").stat().st_mode) == 0o600


def test_init_says_what_goes_to_whom(tacit: Tacit) -> None:
    done = tacit("certs", "init", "keys", "--host", "fl.example.org", "--host", "10.0.0.7")
    assert done.stdout == (
        "keys/ca           yours: ca.key says who may take part\n"
        "keys/coordinator  for the machine that clients dial: fl.example.org, 10.0.0.7, localhost, "
        "127.0.0.1\n"
        "keys/operator     for whoever looks after the coordinator\n"
    )
    assert "hand each party its folder and nothing else" in done.stderr
    assert "take keys/ca offline" in done.stderr


def test_the_list_has_everyone_and_who_was_revoked(tacit: Tacit, certs: Path) -> None:
    tacit("certs", "client", "hospital", "[red]bank")
    tacit("certs", "operator", "ann")
    done = tacit("certs", "revoke", "hospital")
    assert done.stdout.startswith("client 'hospital'  revoked: ")
    assert "bring certs/ca/crl.pem to the coordinator's machine" in done.stderr
    listed = json.loads(tacit("certs", "list", "--format", "json").stdout)
    rows = [(row["name"], row["role"], row["revoked"]) for row in listed["certificates"]]
    assert rows == [
        ("coordinator", "coordinator", False),
        ("operator", "operator", False),
        ("hospital", "client", True),
        ("[red]bank", "client", False),
        ("ann", "operator", False),
    ]
    assert listed["certificates"][0]["hosts"] == ["fl.example.org", "localhost", "127.0.0.1"]


def test_the_list_is_for_people_too(tacit: Tacit, certs: Path) -> None:
    tacit("certs", "client", "bank-b")
    tacit("certs", "revoke", "bank-b")
    text = tacit("certs", "list").stdout
    rows = {words[0]: words for line in text.splitlines() if (words := line.split())}
    row, own = rows["bank-b"], rows["operator"]
    assert (row[1], row[3]) == ("client", "revoked")
    assert own[3:5] == ["in", "force"]


def test_renewing_replaces_the_keys(tacit: Tacit, certs: Path) -> None:
    before = (certs / "coordinator" / "key.pem").read_bytes()
    done = tacit("certs", "renew", "coordinator", "--host", "new.example.org")
    assert done.returncode == 0, done.stderr
    assert "the old certificate stays good until it expires" in done.stderr
    assert (certs / "coordinator" / "key.pem").read_bytes() != before
    Keys(certs / "coordinator").server_credentials()
    listed = json.loads(tacit("certs", "list", "--format", "json").stdout)["certificates"]
    assert listed[-1]["hosts"] == ["new.example.org", "localhost", "127.0.0.1"]


def test_revoking_a_coordinator_says_who_will_not_know(tacit: Tacit, certs: Path) -> None:
    done = tacit("certs", "revoke", "coordinator")
    assert done.returncode == 0
    assert "caution: clients read no revocation list" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["init"], "certs/ca/ca.pem is there already"),
        (["init", "other", "--host", "a:1"], "without scheme and port, got 'a:1'"),
        (["client", "operator"], "operator 'operator' has a certificate until"),
        (["client", "a/b"], "Expected a name that can be a folder's"),
        (["revoke", "nobody"], "'nobody' has no certificate in certs"),
        (["renew", "nobody"], "'nobody' has no certificate in certs"),
        (["renew", "operator", "--host", "a"], "a host is for a coordinator"),
        (["list", "--folder", "nowhere"], "nowhere/ca/crl.pem is not there"),
        (["client", "a", "--folder", "nowhere"], "nowhere/ca/ca.pem is not there"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    tacit: Tacit, certs: Path, words: list[str], said: str
) -> None:
    before = sorted(certs.parent.rglob("*"))
    done = tacit("certs", *words)
    assert done.returncode == 3
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert [path for path in sorted(certs.parent.rglob("*")) if path not in before] == []


def test_without_the_offline_key_nothing_is_issued(tacit: Tacit, certs: Path) -> None:
    (certs / "ca" / "ca.key").rename(certs.parent / "usb-stick")
    done = tacit("certs", "client", "hospital")
    assert done.returncode == 3
    assert "certs/ca/ca.key is not there; bring it back from where it is kept" in done.stderr
    assert tacit("certs", "list").returncode == 0


def test_a_folder_that_cannot_be_written_is_the_machines_fault(
    tacit: Tacit, tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("a file")
    done = tacit("certs", "init", "taken")
    assert done.returncode == 1
    assert done.stderr.startswith("error: taken/ca: Not a directory")
