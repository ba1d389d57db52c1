"""Where budgets are kept: the ledger of a population, and beside it that of each simulated client."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from ..client.dpsgd import DPSGD
from ..client.guard import Guard, own_secret
from ..privacy.budget import Budget, Unit
from ..privacy.secret import Secret
from ..server.coordinator import POOLED
from ..wire.durable import write_durably
from ..wire.errors import StoreError
from .config import RUN, SHARED, Config
from .run_folder import RunFolder


def ledger_path(config: Config, folder: RunFolder) -> Path:
    """The ledger that the run in `folder` is charged in."""
    return lasting_ledger(config) or folder.path / "ledger" / "ledger.db"


def lasting_ledger(config: Config) -> Path | None:
    """The ledger that other runs are charged in as well; None if each run has one of its own.

    What has the noise of a test seed is charged in its own folder: it must not pass for protected
    elsewhere.
    """
    budget = config.budget
    if budget is None or budget.ledger == RUN or config.insecure_noise_seed is not None:
        return None
    return shared_ledger() if is_shared(config) else Path(budget.ledger)


def is_shared(config: Config) -> bool:
    """Whether what `config` runs is charged where all runs are that name no ledger."""
    budget = config.budget
    return budget is not None and budget.ledger == SHARED and config.insecure_noise_seed is None


def shared_ledger() -> Path:
    """That of this machine's user: `$TACIT_LEDGER`, or `~/.local/share/tacit/ledger.db`."""
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    named = os.environ.get("TACIT_LEDGER")
    if named and "://" in named:
        raise StoreError("$TACIT_LEDGER is a URL; a simulation's ledger is a file.")
    return Path(named or Path(home) / "tacit" / "ledger.db")


def clients_folder(ledger: Path) -> Path:
    """Where the clients keep what is theirs, if the coordinator charges `ledger`."""
    return ledger.parent / f"{ledger.stem}-clients"


@dataclass(frozen=True, kw_only=True)
class Custody:
    """What each simulated client keeps between runs, in a folder of its own below `folder`."""

    folder: Path
    population: str
    budget: Budget
    terms: DPSGD | None
    keeps_secrets: bool
    test_seed: int | None

    @classmethod
    def of(cls, config: Config, ledger: Path) -> Custody:
        """The custody that `config` asks for, beside the ledger at `ledger`."""
        return cls(
            folder=clients_folder(ledger),
            population=config.population_name,
            budget=config.budget_of(Unit.EXAMPLE),
            terms=config.dpsgd,
            keeps_secrets=config.dpsgd is not None or config.mechanism_kind == "local",
            test_seed=config.insecure_noise_seed,
        )

    def bind(self, dealing: str) -> None:
        """Raises `StoreError` if the clients of this population held other rows in an earlier run.

        Each client pays for its own rows: dealt anew, they would meet a budget that was spent on others.
        """
        if self.terms is None:
            return
        path = self.folder / f"{hashlib.sha256(self.population.encode()).hexdigest()[:32]}.dealing"
        if not path.exists():
            write_durably(path, dealing.encode())
        elif path.read_text() != dealing:
            raise StoreError(
                f"The rows of population {self.population!r} were dealt to its clients differently "
                f"before, and are charged there ({self.folder}): use the partition, the seed and the "
                "held-out rows of then, or name another population."
            )

    def guard(self, name: str, secret: Secret) -> Guard | None:
        """The guard of the client `name`; None where nothing is noised, and for the pooled rows."""
        if self.terms is None or name == POOLED:
            return None
        return Guard(
            folder=self.of_client(name),
            population=f"{self.population}/{name}",
            terms=self.terms.for_client(name),
            budget=self.budget,
            secret=secret,
        )

    def secret(self, name: str) -> Secret:
        """The secret of the client `name`: kept where answers rest on it, else one that nobody has."""
        if not self.keeps_secrets or name == POOLED:
            return Secret.fresh()
        return own_secret(self.of_client(name), self.test_seed)

    def of_client(self, name: str) -> Path:
        """Its folder: a name may be "..", or too long."""
        return self.folder / hashlib.sha256(name.encode()).hexdigest()[:32]
