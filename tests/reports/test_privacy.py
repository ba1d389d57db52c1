"""The privacy report says what the ledger says, all of it, and can be computed again from itself."""

from __future__ import annotations

import json
import math
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import tacit
from contracts.json_schema import violations
from tacit.deployment.study import prepare_study
from tacit.privacy.accountants import pld_epsilon, rdp_epsilon
from tacit.privacy.accounting import AccountantsDisagree
from tacit.privacy.budget import Adjacency, Budget, Unit
from tacit.privacy.event import Event, NonPrivate, from_json
from tacit.privacy.ledger import Key, Ledger
from tacit.reports import numbers
from tacit.reports.guarantee import number
from tacit.reports.numbers import max_true_positives, posterior
from tacit.reports.privacy_page import cell
from tacit.reports.write import write_report
from tacit.simulations.config import make_config
from tacit.simulations.description import to_json
from tacit.simulations.run import simulate
from tacit.simulations.run_folder import RunFolder

SCHEMA = json.loads((Path(tacit.__file__).parent / "reports" / "privacy.schema.json").read_text())
GAUSSIAN = {"kind": "gaussian", "clip": 1.0, "noise_multiplier": 4.0}
ROWS = {"noise_multiplier": 8.0}
"""Much noise: privacy losses have a short range, and distributions over it are made in no time."""
POISSON = {"kind": "poisson", "rate": 0.5}
KINDS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "insecure": {"mechanism": GAUSSIAN, "insecure_noise_seed": 1, "sampler": POISSON},
    "hardened": {"mechanism": {**GAUSSIAN, "hardened": True}},
    "adaptive": {"mechanism": {"kind": "adaptive", "noise_multiplier": 4.0, "count_noise": 4.5}},
    "banded": {
        "mechanism": {"kind": "banded", "clip": 1.0, "noise_multiplier": 4.0, "bands": 2},
        "sampler": {"kind": "cyclic", "groups": 2},
    },
    "local": {"mechanism": {"kind": "local", "clip": 1.0, "epsilon": 2.0}},
    "fixed": {"mechanism": GAUSSIAN, "sampler": {"kind": "fixed", "size": 2}},
    "rows": {"dpsgd": ROWS},
    "both": {"dpsgd": ROWS, "mechanism": GAUSSIAN},
}
CLIPPED = {"clipping": True, "groups": ["label"], "noise": {"multiplier": 1.0}}


def ran(folder: Path, **changes: object) -> Path:
    table = {
        "rounds": 2,
        "data": {"name": "wine"},
        "partition": {"kind": "iid", "clients": 4},
        "run": {"workers": 0},
        **changes,
    }
    simulate(make_config(table), folder=folder)
    return folder


def report_on(folder: Path) -> dict[str, Any]:
    write_report(RunFolder(folder))
    found: dict[str, Any] = json.loads((folder / "privacy.json").read_text())
    return found


