"""Numbers as people read them, and what goes into tables: the same on a page and on a terminal."""

from __future__ import annotations

from statistics import median

from ..simulations.config import Config
from ..simulations.description import Description
from .summary import Scores, Summary


def number(value: float | None) -> str:
    """Three decimals, or as many digits as a large or a tiny number needs.

    >>> number(0.5), number(1234.5), number(0.00012), number(2e13), number(None)
    ('0.500', '1,234.5', '0.00012', '2e+13', '–')
    """
    if value is None:
        return "–"
    if value and not 0.001 <= abs(value) < 1e6:
        return f"{value:.3g}"
    return f"{value:.3f}" if abs(value) < 100 else f"{value:,.1f}"


def settings(config: Config) -> list[tuple[str, str]]:
    """A configuration in brief: what a reader asks first, and its value."""
    training = config.train
    amount = f"{training.steps} steps" if training.steps else f"{training.epochs or 1} epochs"
    return [
        ("data", config.data.name or str(config.data.path)),
        ("held out", _held_out(config)),
        ("standardised", _STANDARDISED[config.data.standardise]),
        ("partition", _phrase(config, "partition")),
        ("task", config.task or f"built in, model {_phrase(config, 'model')}"),
        ("strategy", _phrase(config, "strategy")),
        ("mechanism", _phrase(config, "mechanism")),
        *([("DP-SGD", _dpsgd(config))] if config.dpsgd else []),
        *([("budget", _budget(config))] if config.budget else []),
        ("sampler", _phrase(config, "sampler")),
        (
            "local training",
            f"{training.optimizer}, learning rate {training.learning_rate:g} "
            f"({training.schedule}), batches of {training.batch_size}, {amount} a round",
        ),
        ("evaluation", _evaluation(config)),
        ("rounds", str(config.rounds)),
        ("seed", str(config.seed)),
    ]


_STANDARDISED = {
    "pooled": "columns by the mean and deviation over all clients",
    "client": "columns by each client's own mean and deviation",
    "none": "no",
}


def _held_out(config: Config) -> str:
    seed = config.data.split_seed
    by = f"split_seed {seed}" if seed is not None else f"seed {config.seed}"
    return f"{config.data.held_out:.4g} of each client's rows, chosen by {by}"


def _evaluation(config: Config) -> str:
    found = config.evaluate
    groups = ", ".join(found.groups) if found.groups is not None else "of the data"
    noise = found.noise
    said = (
        "exact counts"
        if noise is None
        else f"noise of {noise.multiplier:g} times the most a member adds"
    )
    return f"every {found.every} rounds and after the last, groups {groups or 'none'}, {said}"


def _budget(config: Config) -> str:
    found = config.budget
    if found is None:
        return "none"
    return f"{config.budget_of(found.unit)}, for each {found.unit}, ledger {found.ledger}"


def _dpsgd(config: Config) -> str:
    terms = config.dpsgd
    if terms is None:
        return "none"
    given = terms.noise_multiplier
    noise = "by client" if isinstance(given, dict) else f"{given:g}"
    return (
        f"clip {terms.clip:g} ({terms.clipping}), noise multiplier {noise}, engine {terms.engine}"
    )


def models(summary: Summary) -> list[tuple[str, Scores]]:
    """The models that are compared, those that there are."""
    every = (
        ("federated", summary.federated),
        ("pooled training", summary.pooled_training),
        ("each client alone", summary.each_alone),
    )
    return [(name, scores) for name, scores in every if scores]


def comparison(summary: Summary) -> tuple[list[str], list[list[str]]]:
    """The head and the rows of the table that sets the models side by side."""
    compared = models(summary)
    head = [
        "model",
        "held-out rows",
        "pooled rows",
        "mean of clients",
        "sd",
        "worst tenth",
        "worst",
    ]
    rows = [[name, *_cells(scores)] for name, scores in compared]
    if all(scores.pooled is None for _, scores in compared):
        return [*head[:2], *head[3:]], [[*row[:2], *row[3:]] for row in rows]
    return head, rows


def _cells(scores: Scores) -> list[str]:
    worst = f"{number(scores.worst)} ({scores.worst_client})" if scores.worst_client else "–"
    between = (scores.mean, scores.deviation, scores.worst_tenth)
    return [number(scores.rows), number(scores.pooled), *map(number, between), worst]


def population_line(description: Description) -> str:
    """What the data is, in one line."""
    shape = " × ".join(map(str, description.shape)) or "one number"
    kind = f"{description.classes} classes" if description.classes else "regression"
    official = f", {description.official:,} official test rows" if description.official else ""
    amount = f"{description.rows:,}" if description.known else "an unknown number of"
    return (
        f"{description.name}: {amount} rows of {shape}, {kind}, "
        f"{len(description.clients)} clients{official}."
    )


def holdings(description: Description) -> list[tuple[str, str, str, str, str]]:
    """How train rows, held-out rows and classes are distributed over the clients that are known."""
    clients = description.known.values()
    rows = [
        ("train rows", [own.train for own in clients], True),
        ("held-out rows", [own.held_out for own in clients], True),
    ]
    if description.classes:
        rows.append(("classes", [own.classes for own in clients], False))
    return [
        (
            name,
            f"{min(sizes):,}",
            f"{median(sizes):,.4g}",
            f"{max(sizes):,}",
            f"{sum(sizes):,}" if adds else f"{description.classes:,}",
        )
        for name, sizes, adds in rows
    ]


def _phrase(config: Config, table: str) -> str:
    """A table of the configuration in one line: its kind, then what else it says."""
    chosen = config.model_dump(mode="json")[table]
    told = {name: value for name, value in chosen.items() if not isinstance(value, dict)}
    for value in chosen.values():
        told |= value if isinstance(value, dict) else {}
    rest = [
        f"{name} {value}" for name, value in told.items() if name != "kind" and value is not None
    ]
    return ", ".join([chosen["kind"], *rest])
