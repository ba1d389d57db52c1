"""A privacy report in the form of the OpenDP deployments registry (opendp/deployments-registry-data).

The registry reads YAML, and JSON is YAML: so no YAML writer is needed. Keys are those of its
`schemas/deployments-schema.yaml`; what a run cannot know, such as who is responsible, is left null.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .privacy_how import Table
from .privacy_units import is_finite


def registry_entry(report: Mapping[str, Any]) -> Table:
    """The entry for the run that `report` is about."""
    return {
        "name": report["identity"]["folder"],
        "curators": [],
        "intended_use": None,
        "data_product": {
            "type": "machine-learning model",
            "region": None,
            "sector": None,
            "dates": [report["identity"]["started"], report["identity"]["ended"]],
        },
        "dp_variant": _variant(report),
        "privacy_loss": [
            _loss(report, unit["unit"], unit["adjacency"]) for unit in report["unit"]["units"]
        ],
        "deployment_model": {
            "model_name": report["setting"]["model"],
            "actors": report["setting"]["trust"],
            "release_type": "every round's model",
            "data_source_type": "static",
            "access_type": "non-interactive",
        },
        "accounting": {
            "post_processing": "federated optimisation of the released means",
            "composition": _composition(report),
        },
        "implementation": _implementation(report),
        "administrative": {
            "tier": None,
            "schema_version": report["identity"]["schema_version"],
            "run": report["identity"]["run"],
            "ledger_head": report["identity"]["ledger_head"],
            "statement": report["statement"]["plain"],
            "does_not_cover": report["statement"]["does_not_cover"],
        },
    }


def _variant(report: Mapping[str, Any]) -> Table:
    return {
        "variant_name": "approximate differential privacy",
        "data_domain": report["unit"],
        "unprotected_quantities": report["data_accesses"]["unprotected_quantities"],
    }


def _loss(report: Mapping[str, Any], unit: str, adjacency: str) -> Table:
    found = report["numbers"][unit]
    return {
        "privacy_unit": unit,
        "parameters": {
            "epsilon": _number(found.get("epsilon")),
            "delta": found.get("delta"),
            "rho": _number(found.get("rho_zcdp")),
        },
        "details": f"adjacency {adjacency}; {found.get('delta_rationale') or found['reason']}",
    }


def _composition(report: Mapping[str, Any]) -> dict[str, Any]:
    return {
        unit["unit"]: report["accounting"][unit["unit"]].get("composition")
        for unit in report["unit"]["units"]
    }


def _implementation(report: Mapping[str, Any]) -> Table:
    return {
        "preprocessing_and_hyperparameter_tuning": report["tuning"]["accounted"],
        "mechanisms": [
            {
                "name": report["mechanism"][unit["unit"]]["name"],
                "library": "tacit",
                "version": report["identity"]["framework"]["version"],
                "parameters": report["mechanism"][unit["unit"]]["parameters"],
                "timing": report["side_channels"]["timing"],
                "float": report["side_channels"]["floating_point"],
                "platform": report["identity"]["libraries"],
            }
            for unit in report["unit"]["units"]
        ],
        "justification": None,
    }


def _number(value: object) -> object:
    return value if is_finite(value) else None
