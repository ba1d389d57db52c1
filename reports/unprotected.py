"""What a reader must know about privacy before anything else: what is bounded, and what is not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..privacy.budget import Unit
from ..simulations.config import Config
from ..strategies import Ditto, Scaffold
from .guarantee import INSECURE, UNSEEN, Bound, is_noised, number

NOTHING = (
    "No privacy guarantee: the mean is not noised, and no ε bounds what it says about a client."
)
WHOM = {
    Unit.CLIENT: "any one client, with everything it holds",
    Unit.EXAMPLE: "any one row of any client",
}


def statement(config: Config, bounds: Sequence[Bound]) -> str:
    """What the releases say at most about whom, in a sentence or two."""
    parts = [INSECURE + "."] if is_insecure(config) else []
    what = "models" if config.evaluate.noise is None else "models and counts"
    parts += [_sentence(bound, what) for bound in bounds] or [NOTHING]
    return " ".join(parts)


def _sentence(bound: Bound, what: str) -> str:
    if bound.unseen:
        return (
            f"What was released about {WHOM[bound.unit]} is counted in ledgers that are {UNSEEN}: ask "
            "each site for `tacit audit ledger`."
        )
    if not bound.finite:
        return (
            f"Nothing bounds what was released about {WHOM[bound.unit]}: some of it was not noised, or "
            "no accountant knows it."
        )
    return (
        f"About {WHOM[bound.unit]}, all released {what} together say at most "
        f"ε = {number(bound.epsilon)} at δ = {bound.budget.delta:.3g} "
        f"({bound.budget.adjacency.label})."
    )


def unprotected(config: Config, shape: Sequence[int] | None = None) -> tuple[str, ...]:
    """What leaves a client as it is, or is decided by its data, and no ε covers.

    `shape` is that of a row, where it is known.
    """
    return tuple(_unprotected(config, shape))


def is_insecure(config: Config) -> bool:
    """Whether anybody could take the noise off again."""
    return config.insecure_noise_seed is not None


def _unprotected(config: Config, shape: Sequence[int] | None) -> Iterator[str]:
    noised = any(is_noised(config, unit) for unit in Unit)
    if is_insecure(config):
        yield f"everything: {INSECURE}"
    yield from _updates(config)
    yield "how many training rows each client has"
    if config.dpsgd is None:
        yield "each client's mean training loss, in every round in which it takes part"
    if config.mechanism_kind == "mean" and (told := config.strategy.composes.reveals) != "nothing":
        yield f"what the strategy needs of clients in every round: {told}"
    yield from _counts(config)
    yield "how many rows of each group there are, where a simulation knows it: the report prints it"
    yield "who takes part, who is refused and who does not answer, as the coordinator sees it"
    yield "how many take part and are refused in each round, which the report prints"
    if config.mechanism_kind != "mean" and isinstance(config.strategy, Scaffold | Ditto):
        yield "what simulated clients remember for the strategy, in the run folder until the run ends"
    if config.baselines:
        yield f"the baselines ({', '.join(config.baselines)}): they are trained without noise"
    if config.data.standardise == "pooled" and (shape is None or len(shape) == 1):
        yield (
            'the mean and deviation of every column over all clients (data.standardise = "pooled"), '
            "where the data has columns"
        )
    yield "which rows are held out: the seed that decides it is public, and no secret"
    yield "how long clients take, and what their messages weigh"
    if noised:
        yield "the choice of hyper-parameters, if other runs on the same rows were not charged for it"
        yield from _clipping(config)


def _counts(config: Config) -> Iterator[str]:
    """What leaves at an evaluation, apart from what is noised before anyone sees it."""
    noise = config.evaluate.noise
    if noise is None:
        yield "each client's counts on its held-out rows, by group, at every evaluation"
        if isinstance(config.strategy, Ditto):
            yield "what each client's own model, trained without noise, does on held-out rows"
    elif config.dpsgd is None or noise.by == "coordinator":
        yield "each client's counts by group, which the coordinator receives before it adds the noise"
    else:
        yield "who has rows to evaluate on"


def _updates(config: Config) -> Iterator[str]:
    if config.mechanism_kind == "local":
        return
    if config.mechanism_kind != "mean":
        yield "each client's update, which the coordinator receives before it adds the noise"
    elif config.dpsgd is not None:
        yield "each client's update as a whole: the noise hides its rows, not the client"
    else:
        yield "each client's update, which the coordinator receives in the clear"


def _clipping(config: Config) -> Iterator[str]:
    if config.mechanism_kind == "adaptive":
        yield "whether an update was clipped, which the coordinator sees before it noises the count"
    elif config.mechanism_kind in ("gaussian", "banded"):
        yield "whether an update was clipped, which the coordinator sees; it is not released"
