"""Whether the strategy of a run goes with the rest of it: the matrix of docs/fairness.md, enforced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..privacy import Mean
from ..server.sampler import Everyone
from ..strategies.compatibility import Composes, No
from .config import STRATEGIES, Config, ConfigError


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Something that a strategy may not go with, by its name in `Composes`."""

    name: str
    holds: Callable[[Config], bool]
    with_what: str
    remedy: str


RULES = (
    Rule(
        name="client_dp",
        holds=lambda config: not isinstance(config.mechanism, Mean),
        with_what="a mechanism that noises sums",
        remedy='set mechanism.kind = "mean", or use another strategy',
    ),
    Rule(
        name="row_dp",
        holds=lambda config: config.dpsgd is not None,
        with_what="[dpsgd]",
        remedy="leave [dpsgd] out, or use another strategy",
    ),
    Rule(
        name="sampling",
        holds=lambda config: not isinstance(config.sampler, Everyone),
        with_what="cohorts of some of the clients",
        remedy='set sampler.kind = "everyone"',
    ),
    Rule(
        name="weighting",
        holds=lambda config: vars(config.mechanism).get("weighting") == "examples",
        with_what="a mean weighted by rows",
        remedy='set mechanism.weighting = "uniform"',
    ),
    Rule(
        name="optimizers",
        holds=lambda config: config.train.optimizer != "sgd",
        with_what="other optimizers than SGD",
        remedy='set train.optimizer = "sgd"',
    ),
    Rule(
        name="momentum",
        holds=lambda config: config.train.momentum > 0,
        with_what="local momentum",
        remedy="set train.momentum = 0",
    ),
)


def check_strategy(config: Config) -> None:
    """Raises `ConfigError` with a line for everything that the strategy does not go with."""
    composes: Composes = config.strategy.composes
    kind = next(kind for kind, cls in STRATEGIES.items() if type(config.strategy) is cls)
    lines = []
    for rule in RULES:
        answer = vars(composes)[rule.name]
        if not isinstance(answer, No) or not answer.holds(vars(config.strategy)):
            continue
        if rule.holds(config):
            lifted = f", or set strategy.{answer.unless}" if answer.unless else ""
            lifted += f", or leave strategy.{answer.when} out" if answer.when else ""
            lines.append(
                f"strategy: {kind} does not go with {rule.with_what}: {answer.why}; "
                f"{rule.remedy}{lifted}."
            )
    if lines:
        raise ConfigError("\n".join(lines))
