"""One TOML file says a whole run. It is read into frozen values at the edge, and a wrong key is named."""

from __future__ import annotations

import hashlib
import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import tomli_w
from pydantic import AfterValidator, BaseModel, Field, ValidationError, model_validator

from ..client.dpsgd import DPSGD
from ..client.training import Device, Training
from ..privacy import AdaptiveGaussian, BandedGaussian, Gaussian, LocalGaussian, Mean, Mechanism
from ..privacy import event as events
from ..privacy.accountants import happened_under
from ..privacy.budget import Adjacency, Budget, Unit
from ..server.sampler import Cyclic, Everyone, FixedSize, Poisson, Sampler
from ..strategies import (
    AFL,
    TERM,
    Ditto,
    FairFed,
    FedAdagrad,
    FedAdam,
    FedAvg,
    FedAvgM,
    FedFB,
    FedMGDA,
    FedMinMax,
    FedNova,
    FedProx,
    FedYogi,
    PropFair,
    QFedAvg,
    Reweighing,
    Scaffold,
    Strategy,
)
from ..wire.errors import TacitError
from .architecture import Architecture, Characters, Convolutional, Perceptron
from .card import CardSection
from .datasets import DATASETS
from .evaluation import EvaluateSection, Section
from .flower_strategy import FlowerStrategy
from .oneof import MISSING, OneOf
from .partition import (
    IID,
    ByAttribute,
    Dirichlet,
    Joint,
    Natural,
    Partition,
    QuantitySkew,
    Shards,
)
from .population import Standardise
from .suggest import unknown

PARTITIONS = {
    "iid": IID,
    "dirichlet": Dirichlet,
    "shards": Shards,
    "quantity": QuantitySkew,
    "natural": Natural,
    "attribute": ByAttribute,
    "joint": Joint,
}
MODELS = {"mlp": Perceptron, "cnn": Convolutional, "characters": Characters}
STRATEGIES = {
    "fedavg": FedAvg,
    "fedavgm": FedAvgM,
    "fedadam": FedAdam,
    "fedyogi": FedYogi,
    "fedadagrad": FedAdagrad,
    "fedprox": FedProx,
    "fednova": FedNova,
    "scaffold": Scaffold,
    "qfedavg": QFedAvg,
    "afl": AFL,
    "term": TERM,
    "propfair": PropFair,
    "ditto": Ditto,
    "fedminmax": FedMinMax,
    "fedfb": FedFB,
    "reweighing": Reweighing,
    "fairfed": FairFed,
    "fedmgda": FedMGDA,
    "flower": FlowerStrategy,
}
MECHANISMS = {
    "mean": Mean,
    "gaussian": Gaussian,
    "adaptive": AdaptiveGaussian,
    "banded": BandedGaussian,
    "local": LocalGaussian,
}
SAMPLERS = {"everyone": Everyone, "fixed": FixedSize, "poisson": Poisson, "cyclic": Cyclic}


class ConfigError(TacitError):
    """A configuration that cannot run: one line for each thing that is wrong with it."""


class DataSection(Section):
    """Whose rows: a data set by `name`, or a `path` to a .csv or .npz file of your own.

    `groups` are columns by which fairness is judged. `vocabulary` names their groups in an order that
    all parties have, whichever of them they hold rows of.
    """

    name: str | None = None
    path: Annotated[Path, AfterValidator(Path.absolute)] | None = None
    target: str | None = None
    owner: str | None = None
    groups: tuple[str, ...] = ()
    vocabulary: Mapping[str, tuple[str, ...]] = {}
    classes: Annotated[int | None, Field(ge=0)] = None
    held_out: Annotated[float, Field(ge=0, lt=1)] = 0.2
    standardise: Standardise = "pooled"
    split_seed: Annotated[int | None, Field(ge=0, lt=2**32)] = None

    @model_validator(mode="after")
    def _names_one_source(self) -> Self:
        if (self.name is None) == (self.path is None):
            raise ValueError("Expected exactly one of name and path.")
        if self.name is not None and self.name not in DATASETS:
            raise ValueError(unknown("data set", self.name, DATASETS))
        return self


SHARED, RUN = "shared", "run"
"""Ledgers that are not named by a path."""


