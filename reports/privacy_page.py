"""What a report says about privacy: the headline first, then what it rests on, then the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .document import (
    Block,
    Bullets,
    Fact,
    Facts,
    Grid,
    Heading,
    Paragraph,
    Picture,
    Section,
    Status,
    Strong,
    inapplicable,
    measured,
    say,
    unknown,
)
from .guarantee import number
from .plot import Figure

WIDE = 12
"""The most entries of a list that a page shows; the JSON file has them all."""
SECTIONS = {
    "setting": ("Trust", Status.DECLARED),
    "data_accesses": ("Data accesses", Status.DECLARED),
    "output": ("What is released", Status.DECLARED),
    "unit": ("Unit and contribution", Status.DECLARED),
    "verification": ("Verification", Status.DECLARED),
    "utility": ("Utility", Status.MEASURED),
    "side_channels": ("Side channels", Status.DECLARED),
    "tuning": ("Tuning", Status.DECLARED),
    "identity": ("Identity", Status.MEASURED),
}
"""What is shown as it is, in this order, after the numbers, and how it is known."""
MEASURED = {"runs_in_ledger", "executed", "clip_schedule"}
"""Fields of sections that are declared otherwise."""


def privacy_sections(report: Mapping[str, Any], figure: Figure | None) -> list[Section]:
    """What was spent and what it rests on; what no ε covers; then everything else that is known."""
    return [
        Section("Privacy", list(_privacy(report, figure))),
        Section("What is not protected", list(_uncovered(report))),
    ]


def not_held(report: Mapping[str, Any]) -> tuple[str, ...]:
    """What an ε of the report rests on and what does not hold in this run."""
    return tuple(
        row["text"]
        for unit in _units(report)
        for row in report["accounting"][unit].get("assumptions", ())
        if row["holds"] == "does not hold"
    )


def privacy_details(report: Mapping[str, Any]) -> Section:
    """Everything else that there is to know."""
    blocks = [
        *(block for unit in _units(report) for block in _how(report, unit)),
        *(
            block
            for name, (title, status) in SECTIONS.items()
            for block in (Heading(title), Facts(tuple(_facts(report[name], status))))
        ),
    ]
    return Section("Privacy in detail", blocks)


def cell(value: Any) -> str:  # noqa: ANN401 - JSON
    """A value of the report in one cell.

    >>> cell({"value": None, "reason": "not measured"}), cell("infinite"), cell(0.25), cell([1, 2])
    ('– (not measured)', '∞', '0.25', '1, 2')
    """
    match value:
        case {"value": None, "reason": str(reason)}:
            return f"– ({reason})"
        case "infinite":
            return "∞"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.4g}"
        case Mapping():
            return "; ".join(f"{_words(str(name))}: {cell(own)}" for name, own in value.items())
        case str() | int():
            return str(value)
        case [*many]:
            shown = ", ".join(map(cell, many[:WIDE]))
            return f"{shown} … ({len(many)} in all)" if len(many) > WIDE else shown or "none"
        case _:
            return "–"


def fact(name: str, value: Any, status: Status) -> Fact:  # noqa: ANN401 - JSON
    """A field of the report: known in this way, or not known, or about nothing that there is.

    >>> fact("canary", {"value": None, "reason": "not run"}, Status.MEASURED).status
    <Status.NOT_MEASURED: 'NOT MEASURED'>
    """
    match value:
        case {"value": None, "reason": str(reason), "status": Status.NOT_APPLICABLE}:
            return inapplicable(name, reason)
        case {"value": None, "reason": str(reason)}:
            return unknown(name, reason)
        case _:
            return Fact(name=name, value=cell(value), status=status)


def _units(report: Mapping[str, Any]) -> list[str]:
    return [unit["unit"] for unit in report["unit"]["units"]]


def _privacy(report: Mapping[str, Any], figure: Figure | None) -> Iterator[Block]:
    yield Paragraph((Strong(report["headline"]),), notice=True)
    yield say(report["statement"]["plain"])
    if figure:
        yield Picture(figure)
    else:
        yield Facts((_no_figure(report),))
    for unit in _units(report):
        if "assumptions" in report["accounting"][unit]:
            yield from (*_numbers(report, unit), *_assumptions(report, unit))
        else:
            yield Heading(f"ε of a {_whose(unit)}")
            yield Facts((fact("ε", report["numbers"][unit], Status.MEASURED),))


def _no_figure(report: Mapping[str, Any]) -> Fact:
    if _units(report):
        return unknown("ε by round", "nothing was charged here that an accountant can count")
    return inapplicable("ε by round", "no noise protects anybody, so there is no ε")


def _numbers(report: Mapping[str, Any], unit: str) -> Iterator[Block]:
    found, spent = report["numbers"][unit], report["budget"][unit]
    whom = "a client" if unit == "client" else "a row of the client that spent most"
    yield Heading(f"ε of {whom}")
    yield say(
        f"Neighbours: {_words(found['adjacency'])}. δ = {found['delta']:.3g}: {found['delta_rationale']}."
    )
    second, trade = found["second_adjacency"], found["trade_off"]
    yield Facts(
        (
            _epsilon("ε, stated", found["epsilon"]),
            _epsilon("by PLD", found["epsilon_pld"]),
            _epsilon("by RDP, which decides when to stop", found["epsilon_rdp"]),
            _epsilon("by PRV, at most", found["epsilon_prv_upper"]),
            _epsilon(f"if neighbours are {_words(second['adjacency'])}", second["epsilon"]),
            _epsilon("if everybody knew the samples", found["epsilon_unamplified"]),
            _epsilon("this run alone", found["this_run_alone"]),
            fact("ρ (zCDP)", found["rho_zcdp"], Status.MEASURED),
            fact("μ (Gaussian DP)", found["mu_gdp"], Status.MEASURED),
            _percent(
                "most that a test detects at 1 % false alarms", trade["max_tpr_at_fpr_1_percent"]
            ),
            _percent("… at 0.1 %", trade["max_tpr_at_fpr_0.1_percent"]),
            _percent("a belief of 50 % can become", trade["posterior_from_prior_50_percent"]),
            *_over_clients(found["over_clients"]),
        )
    )
    yield Grid(
        caption="The privacy profile",
        status=Status.MEASURED,
        head=("at δ", "ε"),
        rows=[(f"{row['delta']:.3g}", _shown(row["epsilon"])) for row in found["privacy_profile"]],
    )
    yield Heading(f"Budget of a {_whose(unit)}")
    agreed = {"epsilon", "delta", "caps_per_client", "reset_policy"}
    yield Facts(
        tuple(
            fact(_words(name), own, Status.DECLARED if name in agreed else Status.MEASURED)
            for name, own in spent.items()
        )
    )


def _over_clients(found: Mapping[str, Any]) -> Iterator[Fact]:
    """ε of the clients, where they differ."""
    if "clients" in found:
        names = ("least", "median", "most")
        values = ", ".join(f"{_shown(found[name])} {name}" for name in names)
        yield measured(f"over {found['clients']} clients", values)


def _assumptions(report: Mapping[str, Any], unit: str) -> Iterator[Block]:
    rows = report["accounting"][unit]["assumptions"]
    held = sum(row["holds"] == "holds" for row in rows)
    yield Heading(f"What the ε of a {_whose(unit)} rests on")
    yield say(f"{held} of {len(rows)} assumptions hold.")
    order = ("does not hold", "unverified", "holds")
    ordered = sorted(rows, key=lambda row: order.index(row["holds"]))
    yield Grid(
        caption="Each assumption, whether it held in this run, and how that is known",
        status=Status.MEASURED,
        head=("assumption", "holds", "evidence"),
        rows=[(row["text"], row["holds"], row["evidence"]) for row in ordered],
        numbers=False,
    )


def _how(report: Mapping[str, Any], unit: str) -> Iterator[Block]:
    yield Heading(f"How a {_whose(unit)} is protected")
    sampling = {k: v for k, v in report["sampling"][unit].items() if k != "rounds"}
    yield Facts(tuple(_facts({**report["mechanism"][unit], **sampling}, Status.DECLARED)))
    if "events" not in report["accounting"][unit]:
        return
    events = report["accounting"][unit]["events"]
    yield say("Charged, in order:")
    listed = [f"{row['times']} × {cell(row['event'])}" for row in events[:WIDE]]
    more = [f"and {len(events) - WIDE} more, in privacy.json"] if len(events) > WIDE else []
    yield Bullets((*listed, *more))


def _uncovered(report: Mapping[str, Any]) -> Iterator[Block]:
    yield say("No ε covers these:" if _units(report) else "These leave a client as they are:")
    yield Bullets(tuple(report["data_accesses"]["unprotected_quantities"]))
    if not report["data_accesses"]["covered"]["evaluation"]:
        yield say("This report is made of them: it names clients and says how each of them fares.")


def _facts(section: Mapping[str, Any], status: Status) -> Iterator[Fact]:
    """Each field; those of a table within, each for itself."""
    for name, value in section.items():
        own = Status.MEASURED if name in MEASURED else status
        if name == "unprotected_quantities":
            continue
        if isinstance(value, Mapping) and "reason" not in value and name != "parameters":
            yield from (fact(f"{_words(name)}: {_words(k)}", v, own) for k, v in value.items())
        else:
            yield fact(_words(name), value, own)


def _epsilon(name: str, value: Any) -> Fact:  # noqa: ANN401 - JSON
    return (
        measured(name, number(value))
        if isinstance(value, float)
        else fact(name, value, Status.MEASURED)
    )


def _shown(value: Any) -> str:  # noqa: ANN401 - JSON
    return number(value) if isinstance(value, float) else cell(value)


def _percent(name: str, value: Any) -> Fact:  # noqa: ANN401 - JSON
    shown = f"{100 * value:.3g} %" if isinstance(value, float) else value
    return fact(name, shown, Status.MEASURED)


def _whose(unit: str) -> str:
    return "client" if unit == "client" else "row"


def _words(name: str) -> str:
    adjacency = {"add_remove": "add/remove", "replace_one": "replace-one", "zero_out": "zero-out"}
    return adjacency.get(name, name.replace("_", " "))
