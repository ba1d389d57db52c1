"""The privacy-budget report: everything that a reader needs to check what is claimed, in one table.

Its sections are A to O of the published schema, `privacy.schema.json`. What is not known is there too, as
null and the reason.
"""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from .. import __version__
from ..privacy.budget import Unit
from ..simulations.custody import lasting_ledger
from .charges import Charges
from .guarantee import INSECURE, Bound, is_noised
from .numbers import posterior
from .privacy_how import Table, absent, inapplicable, mechanism, sampling
from .privacy_units import accounting, budget, by_unit, figures, if_seen
from .records import Records
from .summary import Summary
from .unprotected import is_insecure, statement, unprotected

SCHEMA_VERSION = "1.0"
LIBRARIES = ("dp-accounting", "opacus", "numpy", "torch", "cryptography")
TESTS = (
    "tests/privacy",
    "tests/contracts/mechanism.py",
    "tests/client/test_dpsgd.py",
    "tests/client/test_dp_noise.py",
    "tests/reports/test_privacy.py",
)


def privacy_report(records: Records, summary: Summary, found: Charges) -> Table:
    """The report as JSON. Raises `AccountantsDisagree`, for then no number may be stated."""
    bounds = found.bounds()
    return {
        "headline": headline(found, bounds),
        "identity": _identity(records, found),
        "setting": _setting(records),
        "data_accesses": _data_accesses(records, found),
        "output": _output(),
        "unit": _unit(records, found),
        "mechanism": by_unit(found, mechanism),
        "sampling": by_unit(found, sampling),
        "accounting": by_unit(found, if_seen(accounting)),
        "numbers": by_unit(found, if_seen(figures)),
        "budget": by_unit(found, if_seen(budget)),
        "verification": _verification(),
        "utility": _utility(records, summary),
        "side_channels": _side_channels(records),
        "tuning": _tuning(),
        "statement": _statement(records, found, bounds),
    }


def headline(found: Charges, bounds: list[Bound]) -> str:
    """The result in one line; first what makes it worthless."""
    said = "; ".join(map(str, bounds)) or "no privacy guarantee: ε = ∞"
    if found.broken:
        said = f"THE LEDGER WAS ALTERED, so that more may have been spent than this ({said})"
    return f"{INSECURE} ({said})" if is_insecure(found.config) else said


def _identity(records: Records, found: Charges) -> Table:
    """A."""
    return {
        "schema_version": SCHEMA_VERSION,
        "run": found.run or absent("no entry of the ledger belongs to this run"),
        "folder": records.folder.name,
        "started": _date(records.started),
        "ended": _date(records.ended),
        "framework": {"name": "tacit", "version": records.environment.get("tacit", __version__)},
        "libraries": {name: _version(name) for name in LIBRARIES},
        "git_commit": absent(
            "not recorded: the configuration's hash and tacit's version name the run"
        ),
        "config_hash": records.config.fingerprint(),
        "ledger": found.ledger,
        "ledger_head": found.head,
        "ledger_length": len(found.entries),
        "signer_key": absent("heads are not signed: keep them elsewhere to notice a rollback"),
    }


def _setting(records: Records) -> Table:
    """B."""
    kind, rows = records.config.mechanism_kind, records.config.dpsgd is not None
    local = kind == "local"
    models = [
        *(["central"] if kind in ("gaussian", "adaptive", "banded") else []),
        *(["local"] if local else []),
        *(["example-level at the client"] if rows else []),
    ]
    return {
        "model": models or ["none"],
        "trust": {
            "server": "trusted with nothing but to count how often it asks"
            if local
            else "trusted to add the noise, keep cohorts secret and forget the sums"
            if is_noised(records.config, Unit.CLIENT)
            else "trusted with the updates",
            "clients": "trusted to noise their own data, for their own sake"
            if rows or local
            else "not trusted: whatever they send is clipped where it is added",
            "aggregation_parties": inapplicable("there are none: the coordinator adds"),
            "minimum_honest_fraction": inapplicable("there is no secure aggregation"),
        },
        "sees_unnoised_sum": "nobody" if local else "the coordinator",
        "adversary": "whoever sees the model of every round, and knows all data but one unit's",
    }


def _data_accesses(records: Records, found: Charges) -> Table:
    """C."""
    config = records.config
    shape = records.population.shape if records.population else None
    pooled = config.data.standardise == "pooled" and (shape is None or len(shape) == 1)
    return {
        "covered": {
            "training": any(is_noised(config, unit) for unit in Unit),
            "tuning": False,
            "evaluation": config.evaluate.noise is not None,
            "preprocessing": not pooled,
            "feature_selection": inapplicable("tacit selects none"),
            "early_stopping": inapplicable("a run stops after its rounds, or at its budget"),
            "statistics": config.evaluate.noise is not None,
            "previous_runs": lasting_ledger(config) is not None,
        },
        "runs_in_ledger": len({entry.run for entry in found.entries}),
        "unprotected_quantities": list(unprotected(config, shape)),
    }


def _output() -> Table:
    """D."""
    return {
        "final_model": True,
        "intermediate_models": True,
        "per_round_aggregates": True,
        "per_client_updates": False,
        "covered": "the noised mean of every round, and so every model made of them",
    }