def _ledger(text: str) -> str:
    """A path means the same file wherever the run is resumed from."""
    if "://" in text:
        raise ValueError("a simulation's ledger is a file, because its clients' are beside it")
    return text if text in (SHARED, RUN) else str(Path(text).absolute())


class BudgetSection(Section):
    """How much privacy may be spent on a population, over all runs that are charged in one ledger.

    `unit` says whose data is protected: a "client" by the mechanism, an "example" by [dpsgd], and then
    every client keeps this budget itself. `population` is by default the name of the data. `ledger` is
    "shared" by all runs of this user, a path, or "run" for data that needs no protection: then every
    run has a budget of its own. `adjacency` is by default the natural one of the mechanism and the
    sampler.
    """

    epsilon: Annotated[float, Field(gt=0)]
    delta: Annotated[float, Field(gt=0, lt=1)] = 1e-5
    unit: Unit = Unit.CLIENT
    adjacency: Adjacency | None = None
    population: str | None = None
    ledger: Annotated[str, AfterValidator(_ledger)] = SHARED


MANY = 2**31
"""More clients than there are: which adjacencies a sampler allows does not depend on their number."""


class RunSection(Section):
    """Where it runs. Nothing here changes the result of a run on the CPU.

    Without `workers` there is one worker process for each core. With 0, the clients train in the
    coordinator's own process, which suits a debugger.
    """

    workers: Annotated[int | None, Field(ge=0)] = None
    device: Device = "auto"


class DeploymentSection(Section):
    """Who takes part over a network, and how long they are waited for. A simulation does without.

    `clients` are the names in their certificates; by default the clients of the partition. `shape` is
    that of one row, for a coordinator that holds no rows; without it, the coordinator reads them from
    the data. A round closes when all of its cohort have answered, or as soon as `enough` were let in;
    `deadline`, in seconds, counts from when all but `may_miss` of them are connected. Whoever has not
    answered by then has failed, and more failures than `may_miss` end the run, which can be resumed.
    """

    clients: tuple[str, ...] = ()
    shape: tuple[int, ...] | None = None
    deadline: Annotated[float, Field(gt=0)] = 86400.0
    enough: Annotated[int | None, Field(ge=1)] = None
    may_miss: Annotated[int, Field(ge=0)] = 0


