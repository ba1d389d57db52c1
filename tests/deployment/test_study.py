"""What parties must agree on is what was written, whatever a run made of it."""

from __future__ import annotations

from pathlib import Path

from tacit.deployment.study import fingerprint, keep_study, kept_study, prepare_study
from tacit.simulations import make_config
from tacit.simulations.run_folder import RunFolder

PRIVATE = {
    "rounds": 2,
    "data": {"name": "wine"},
    "partition": {"kind": "iid", "clients": 3},
    "mechanism": {"kind": "gaussian", "clip": 0.5},
    "budget": {"epsilon": 50.0, "ledger": "run"},
}


def test_a_run_that_is_resumed_has_the_study_that_it_began_with(tmp_path: Path) -> None:
    """Its noise was calibrated when it began, and stands in its configuration, not in the study."""
    config, folder = make_config(PRIVATE), RunFolder(tmp_path)
    study = prepare_study(config)
    folder.create(study.config, study.description)
    keep_study(study, folder)
    resolved = folder.read_config()
    assert fingerprint(resolved) != fingerprint(config)
    resumed = prepare_study(resolved, kept_study(folder))
    assert resumed.config == study.config
    assert fingerprint(resumed.agreed) == fingerprint(config)


def test_where_a_party_keeps_its_ledger_is_its_own_business() -> None:
    budgets = [{"epsilon": 50.0, "ledger": ledger} for ledger in ("a.db", "b.db", "run")]
    one, other, run = (make_config({**PRIVATE, "budget": budget}) for budget in budgets)
    assert fingerprint(one) == fingerprint(other)
    assert fingerprint(one) != fingerprint(run)