def _unit(records: Records, found: Charges) -> Table:
    """E."""
    config, clients = records.config, len(found.names)
    separation = config.sampler.sampling(clients).separation if clients else 1
    rows = list(found.rows.values())
    return {
        "units": [
            {"unit": str(unit), "adjacency": str(config.budget_of(unit).adjacency)}
            for unit in Unit
            if is_noised(config, unit)
        ],
        "contribution_bounds": {
            "max_rounds_per_client": -(-config.rounds // separation),
            "min_separation": separation,
            "max_examples_per_client": inapplicable("a client's norm is bounded, not its rows")
            if not rows
            else max(rows),
        },
    }


def _verification() -> Table:
    """K."""
    return {
        "unit_tests": list(TESTS),
        "mechanism_audit": absent("not measured: `tacit audit mechanism` measures it"),
        "one_shot_canary": absent("not measured"),
        "known_defects": [
            "RDP in dp_accounting 0.6 does not double the sensitivity of a Gaussian for replace-one "
            "(google/differential-privacy#378): tacit doubles it by hand",
        ],
    }


def _utility(records: Records, summary: Summary) -> Table:
    """L."""
    reached, pooled = summary.federated, summary.pooled_training
    noised = any(is_noised(records.config, unit) for unit in Unit)
    none = absent("nothing was measured")
    without = absent('pooled training was not asked for: baselines = ["pooled"]')
    return {
        "rate": summary.rate,
        "with_privacy": (none if reached.rows is None else reached.rows)
        if noised
        else inapplicable("the run is not private"),
        "without_privacy": without
        if pooled is None
        else {"what": "pooled training, without noise", "value": pooled.rows},
        "worst_client": none if reached.worst is None else reached.worst,
        "group_fairness": _groups(records),
        "evaluation_is_private": records.config.evaluate.noise is not None,
        "clip_fraction": _clip_fraction(records),
    }


def _groups(records: Records) -> Table:
    """Where gaps between groups are reported, if any were counted."""
    found = records.assessment
    names = [each.name for each in found.attributes if len(each.groups) > 1] if found else []
    if not names:
        return absent("nothing was counted by group")
    return {"attributes": names, "noised": bool(found and found.deviation), "in": "report.json"}


def _clip_fraction(records: Records) -> Any:  # noqa: ANN401 - JSON
    """Of the train rows, from noised counts; or why it is not known."""
    if records.config.mechanism_kind == "adaptive":
        return absent("the adaptive clip norm shows it, noised: see clip_schedule")
    if records.config.dpsgd is None:
        return absent("withheld: it is not released")
    overall = records.assessment.overall if records.assessment else {}
    if "clipped_share" not in overall:
        return absent("not measured: evaluate.clipping = true counts it, with noise")
    share = overall["clipped_share"]
    return absent(f"UNDEFINED: {share.undefined}") if share.value is None else share.value


def _side_channels(records: Records) -> Table:
    """M."""
    hardened = bool(records.config.model_dump(mode="json")["mechanism"].get("hardened"))
    return {
        "floating_point": "integer grid and exact discrete Gaussian"
        if hardened
        else "sums are exact integers; the noise is float64, whose low bits may tell the sum: "
        "mechanism.hardened = true closes that",
        "timing": "not protected",
        "log_redaction": "events.jsonl has counts, names of refused clients and no statistics; "
        "the report itself names clients and their rates",
        "transport_security": "mutual TLS; without it (--insecure) a coordinator listens to its own "
        "machine alone"
        if records.is_deployment
        else inapplicable("a simulation on one machine"),
        "attestation": inapplicable("none"),
        "retention": "the secret of the run and its sums are deleted when it ends, but what the disk has "
        "freed is not overwritten; a client that noises by itself keeps its own secret, which must "
        "stay with it",
    }


def _tuning() -> Table:
    """N."""
    return {
        "trials": absent("not recorded; runs in the same ledger are charged like this one"),
        "accounted": "not covered, but for runs in the same ledger, which all count",
    }


def _statement(records: Records, found: Charges, bounds: list[Bound]) -> Table:
    """O."""
    config = records.config
    shape = records.population.shape if records.population else None
    plain = statement(config, bounds)
    if any(bound.finite for bound in bounds):
        strongest = min(bounds, key=lambda bound: bound.epsilon)
        plain += (
            f" Someone who sees every model and finds it as likely as not that a {whose(strongest)} "
            f"took part can become {_sure(strongest.epsilon)} of it, but for a chance of "
            f"{strongest.budget.delta:.3g}."
        )
        plain += _basis(found)
    return {
        "plain": plain,
        "does_not_cover": "This ε does not cover " + "; ".join(unprotected(config, shape)) + "."
        if bounds
        else "There is no ε; these leave a client as they are: "
        + "; ".join(unprotected(config, shape))
        + ".",
    }


def whose(bound: Bound) -> str:
    """What a reader calls the unit."""
    return "client" if bound.unit is Unit.CLIENT else "row"


def _basis(found: Charges) -> str:
    if lasting_ledger(found.config) is None:
        return " This counts this run alone: other runs on the same data add to it."
    runs = len({entry.run for entry in found.population}) or 1
    return f" This counts every run in the ledger: {runs} of {found.config.population_name!r}."


def _sure(epsilon: float) -> str:
    share = 100 * posterior(epsilon)
    return f"at most {share:.2f} % sure" if share < 99.995 else "practically sure"


def _date(stamp: float | None) -> Any:  # noqa: ANN401 - JSON
    if stamp is None:
        return absent("not in events.jsonl")
    return datetime.fromtimestamp(stamp, UTC).isoformat(timespec="seconds")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
