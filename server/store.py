"""The store: after a crash at any instant, the run goes on from its last committed round.

States are safetensors files named by the SHA-256 of their bytes; SQLite or PostgreSQL says which of
them is the state of which round. A file is durable before the row that names it, and one transaction
makes a round committed.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import BinaryIO

import sqlalchemy as sql

from ..privacy.secret import Secret
from ..strategies.strategy import ServerState
from ..wire.arrays import Stored, write_arrays
from ..wire.database import Database
from ..wire.durable import stream_durably
from ..wire.errors import CodecError, StoreError
from ..wire.lazy import Lazy
from ..wire.messages import Arrays, named, part
from ..wire.places import OURS
from .bond import Bond
from .progress import Committed, Evaluated

_metadata = sql.MetaData()
_rounds = sql.Table(
    "rounds",
    _metadata,
    sql.Column("run", sql.String(32), primary_key=True),
    sql.Column("round", sql.Integer, primary_key=True, autoincrement=False),
    sql.Column("parameters", sql.String(64)),
    sql.Column("memory", sql.String(64)),
    sql.Column("committed", sql.Text),
    sql.Column("evaluated", sql.Text),
    comment=OURS,
)
_run = sql.Table(
    "run",
    _metadata,
    sql.Column("name", sql.String(32), primary_key=True),
    sql.Column("secret", sql.LargeBinary, nullable=False),
    comment=OURS,
)


class Store:
    """The durable side of one run, in `folder`. `close` it when done.

    With `database`, a `postgresql://` URL, the rows are there and the states in `folder`. A database
    may hold many runs, and the folder knows which is its own.

    Guarantees:
      - `latest` is the state of the last `commit` that returned, or of one that was under way when
        the process died; never a mixture.
      - A file that was altered is reported, not used.
      - After `seal`, no file in the folder, and nothing in a server's log or backups, holds anything from
        which noise could be drawn again or taken off. Blocks that the file system has freed are not
        overwritten.

    Raises `StoreError` if the folder or the database holds something else, the run is not in it, the
    disk is full, or the server cannot be reached.
    """

    def __init__(self, folder: Path, database: str | None = None) -> None:
        self.folder = folder
        self._bond = Bond.read(self._bond_path)
        if database is None and self._bond:
            raise StoreError(f"{folder} has its rows in PostgreSQL: say the URL of that database.")
        if database is not None and (folder / "store.db").exists():
            raise StoreError(f"{folder} has its rows in store.db, not in PostgreSQL.")
        self._database = Database(database or folder / "store.db", _metadata)
        try:
            if database is not None:
                self._bond = self._bind()
            elif self._database.is_new and self._has_states():
                raise StoreError(f"{self._database.name} is missing or empty; restore it.")
            self._name = self._bond.run if self._bond else self._named()
        except BaseException:
            self.close()
            raise

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Within it no other process can be within that of this run: for who runs the rounds.

        Raises `StoreError` if one is, here or from a transaction that had to connect again.
        """
        with self._database.locked(self._name):
            yield

    def run(self) -> str:
        """The name of this run, which no other run has."""
        return self._name

    def secret(self) -> Secret:
        """The secret of this run: as confidential as its sums. Once it is sealed, one that nobody has."""
        found = self._key()
        return Secret(found) if found else Secret.fresh()

    def is_sealed(self) -> bool:
        """Whether the run is over, so that no round may follow."""
        return not self._key()

    def seal(self) -> None:
        """Forgets the secret, and the memory of every state: the run is over."""
        with self._database.transaction() as connection:
            connection.execute(_run.update().where(self._this_run).values(secret=b""))
            connection.execute(
                _rounds.update().where(self._its_rounds).values(memory=self._put({}))
            )
        if self._bond:
            self._bond = replace(self._bond, half=b"")
            self._bond.write(self._bond_path)
        self._sweep()
        self._database.forget()

    def begin(self, round: int) -> None:
        """Makes the plan of `round` durable; a round that was begun before is begun again.

        Raises `StoreError` if the round is committed already.
        """
        this = self._its_rounds & (_rounds.c.round == round)
        with self._database.transaction() as connection:
            connection.execute(_rounds.delete().where(this, _rounds.c.committed.is_(None)))
            if connection.execute(sql.select(_rounds.c.round).where(this)).first():
                raise StoreError(f"Round {round} is committed already; it cannot begin again.")
            connection.execute(_rounds.insert().values(run=self._name, round=round))

    def commit(self, state: ServerState, record: Committed) -> ServerState:
        """Makes `state` the latest, and what happened in its round a part of the history.

        Returns `state` as it lies on the disk: whatever its arrays were computed from may be let go.
        """
        memory = Lazy({})
        for name, arrays in state.memory.items():
            memory |= named(name, arrays)
        digests = self._put(state.parameters), self._put(memory)
        row = {
            "run": self._name,
            "round": state.round,
            "parameters": digests[0],
            "memory": digests[1],
            "committed": json.dumps(asdict(record)),
        }
        with self._database.transaction() as connection:
            this = self._its_rounds & (_rounds.c.round == state.round)
            connection.execute(_rounds.delete().where(this))
            connection.execute(_rounds.insert().values(**row))
        self._sweep()
        return _state(state.round, *(Stored(self.object(digest)) for digest in digests))

    def measure(self, evaluated: Evaluated) -> None:
        """Adds the evaluation of a committed round to the history."""
        with self._database.transaction() as connection:
            connection.execute(
                _rounds.update()
                .where(self._its_rounds, _rounds.c.round == evaluated.round)
                .values(evaluated=evaluated.to_json())
            )

    def latest(self) -> ServerState | None:
        """The state of the last committed round; None before the first commit."""
        query = sql.select(_rounds).where(self._its_rounds, _rounds.c.committed.is_not(None))
        with self._database.transaction() as connection:
            row = connection.execute(query.order_by(_rounds.c.round.desc()).limit(1)).first()
        if row is None:
            return None
        return _state(row.round, self._get(row.parameters), self._get(row.memory))

    def digest(self) -> str | None:
        """The digest of the parameters of the last committed round; None before the first commit."""
        query = sql.select(_rounds.c.parameters).where(self._its_rounds)
        query = query.where(_rounds.c.committed.is_not(None)).order_by(_rounds.c.round.desc())
        with self._database.transaction() as connection:
            return connection.execute(query.limit(1)).scalar()

    def object(self, digest: str) -> Path:
        """The file whose SHA-256 is `digest`, if the state of one of the last two rounds is in it."""
        return self.folder / "objects" / f"{digest}.safetensors"

    def history(self) -> list[tuple[Committed, Evaluated | None]]:
        """What happened in each committed round after the initial one, in order."""
        query = sql.select(_rounds.c.committed, _rounds.c.evaluated)
        query = query.where(self._its_rounds, _rounds.c.committed.is_not(None), _rounds.c.round > 0)
        with self._database.transaction() as connection:
            rows = connection.execute(query.order_by(_rounds.c.round)).all()
        try:
            return [
                (
                    Committed(**json.loads(row.committed)),
                    Evaluated.from_json(row.evaluated) if row.evaluated else None,
                )
                for row in rows
            ]
        except (TypeError, ValueError) as error:
            raise StoreError(f"{self._database.name} was altered: {error}.") from error

    def is_measured(self, round: int) -> bool:
        """Whether the evaluation of `round` is part of the history."""
        this = self._its_rounds & (_rounds.c.round == round)
        query = sql.select(_rounds.c.evaluated).where(this)
        with self._database.transaction() as connection:
            return connection.execute(query).scalar() is not None

    def close(self) -> None:
        """Lets go of the database."""
        self._database.close()

    @property
    def _this_run(self) -> sql.ColumnElement[bool]:
        return _run.c.name == self._name

    @property
    def _its_rounds(self) -> sql.ColumnElement[bool]:
        return _rounds.c.run == self._name

    def _key(self) -> bytes:
        """The secret; nothing once it is forgotten."""
        with self._database.transaction() as connection:
            query = sql.select(_run.c.secret).where(self._this_run)
            found = connection.execute(query).scalar()
        if found is None:
            raise self._lost()
        return self._bond.join(bytes(found)) if self._bond else bytes(found)

    def _named(self) -> str:
        """The name of the only run in a file, which gets it when it is first opened."""
        with self._database.transaction() as connection:
            name = connection.execute(sql.select(_run.c.name)).scalar()
            return str(name) if name else _add(connection, secrets.token_hex(16))

    def _bind(self) -> Bond:
        """What ties the folder to its run in the database, or to a new one; the file goes first."""
        with self._database.transaction() as connection:
            bond = Bond.read(self._bond_path) or Bond.fresh()
            query = sql.select(_run.c.name).where(_run.c.name == bond.run)
            if connection.execute(query).first() is None:
                if self._has_states():
                    raise self._lost()
                bond.write(self._bond_path)
                _add(connection, bond.run)
        return bond

    def _lost(self) -> StoreError:
        return StoreError(
            f"{self._database.name} does not hold the run of {self.folder}: name the database that "
            "does, or restore it."
        )

    @property
    def _bond_path(self) -> Path:
        return self.folder / "run.key"

    def _has_states(self) -> bool:
        return (self.folder / "objects").exists()

    def _put(self, arrays: Arrays) -> str:
        def write(file: BinaryIO) -> str:
            return self.object(write_arrays(file, arrays)).name

        try:
            return stream_durably(self.folder / "objects", write).stem
        except OSError as error:
            raise StoreError(f"A state cannot be written: {error}.") from error

    def _get(self, digest: str) -> Stored:
        """The arrays of the file that `_put` wrote, once it is seen to be the same."""
        path = self.object(digest)
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != digest:
                raise StoreError(
                    f"{path} was altered after it was written; restore the run folder."
                )
            return Stored(path)
        except (FileNotFoundError, CodecError) as error:
            raise StoreError(f"{path} is missing or damaged; restore the run folder.") from error

    def _sweep(self) -> None:
        """Forgets the files of all but the last two committed rounds."""
        query = sql.select(_rounds.c.parameters, _rounds.c.memory)
        query = query.where(self._its_rounds, _rounds.c.committed.is_not(None))
        query = query.order_by(_rounds.c.round.desc())
        with self._database.transaction() as connection:
            keep = {digest for row in connection.execute(query.limit(2)) for digest in row}
        for path in (self.folder / "objects").iterdir():
            if path.stem not in keep:
                path.unlink(missing_ok=True)


def _state(round: int, parameters: Arrays, memory: Arrays) -> ServerState:
    names = {key.split("/")[0] for key in memory}
    return ServerState(
        round=round, parameters=parameters, memory={name: part(name, memory) for name in names}
    )


def _add(connection: sql.Connection, name: str) -> str:
    """A new run of that name."""
    connection.execute(_run.insert().values(name=name, secret=Secret.fresh().key))
    return name
