"""The privacy-budget report as a page: the headline first, then what it rests on, then the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .guarantee import number
from .tables import table

WIDE = 12
"""The most entries of a list that a page shows; the JSON file has them all."""
SECTIONS = {
    "setting": "Trust",
    "data_accesses": "Data accesses",
    "output": "What is released",
    "unit": "Unit and contribution",
    "verification": "Verification",
    "utility": "Utility",
    "side_channels": "Side channels",
    "tuning": "Tuning",
    "identity": "Identity",
}
"""What is shown as it is, in this order, after the numbers."""


def render_privacy(report: Mapping[str, Any], figure: str | None) -> str:
    """The page; `figure` is the name of the file with ε over rounds, if there is one."""
    units = [unit["unit"] for unit in report["unit"]["units"]]
    seen = [unit for unit in units if "assumptions" in report["accounting"][unit]]
    sections = [
        _head(report, figure),
        *(_numbers(report, unit) for unit in seen),
        *(_assumptions(report, unit) for unit in seen),
        *(_unseen(report, unit) for unit in units if unit not in seen),
        *(_how(report, unit) for unit in units),
        _uncovered(report),
        *(_plain(title, report[name]) for name, title in SECTIONS.items()),
    ]
    return "\n\n".join("\n".join(section) for section in sections) + "\n"


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


def _head(report: Mapping[str, Any], figure: str | None) -> Iterator[str]:
    yield f"# Privacy of run {report['identity']['folder']}"
    yield ""
    yield f"**{report['headline']}**"
    yield ""
    yield report["statement"]["plain"]
    if figure:
        yield f"\n![ε by round]({figure})"


def _numbers(report: Mapping[str, Any], unit: str) -> Iterator[str]:
    found = report["numbers"][unit]
    second, trade = found["second_adjacency"], found["trade_off"]
    whom = "a client" if unit == "client" else "a row of the client that spent most"
    yield f"## ε of {whom}"
    yield ""
    yield f"Neighbours: {_words(found['adjacency'])}."
    yield f"δ = {found['delta']:.3g}: {found['delta_rationale']}."
    yield ""
    rows = [
        ("ε, stated", _epsilon(found["epsilon"])),
        ("by PLD", _epsilon(found["epsilon_pld"])),
        ("by RDP, which decides when to stop", _epsilon(found["epsilon_rdp"])),
        ("by PRV, at most", _epsilon(found["epsilon_prv_upper"])),
        (f"if neighbours are {_words(second['adjacency'])}", _epsilon(second["epsilon"])),
        ("if everybody knew the samples", _epsilon(found["epsilon_unamplified"])),
        ("this run alone", _epsilon(found["this_run_alone"])),
        ("ρ (zCDP)", cell(found["rho_zcdp"])),
        ("μ (Gaussian DP)", cell(found["mu_gdp"])),
        (
            "most that a test detects at 1 % false alarms",
            _percent(trade["max_tpr_at_fpr_1_percent"]),
        ),
        ("… at 0.1 %", _percent(trade["max_tpr_at_fpr_0.1_percent"])),
        ("a belief of 50 % can become", _percent(trade["posterior_from_prior_50_percent"])),
        *_over_clients(found["over_clients"]),
    ]
    yield from table(("number", "value"), rows)
    yield ""
    profile = [
        (f"{row['delta']:.3g}", _epsilon(row["epsilon"])) for row in found["privacy_profile"]
    ]
    yield from table(("at δ", "ε"), profile)
    yield ""
    budget = report["budget"][unit]
    yield from table(
        ("budget", "value"), [(_words(name), cell(own)) for name, own in budget.items()]
    )


def _unseen(report: Mapping[str, Any], unit: str) -> Iterator[str]:
    yield f"## ε of a {'client' if unit == 'client' else 'row'}"
    yield ""
    yield f"Not known here: {report['numbers'][unit]['reason']}."


def _over_clients(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """ε of the clients, where they differ."""
    if "clients" in found:
        values = ", ".join(
            f"{_epsilon(found[name])} {name}" for name in ("least", "median", "most")
        )
        yield f"over {found['clients']} clients", values


def _assumptions(report: Mapping[str, Any], unit: str) -> Iterator[str]:
    rows = report["accounting"][unit]["assumptions"]
    held = sum(row["holds"] == "holds" for row in rows)
    yield f"## What the ε of a {unit} rests on"
    yield ""
    yield f"{held} of {len(rows)} assumptions hold."
    yield ""
    ordered = sorted(
        rows, key=lambda row: ("does not hold", "unverified", "holds").index(row["holds"])
    )
    cells = [(row["text"], _marked(row["holds"]), row["evidence"]) for row in ordered]
    yield from table(("assumption", "holds", "evidence"), cells, numbers=False)


def _how(report: Mapping[str, Any], unit: str) -> Iterator[str]:
    yield f"## How a {unit} is protected"
    yield ""
    sampling = {k: v for k, v in report["sampling"][unit].items() if k != "rounds"}
    rows = [*report["mechanism"][unit].items(), *sampling.items()]
    yield from table(("what", "value"), [(_words(k), cell(v)) for k, v in rows], numbers=False)
    if "events" not in report["accounting"][unit]:
        return
    yield ""
    events = report["accounting"][unit]["events"]
    yield "Charged, in order:"
    yield ""
    yield from (f"- {row['times']} × {cell(row['event'])}" for row in events[:WIDE])
    if len(events) > WIDE:
        yield f"- and {len(events) - WIDE} more, in `privacy.json`"


def _uncovered(report: Mapping[str, Any]) -> Iterator[str]:
    yield "## What no ε covers"
    yield ""
    yield from (f"- {what}" for what in report["data_accesses"]["unprotected_quantities"])


def _plain(title: str, section: Mapping[str, Any]) -> Iterator[str]:
    yield f"## {title}"
    yield ""
    rows = [(_words(k), cell(v)) for k, v in section.items() if k != "unprotected_quantities"]
    yield from table(("what", "value"), rows, numbers=False)


def _epsilon(value: Any) -> str:  # noqa: ANN401 - JSON
    return number(value) if isinstance(value, float) else cell(value)


def _percent(value: Any) -> str:  # noqa: ANN401 - JSON
    return f"{100 * value:.3g} %" if isinstance(value, float) else cell(value)


def _marked(holds: str) -> str:
    return holds if holds == "holds" else f"**{holds}**"


def _words(name: str) -> str:
    adjacency = {"add_remove": "add/remove", "replace_one": "replace-one", "zero_out": "zero-out"}
    return adjacency.get(name, name.replace("_", " "))


def lines_of(report: Mapping[str, Any]) -> Sequence[str]:
    """The section of the run's own report: the headline, and where the rest is."""
    rows = [
        row
        for unit in report["unit"]["units"]
        for row in report["accounting"][unit["unit"]].get("assumptions", ())
    ]
    open_ = [row["text"] for row in rows if row["holds"] == "does not hold"]
    found = [f"**{report['headline']}**", "", report["statement"]["plain"]]
    if open_:
        found += ["", "It rests on what does not hold here:", "", *(f"- {text}" for text in open_)]
    return [*found, "", "Every number, and what it rests on: [privacy.md](privacy.md)."]