class Config(Section):
    """A whole run.

    >>> config = Config(rounds=3, data={"name": "digits"}, partition={"kind": "iid", "clients": 5})
    >>> config.partition
    IID(clients=5)
    """

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 42
    rounds: Annotated[int, Field(ge=1)]
    task: str | None = None
    baselines: tuple[Literal["pooled", "alone"], ...] = ()
    data: DataSection
    partition: Annotated[Partition, OneOf(PARTITIONS)]
    model: Annotated[Architecture, OneOf(MODELS)] = Perceptron()
    train: Training = Training()
    strategy: Annotated[Strategy, OneOf(STRATEGIES)] = FedAvg()
    mechanism: Annotated[Mechanism, OneOf(MECHANISMS)] = Mean()
    dpsgd: DPSGD | None = None
    budget: BudgetSection | None = None
    insecure_noise_seed: Annotated[int | None, Field(ge=0, lt=2**63)] = None
    sampler: Annotated[Sampler, OneOf(SAMPLERS)] = Everyone()
    evaluate: EvaluateSection = EvaluateSection()
    deployment: DeploymentSection = DeploymentSection()
    card: CardSection = CardSection()
    run: RunSection = RunSection()

    @property
    def population_name(self) -> str:
        """Whom the ledger charges: what the budget says, or the data by its name."""
        if self.budget and self.budget.population:
            return self.budget.population
        return self.data.name or Path(str(self.data.path)).name

    @property
    def adjacencies(self) -> tuple[Adjacency, ...]:
        """Those under which the mechanism's event is what happened to a client, the natural one first."""
        local = isinstance(self.mechanism, LocalGaussian)
        noise = events.Gaussian(noise_multiplier=1.0, neighbours="replaced" if local else "any")
        event = self.sampler.sampling(MANY).event(noise, 1)
        return tuple(adjacency for adjacency in Adjacency if happened_under(event, adjacency))

    def budget_of(self, unit: Unit) -> Budget:
        """What may be spent on a `unit`: infinitely much if nothing is said of it."""
        natural = self.adjacencies[0] if unit is Unit.CLIENT else Adjacency.ADD_REMOVE
        found = self.budget
        if found is None or found.unit is not unit:
            return Budget(epsilon=math.inf, adjacency=natural)
        adjacency = found.adjacency or natural
        return Budget(epsilon=found.epsilon, delta=found.delta, adjacency=adjacency)

    @property
    def mechanism_kind(self) -> str:
        """The `kind` of the mechanism."""
        return next(kind for kind, cls in MECHANISMS.items() if type(self.mechanism) is cls)

    def to_toml(self) -> str:
        """The file that reads back as this configuration, every default spelled out."""
        return tomli_w.dumps(_without_none(self.model_dump(mode="json")))

    def fingerprint(self) -> str:
        """A digest of everything that may change the result: all but the tables `run` and `card`."""
        parts = self.model_dump(mode="json", exclude={"run", "card"})
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def read_config(path: Path, changes: Sequence[str] = ()) -> Config:
    """The configuration in the TOML file `path`, after dotted `changes` such as `train.epochs=2`.

    Raises `ConfigError`.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; `tacit init` writes one.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}.") from error
    return make_config(table, changes, str(path))


def make_config(
    table: Mapping[str, Any], changes: Sequence[str] = (), source: str = "config"
) -> Config:
    """The configuration in `table`, after `changes`. Raises `ConfigError`, a line for each mistake."""
    tree = json.loads(json.dumps(table, default=str))
    for change in changes:
        apply(tree, change)
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        lines = [f"{source}: {_explain(dict(detail))}" for detail in error.errors()]
        raise ConfigError("\n".join(lines)) from None


def apply(tree: dict[str, Any], change: str) -> None:
    """Makes one dotted `change` in `tree`. Raises `ConfigError` for what is none."""
    key, equals, text = change.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {change!r}: expected KEY=VALUE, such as train.epochs=2.")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text  # a bare word is a string
    *tables, last = key.strip().split(".")
    for name in tables:
        tree = tree.setdefault(name, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"--set {change!r}: {name!r} is not a table.")
    tree[last] = value


def _explain(detail: dict[str, Any]) -> str:
    """One line: where, what is wrong, and the closest thing that would be right."""
    *where, last = detail["loc"] or ("",)
    first, *others = map(str, detail["loc"] or ("",))
    chosen = others[1:] if first in _KINDS and others[:1] and others[0] in _KINDS[first] else others
    place = ".".join([first, *chosen])
    match detail["type"]:
        case "extra_forbidden" | "unexpected_keyword_argument":
            table = place.rpartition(".")[0] or "the file"
            return f"{table}: {unknown('key', str(last), _known(where))}"
        case "missing" | "missing_keyword_only_argument":
            return f"{place}: required, but missing."
        case "union_tag_invalid" | "union_tag_not_found":
            tag = detail.get("ctx", {}).get("tag", MISSING)
            kinds = _KINDS[str(detail["loc"][0])]
            if tag == MISSING:
                return f"{place}: expected a table with kind = one of {', '.join(kinds)}."
            return f"{place}.kind: {unknown('kind', tag, kinds)}"
        case "value_error":
            return f"{place}: {detail['ctx']['error']}"
        case _:
            return f"{place}: {detail['msg']}, got {detail['input']!r}."


_KINDS: dict[str, dict[str, Any]] = {
    "partition": PARTITIONS,
    "model": MODELS,
    "strategy": STRATEGIES,
    "sampler": SAMPLERS,
    "mechanism": MECHANISMS,
}


def _known(where: Sequence[int | str]) -> list[str]:
    """The keys that a table of the file may hold."""
    match where:
        case []:
            return list(Config.model_fields)
        case [str(name), str(kind)] if name in _KINDS:
            return ["kind", *_KINDS[name][kind].__dataclass_fields__]
        case [str(name), *_]:
            declared = Config.model_fields[name].annotation
            options = [option for option in get_args(declared) if option is not type(None)]
            section = options[0] if options else declared
            if isinstance(section, type) and issubclass(section, BaseModel):
                return list(section.model_fields)
            return [field.name for field in fields(section)] if is_dataclass(section) else []
        case _:
            return []


def _without_none(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    return value
