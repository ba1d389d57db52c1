"""What the numbers rest on, each with whether it held in this run and how that is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ..privacy.budget import Adjacency, Unit
from ..privacy.event import Covered, Event, Gaussian, NonPrivate, Poisson, WithoutReplacement
from ..simulations.custody import lasting_ledger
from .charges import Charges
from .guarantee import INSECURE
from .numbers import reading
from .unprotected import is_insecure

Holds = Literal["holds", "does not hold", "unverified"]


@dataclass(frozen=True, kw_only=True)
class Assumption:
    """One sentence, whether it `holds`, and the evidence."""

    name: str
    text: str
    holds: Holds
    evidence: str


def assumptions(unit: Unit, found: Charges) -> list[Assumption]:
    """Everything that the ε of `unit` rests on."""
    counts = _counts(unit, found)
    return [
        *_noise(found),
        *(_cohorts(found) if unit is Unit.CLIENT else _batches(found)),
        *_ledger(unit, found, counts),
        *_accounting(unit, found, counts),
    ]


def _noise(found: Charges) -> Iterator[Assumption]:
    insecure = is_insecure(found.config)
    yield Assumption(
        name="noise_csprng",
        text="the noise comes from a cryptographic generator under a key that nobody else has",
        holds="does not hold" if insecure else "holds",
        evidence=INSECURE
        if insecure
        else "AES-256 in counter mode under a key from the operating system; the seed of the run "
        "has no influence on it",
    )


def _cohorts(found: Charges) -> Iterator[Assumption]:
    sampling = found.config.sampler.sampling(_clients(found))
    amplified = sampling.scheme in ("poisson", "fixed") and found.config.mechanism_kind != "local"
    insecure = is_insecure(found.config)
    yield Assumption(
        name="secret_cohorts",
        text="cohorts are drawn by secret coins, of a cryptographic generator",
        holds="does not hold" if amplified and insecure else "holds",
        evidence=(INSECURE if insecure else "the coins are a stream of the run's secret")
        if amplified
        else "not needed: no amplification by sampling is claimed",
    )
    yield Assumption(
        name="unseen_cohorts",
        text="who is in a cohort is not seen by those against whom the guarantee holds",
        holds="unverified" if amplified else "holds",
        evidence="the coordinator knows, and events.jsonl names clients that were refused or failed: "
        "both must be kept from whoever sees the models"
        if amplified
        else "not needed: no amplification by sampling is claimed",
    )
    yield _executed(found)
    yield Assumption(
        name="population_fixed",
        text="the population has the size that was accounted for, in every round",
        holds="holds" if found.names else "unverified",
        evidence=f"{_clients(found)} clients; a resumed run is refused if "
        + ("their names change" if found.unseen else "its rows or owners changed")
        if found.names
        else "the run folder does not describe its population",
    )


def _executed(found: Charges) -> Assumption:
    """Compares the sizes of cohorts with what the scheme allows."""
    clients = _clients(found)
    sampling = found.config.sampler.sampling(clients)
    exact = {"everyone": clients, "fixed": round(sampling.expected)}.get(sampling.scheme)
    low, high = (exact, exact) if exact is not None else (0, clients)
    if sampling.scheme == "cyclic":
        low, high = int(sampling.expected), -int(-sampling.expected // 1)
    odd = [c.round for c in found.committed if not low <= c.cohort <= high]
    return Assumption(
        name="sampling_as_requested",
        text="cohorts were drawn as was requested",
        holds="does not hold" if odd else "holds",
        evidence=f"the cohort of round {odd[0]} has a size that {sampling.scheme} does not give"
        if odd
        else f"one sampler ({sampling.scheme}) draws and is accounted for; all "
        f"{len(found.committed)} cohorts have sizes that it gives",
    )


def _batches(found: Charges) -> Iterator[Assumption]:
    yield Assumption(
        name="sampling_as_requested",
        text="each row is in each batch by its own secret coin, with the probability accounted for",
        holds="does not hold" if is_insecure(found.config) else "holds",
        evidence="the trainer draws Poisson batches from the client's own secret; the number of "
        "its rows is treated as public",
    )
    yield Assumption(
        name="rows_disjoint",
        text="no two clients hold the same row: else their ε add up for it",
        holds="unverified",
        evidence="every row is dealt to one client, but equal rows in the data are not looked for",
    )


def _ledger(unit: Unit, found: Charges, counts: dict[Event, int]) -> Iterator[Assumption]:
    if unit is Unit.CLIENT:
        yield from (_whole(found), _as_planned(found), _nothing_bare(found, counts))
    else:
        yield from (_each_whole(found), _each_paid(found), _nothing_uncharged(found))
    own = lasting_ledger(found.config) is None
    runs = _runs(unit, found)
    yield Assumption(
        name="other_runs_included",
        text="other runs on the same population are included",
        holds="does not hold" if own else "holds",
        evidence="this run has a ledger of its own: no other run is counted"
        if own
        else f"the ledger has {runs} run{'s' * (runs != 1)} of this population, all of which count; "
        "what was charged elsewhere does not",
    )


def _whole(found: Charges) -> Assumption:
    return Assumption(
        name="chain_verified",
        text="the ledger is whole and unaltered",
        holds="does not hold" if found.broken else "holds",
        evidence=found.broken
        or f"{len(found.entries)} entries, each with the hash of the one before; compare the head "
        "with one that was kept elsewhere, for a chain does not show that its end is missing",
    )


def _each_whole(found: Charges) -> Assumption:
    """The report is refused if a client's chain is broken, so that those that are there are whole."""
    entries = sum(map(len, found.clients.values()))
    return Assumption(
        name="chain_verified",
        text="the ledgers of the clients are whole and unaltered",
        holds="holds" if found.clients else "unverified",
        evidence=f"{len(found.clients)} clients keep a ledger, with {entries} entries about their rows, "
        "each with the hash of the one before; a chain does not show that its end is missing",
    )


