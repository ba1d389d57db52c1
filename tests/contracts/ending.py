"""What must hold of a run, whatever happened to it: while it runs, and at its end."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from contracts.parties import Scene
from contracts.studies import CLIENTS
from tacit.privacy import Ledger
from tacit.server import Store
from tacit.simulations.custody import Custody, ledger_path


def check_ledgers(scene: Scene) -> None:
    """What was released was charged, and nothing twice: in the run's ledger and in each client's."""
    if not scene.run.config.exists():
        return
    submitted = [line for line in audit(scene) if line.get("purpose") == "fit"]
    with closing(Store(scene.run.path)) as store:
        committed = {record.round for record, _ in store.history()}
    charged = rounds_in(ledger_path(scene.config, scene.run))
    assert committed <= set(charged), (committed, charged)
    assert len(set(charged)) == len(charged), "the same bytes were charged twice"
    if scene.config.dpsgd is None:
        return
    for name in CLIENTS:
        handed_in = {line["round"] for line in submitted if line["client"] == name}
        charged = rounds_in(own_ledger(scene, name))
        assert handed_in <= set(charged), (name, handed_in, charged)
        assert len(set(charged)) == len(charged), "the same bytes were charged twice"


def check_run(scene: Scene, simulation: Scene) -> None:
    """The run ended as its simulation did."""
    check_ledgers(scene)
    assert model(scene) == model(simulation), "other parameters than those of the simulation"
    assert measured(scene) == measured(simulation)
    rounds = list(range(1, scene.config.rounds + 1))
    assert rounds_in(ledger_path(scene.config, scene.run)) == rounds
    if scene.config.dpsgd is not None:
        assert all(rounds_in(own_ledger(scene, name)) == rounds for name in CLIENTS)


def audit(scene: Scene) -> list[dict[str, Any]]:
    """What was let in, by the audit logs: nothing twice in one life of a coordinator."""
    found = []
    for path in sorted(scene.run.path.glob("audit*.jsonl")):
        whole = [line for line in path.read_text().splitlines() if line.endswith("}")]
        lines = [line for line in map(json.loads, whole) if line["event"] == "submitted"]
        once = Counter((line["client"], line["round"], line["purpose"]) for line in lines)
        assert max(once.values(), default=1) == 1, f"let in twice: {once.most_common(1)}"
        found += lines
    return found


def end_audit(scene: Scene) -> None:
    """Puts the audit log of a coordinator that has ended aside."""
    path = scene.run.path / "audit.jsonl"
    if path.exists():
        number = len(list(scene.run.path.glob("audit-*.jsonl")))
        path.rename(path.with_name(f"audit-{number}.jsonl"))


def rounds_in(path: Path) -> list[int]:
    """The rounds that are charged in the ledger there, which is whole; none if there is no ledger."""
    if not path.exists():
        return []
    with closing(Ledger(path)) as ledger:
        return [entry.round for entry in ledger.verify()]


def own_ledger(scene: Scene, name: str) -> Path:
    custody = Custody.of(scene.config, scene.folder / name / "budget" / "ledger.db")
    return custody.of_client(name) / "ledger.db"


def model(scene: Scene) -> str:
    return hashlib.sha256(scene.run.model.read_bytes()).hexdigest()


def measured(scene: Scene) -> list[dict[str, Any]]:
    """What was measured on the clients' rows, evaluation by evaluation."""
    with closing(Store(scene.run.path)) as store:
        return [dict(evaluated.clients) for _, evaluated in store.history() if evaluated]
