"""Who takes part, and the sizes of it that a strategy leaves open."""

from __future__ import annotations

from dataclasses import replace

from .config import Config, ConfigError
from .population import Population


def members(config: Config, population: Population) -> tuple[str, ...]:
    """The run's clients in one order for all parties: those of a deployment by name.

    A site with rows of its own is the one client of its population, and knows the others by name.
    """
    named, known = config.deployment.clients, tuple(population.clients)
    return tuple(sorted(named)) if set(known) <= set(named) else known


def sized(config: Config, population: Population) -> Config:
    """`config`, whose strategy knows the number of clients, of classes and of groups if it asks.

    It asks with a field `clients`, `classes` or `groups` that is None; the groups are those of its
    `attribute`. Raises `ConfigError` for a number that is not so, and an attribute that is not there.
    """
    own = vars(config.strategy)
    sizes = {"clients": len(members(config, population)), "classes": population.classes}
    if "attribute" in own:
        sizes["groups"] = _groups(config, population, str(own["attribute"]))
    asked = {name: size for name, size in sizes.items() if name in own}
    for name, size in asked.items():
        if own[name] not in (None, size):
            raise ConfigError(f"strategy.{name}: it is {size}, not {own[name]}; leave it out.")
    if not asked:
        return config
    if "classes" in asked and population.data.targets.ndim > 1:
        raise ConfigError("strategy: it is for rows of one class each, and here they have many.")
    try:
        strategy = replace(config.strategy, **asked)  # type: ignore[type-var]
    except ValueError as error:
        raise ConfigError(f"strategy: {error}") from None
    return config.model_copy(update={"strategy": strategy})


def _groups(config: Config, population: Population, attribute: str) -> int:
    """How many groups `attribute` tells apart."""
    if config.deployment.shape is not None and attribute not in config.data.vocabulary:
        raise ConfigError(
            f"strategy.attribute: name the groups of {attribute!r} in data.vocabulary, or each site that "
            "brings its own rows numbers them in its own way."
        )
    names = population.group_names
    if attribute not in names:
        known = f"has {', '.join(names)}" if names else "has none (data.groups names columns)"
        raise ConfigError(
            f"strategy.attribute: {attribute!r} is not an attribute of {population.name}, which {known}."
        )
    return len(names[attribute])