def _nothing_bare(found: Charges, counts: dict[Event, int]) -> Assumption:
    bare = counts.get(NonPrivate(), 0)
    return Assumption(
        name="no_unprotected_release",
        text="nothing was released about the same population without noise",
        holds="does not hold" if bare else "holds",
        evidence=f"the ledger has {bare} releases without noise"
        if bare
        else "none in the ledger; what no ledger was asked about is listed under data accesses",
    )


def _nothing_uncharged(found: Charges) -> Assumption:
    """Runs without DP-SGD say something about rows as well, which no client's ledger has."""
    charged = {entry.run for entries in found.clients.values() for entry in entries}
    uncharged = {entry.run for entry in found.population} - charged - {found.run}
    return Assumption(
        name="no_unprotected_release",
        text="nothing was released about the same rows that their clients did not charge",
        holds="does not hold" if uncharged else "unverified" if found.broken else "holds",
        evidence=f"{len(uncharged)} runs in the coordinator's ledger are in no client's"
        if uncharged
        else "the coordinator's ledger was altered, and may have had other runs"
        if found.broken
        else "every run in the coordinator's ledger is in those of its clients",
    )


def _each_paid(found: Charges) -> Assumption:
    rounds, unpaid, partly = len(found.committed), found.unpaid, found.partly_paid
    return Assumption(
        name="rounds_in_ledger",
        text="every training of a client is in its ledger",
        holds="does not hold" if unpaid else "unverified" if partly else "holds",
        evidence=f"{len(unpaid)} of {rounds} committed rounds are in fewer clients' ledgers than sent "
        "updates: whose ledger lacks such a round is taken to have been in it"
        if unpaid
        else f"{len(partly)} of {rounds} committed rounds are not in the ledgers of all that were "
        "asked: they declined or failed, or lost what they had charged"
        if partly
        else f"all {rounds} committed rounds are in the ledgers of all that were asked",
    )


def _as_planned(found: Charges) -> Assumption:
    missing = found.missing
    return Assumption(
        name="rounds_in_ledger",
        text="the rounds were executed as planned, and each was charged",
        holds="does not hold" if missing else "holds",
        evidence=f"{len(missing)} of {len(found.committed)} committed rounds are not in the ledger; "
        "they are charged again from the configuration"
        if missing
        else f"all {len(found.committed)} committed rounds are in the ledger, by the hash of "
        f"their entry; it has {len(found.own)} of this run",
    )


def _accounting(unit: Unit, found: Charges, counts: dict[Event, int]) -> Iterator[Assumption]:
    budget = found.config.budget_of(unit)
    units = _clients(found) if unit is Unit.CLIENT else min(found.rows.values(), default=0)
    of = "clients" if unit is Unit.CLIENT else "rows of the smallest client"
    small = units > 0 and budget.delta < 1 / units
    yield Assumption(
        name="delta_below_one_over_n",
        text="δ is below 1/n: no single unit may be given away by it",
        holds=("holds" if small else "does not hold") if units else "unverified",
        evidence=f"δ = {budget.delta:.3g}, n = {units} {of}",
    )
    discrete = any(_released(event).discrete for event in counts if _is_noised(event))
    yield Assumption(
        name="discrete_as_continuous",
        text="discrete noise is accounted for as continuous noise of the same deviation",
        holds="unverified" if discrete else "holds",
        evidence="proven for zCDP (Canonne, Kamath, Steinke 2020, theorem 4); PLD and PRV take the "
        "limit of a fine grid, here of 65536 steps a deviation"
        if discrete
        else "not needed: the noise is continuous",
    )
    runs = _runs(unit, found)
    yield Assumption(
        name="schedule_fixed_in_advance",
        text="the noise of every round was fixed before the first, so that PLD may be stated",
        holds="unverified" if runs > 1 else "holds",
        evidence=f"the ledger has {runs} runs, and a later one may have been chosen after an earlier "
        "one was seen: RDP allows that (a filter), PLD is not proven to"
        if runs > 1
        else "one run, one noise multiplier; the stop is decided by a Rényi filter",
    )
    yield _agreement(counts, budget.delta, budget.adjacency)


def _agreement(counts: dict[Event, int], delta: float, adjacency: Adjacency) -> Assumption:
    found = reading(counts, delta, adjacency)
    second = found.verdict is not None and found.verdict.prv is not None
    return Assumption(
        name="accountants_agree",
        text="two accountants that share no code agree",
        holds="holds" if second else "unverified",
        evidence="PLD is at most RDP, and within the errors of Opacus' PRV"
        if second
        else f"there is one answer only ({found.by}; {adjacency.label})",
    )


def _counts(unit: Unit, found: Charges) -> dict[Event, int]:
    if unit is Unit.CLIENT:
        return found.of_clients()
    most = found.of_example_spread()
    return found.of_examples()[most.client] if most else {}


def _runs(unit: Unit, found: Charges) -> int:
    if unit is Unit.CLIENT:
        return len({entry.run for entry in found.population})
    return len({entry.run for entries in found.clients.values() for entry in entries})


def _clients(found: Charges) -> int:
    return max(found.size, 1)


def _is_noised(event: Event) -> bool:
    return not isinstance(event, NonPrivate | Covered)


def _released(event: Event) -> Gaussian:
    """The noise at the core of `event`."""
    match event:
        case Gaussian():
            return event
        case Poisson(of=of) | WithoutReplacement(of=of):
            return of
        case _:
            return Gaussian(noise_multiplier=1.0)