@pytest.fixture(scope="module")
def noised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three Poisson rounds within a budget, with a shared ledger beside it."""
    place = tmp_path_factory.mktemp("privacy")
    budget = {"epsilon": 9.0, "ledger": str(place / "ledger.db")}
    return ran(place / "run", rounds=3, mechanism=GAUSSIAN, sampler=POISSON, budget=budget)


@pytest.fixture(scope="module")
def report(noised: Path) -> dict[str, Any]:
    return report_on(noised)


def assumption(report: dict[str, Any], name: str, unit: str = "client") -> str:
    rows = report["accounting"][unit]["assumptions"]
    (found,) = [row["holds"] for row in rows if row["name"] == name]
    return str(found)


def counts(report: dict[str, Any], unit: str) -> dict[Event, int]:
    found: dict[Event, int] = {}
    for row in report["accounting"][unit]["events"]:
        event = from_json(json.dumps(row["event"]))
        found[event] = found.get(event, 0) + row["times"]
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_is_there_whatever_the_mechanism(kind: str, tmp_path: Path) -> None:
    report = report_on(ran(tmp_path / "run", **KINDS[kind]))
    assert violations(report, SCHEMA, SCHEMA) == []
    units = {unit["unit"] for unit in report["unit"]["units"]}
    wanted = {"nothing": set(), "rows": {"example"}, "both": {"client", "example"}}
    assert units == wanted.get(kind, {"client"})
    assert ("INSECURE" in report["headline"]) == (kind == "insecure")
    assert ("ε = ∞" in report["headline"]) == (kind == "nothing")
    for unit in units:
        own, delta = report["numbers"][unit], report["numbers"][unit]["delta"]
        again = rdp_epsilon(counts(report, unit), delta, Adjacency(own["adjacency"]))
        assert own["epsilon_rdp"] == pytest.approx(again, abs=1e-9)
        assert 0 < own["epsilon"] <= again + 1e-6
    page = (tmp_path / "run" / "privacy.md").read_text()
    assert report["headline"] in page


@pytest.mark.parametrize(("clip", "least", "most"), [(1e-3, 0.8, 1.0), (1e3, 0.0, 0.2)])
def test_the_clipped_share_is_there_where_it_was_counted(
    clip: float, least: float, most: float, tmp_path: Path
) -> None:
    """All of 140 rows, or none of them, under noise with a deviation of 5; the seed is fixed."""
    dpsgd = {**ROWS, "clip": clip}
    counted = ran(tmp_path / "run", dpsgd=dpsgd, evaluate=CLIPPED, insecure_noise_seed=1)
    report = report_on(counted)
    assert violations(report, SCHEMA, SCHEMA) == []
    assert least <= report["utility"]["clip_fraction"] <= most
    assert "| clipped share | " in (counted / "report.md").read_text()


def test_where_it_was_not_counted_the_report_says_how_it_would_be(tmp_path: Path) -> None:
    found = report_on(ran(tmp_path / "run", **KINDS["rows"]))["utility"]["clip_fraction"]
    assert (found["value"], "evaluate.clipping" in found["reason"]) == (None, True)


def test_the_numbers_follow_from_the_events_in_the_report(report: dict[str, Any]) -> None:
    own = report["numbers"]["client"]
    events = counts(report, "client")
    assert sum(events.values()) == 3
    add_remove = Adjacency.ADD_REMOVE
    assert own["epsilon"] == pytest.approx(pld_epsilon(events, 1e-5, add_remove), abs=1e-6)
    assert own["epsilon_rdp"] == pytest.approx(rdp_epsilon(events, 1e-5, add_remove), abs=1e-9)
    assert own["second_adjacency"]["epsilon"] > own["epsilon"]
    assert own["epsilon_unamplified"] > own["epsilon"]
    falling = [row["epsilon"] for row in own["privacy_profile"]]
    assert falling == sorted(falling)
    assert 0.01 < own["trade_off"]["max_tpr_at_fpr_1_percent"] < 0.99


def test_the_headline_is_in_every_file(noised: Path, report: dict[str, Any]) -> None:
    said = f"ε = {number(report['numbers']['client']['epsilon'])} of 9 at δ = 1e-05"
    for name in ("report.md", "privacy.md", "privacy.json", "report.json"):
        assert said in (noised / name).read_text(), name
    assert "What the ε of a client rests on" in (noised / "report.md").read_text()
    registry = json.loads((noised / "privacy.registry.yaml").read_text())
    parameters = registry["privacy_loss"][0]["parameters"]
    assert parameters["epsilon"] == report["numbers"]["client"]["epsilon"]
    assert "This ε does not cover each client's update" in report["statement"]["does_not_cover"]


def test_assumptions_are_held_against_the_run(report: dict[str, Any]) -> None:
    rows = report["accounting"]["client"]["assumptions"]
    assert len({row["name"] for row in rows}) == len(rows) >= 12
    assert all(row["evidence"] for row in rows)
    assert [row["name"] for row in rows if row["holds"] != "holds"] == ["unseen_cohorts"]


def test_another_run_on_the_same_population_counts_and_is_named(
    noised: Path, report: dict[str, Any], tmp_path: Path
) -> None:
    shutil.copy(noised.parent / "ledger.db", tmp_path / "ledger.db")
    budget = {"epsilon": 9.0, "ledger": str(tmp_path / "ledger.db")}
    later = report_on(ran(tmp_path / "run", mechanism=GAUSSIAN, sampler=POISSON, budget=budget))
    own = later["numbers"]["client"]
    assert own["epsilon"] > report["numbers"]["client"]["epsilon"] > own["this_run_alone"]
    assert assumption(later, "schedule_fixed_in_advance") == "unverified"
    assert later["sampling"]["client"]["rounds"][-1]["round"] == 2


def test_a_lost_ledger_makes_no_number_smaller(
    noised: Path, report: dict[str, Any], tmp_path: Path
) -> None:
    shutil.copytree(noised, tmp_path / "run")
    path = tmp_path / "run" / "config.toml"
    kept, gone = str(noised.parent / "ledger.db"), str(tmp_path / "gone.db")
    path.write_text(path.read_text().replace(kept, gone))
    found = report_on(tmp_path / "run")
    assert found["numbers"]["client"]["epsilon"] == report["numbers"]["client"]["epsilon"]
    assert assumption(found, "rounds_in_ledger") == "does not hold"
    assert not Path(gone).exists()


def test_an_insecure_seed_is_the_first_thing_that_is_said(tmp_path: Path) -> None:
    budget = {"epsilon": 90.0, "ledger": str(tmp_path / "ledger.db")}
    folder = ran(tmp_path / "run", **KINDS["insecure"], budget=budget)
    found = report_on(folder)
    assert found["data_accesses"]["covered"]["previous_runs"] is False
    assert assumption(found, "other_runs_included") == "does not hold"
    assert found["headline"].startswith("INSECURE: noise from a test seed protects nobody")
    assert assumption(found, "noise_csprng") == assumption(found, "secret_cohorts")
    assert assumption(found, "noise_csprng") == "does not hold"
    assert "INSECURE" in (folder / "report.md").read_text()


def test_the_epsilon_of_rows_is_the_most_of_any_client(tmp_path: Path) -> None:
    table = {"dpsgd": {"noise_multiplier": {f"client-00{i}": 8.0 + i for i in range(4)}}}
    found = report_on(ran(tmp_path / "run", **table))["numbers"]["example"]
    over = found["over_clients"]
    assert over["least"] < over["median"] < over["most"] == found["epsilon"]
    assert over["clients"] == 4


@pytest.mark.parametrize("sampler", [{"kind": "everyone"}, {"kind": "poisson", "rate": 0.7}])
def test_a_client_that_lost_its_ledger_is_noticed(sampler: dict[str, Any], tmp_path: Path) -> None:
    """The others have theirs: that says nothing about the one that is gone."""
    folder = tmp_path / "run"
    report = report_on(ran(folder, dpsgd=ROWS, rounds=6, sampler=sampler))
    assert assumption(report, "rounds_in_ledger", "example") == "holds"
    shutil.rmtree(next((folder / "ledger" / "ledger-clients").glob("*/ledger.db")).parent)
    found = report_on(folder)
    assert assumption(found, "rounds_in_ledger", "example") == "does not hold"
    assert found["numbers"]["example"]["over_clients"]["clients"] == 4
    assert found["numbers"]["example"]["epsilon"] >= report["numbers"]["example"]["epsilon"]


def test_whether_a_client_declined_or_lost_what_it_had_charged_is_not_known(tmp_path: Path) -> None:
    """The last one declines the second round."""
    noise = {f"client-00{i}": 8.0 for i in range(3)} | {"client-003": 3.0}
    budget = {"epsilon": 2.5, "unit": "example"}
    budget["ledger"] = str(tmp_path / "ledger.db")
    found = report_on(ran(tmp_path / "run", dpsgd={"noise_multiplier": noise}, budget=budget))
    assert assumption(found, "rounds_in_ledger", "example") == "unverified"
    rows = found["accounting"]["example"]["assumptions"]
    (chain,) = [row["evidence"] for row in rows if row["name"] == "chain_verified"]
    assert chain.startswith("4 clients keep a ledger, with 7 entries about their rows")


def test_a_run_without_noise_on_the_same_rows_is_not_forgotten(tmp_path: Path) -> None:
    ledger = {"epsilon": 50.0, "ledger": str(tmp_path / "ledger.db")}
    unit = {"unit": "example"}
    ran(tmp_path / "a", budget={**ledger, **unit}, dpsgd=ROWS)
    found = report_on(tmp_path / "a")
    assert assumption(found, "no_unprotected_release", "example") == "holds"
    with closing(Ledger(tmp_path / "ledger.db")) as shared:
        key = Key(
            population="wine", unit=Unit.CLIENT, run="b", round=1, release="model", fingerprint="0"
        )
        shared.charge(key, NonPrivate(), Budget(epsilon=math.inf))
    found = report_on(tmp_path / "a")
    assert assumption(found, "no_unprotected_release", "example") == "does not hold"
    page = (tmp_path / "a" / "report.md").read_text()
    assert "- nothing was released about the same rows that their clients did not charge" in page


def test_a_client_whose_noise_came_too_late_has_no_bound(tmp_path: Path) -> None:
    ledger = {"epsilon": 50.0, "ledger": str(tmp_path / "ledger.db"), "unit": "example"}
    table = {"budget": ledger, "dpsgd": ROWS}
    ran(tmp_path / "bare", **table)
    found = report_on(ran(tmp_path / "noised", **table, mechanism=GAUSSIAN))
    assert found["headline"].startswith("none: ε = ∞ (client); ε = ")
    assert found["statement"]["plain"].startswith("Nothing bounds what was released about any one")


def test_accountants_that_disagree_stop_the_report(
    noised: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disagree(*_: object) -> None:
        raise AccountantsDisagree("PLD states ε = 2, above RDP's 1: one of them is wrong.")

    monkeypatch.setattr(numbers, "verdict", disagree)
    numbers._reading.cache_clear()
    with pytest.raises(AccountantsDisagree):
        write_report(RunFolder(noised), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_printed_is_never_less_than_what_was_computed() -> None:
    for epsilon in (1e-6, 0.0123401, 0.99999, 1.0, 7.2001, 99.999, 12345.6):
        assert float(number(epsilon)) >= epsilon - 1e-9
    assert number(float("inf")) == "∞"


def test_a_test_of_membership_is_bounded_at_every_epsilon() -> None:
    assert max_true_positives(0.01, [(0.0, 0.0)], None) == pytest.approx(0.01)
    assert max_true_positives(0.01, [], mu=0.0) == pytest.approx(0.01)
    assert max_true_positives(0.01, [(1000.0, 1e-5)], None) == pytest.approx(1.0)
    assert posterior(0.0) == 0.5
    assert posterior(1000.0) == 1.0


def test_cells_do_not_break_a_table() -> None:
    assert "|" not in cell({"a": [1.0, True, None], "b": {"value": None, "reason": "x"}})


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with DP-SGD as a deployment leaves it, where ledgers of simulated clients are as well."""
    place = tmp_path_factory.mktemp("deployed")
    budget = {"epsilon": 99.0, "unit": "example", "ledger": str(place / "ledger.db")}
    folder = RunFolder(ran(place / "run", **KINDS["both"], budget=budget))
    config = folder.read_config()
    folder.population.write_text(to_json(prepare_study(config).description))
    return folder.path


def test_a_deployment_says_that_sites_keep_their_ledgers_and_claims_no_epsilon_for_rows(
    deployed: Path,
) -> None:
    found = report_on(deployed)
    assert violations(found, SCHEMA, SCHEMA) == []
    for section in ("accounting", "numbers", "budget"):
        assert found[section]["example"]["value"] is None
        assert "kept by the sites, not seen here" in found[section]["example"]["reason"]
    assert "ε of a single row is kept by the sites, not seen here" in found["headline"]
    assert found["numbers"]["client"]["epsilon"] > 0
    assert found["sampling"]["client"]["population"] == 4
    assert found["side_channels"]["transport_security"].startswith("mutual TLS")


def test_a_deployment_names_no_number_of_rows(deployed: Path) -> None:
    write_report(RunFolder(deployed))
    page, privacy = (deployed / "report.md").read_text(), (deployed / "privacy.md").read_text()
    assert "wine: an unknown number of rows of 13, 3 classes, 4 clients." in page
    assert "\n| train rows |" not in page
    assert "| denominator | rows are kept by the sites, not seen here | NOT MEASURED |" in privacy
    assert "$ tacit serve" in page
    assert "It ends in other parameters: the noise is drawn anew." in page
