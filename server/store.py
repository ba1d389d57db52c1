"""The store: after a crash at any instant, the run goes on from its last committed round.

States are safetensors files named by the SHA-256 of their bytes; SQLite says which of them is the
state of which round. A file is durable before the row that names it, and one transaction makes a
round committed.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import sqlalchemy as sql

from ..privacy.secret import Secret
from ..strategies.strategy import ServerState
from ..wire.arrays import decode, encode
from ..wire.database import Database
from ..wire.durable import write_durably
from ..wire.errors import CodecError, StoreError
from ..wire.messages import Arrays, named, part
from .progress import Committed, Evaluated

_metadata = sql.MetaData()
_rounds = sql.Table(
    "rounds",
    _metadata,
    sql.Column("round", sql.Integer, primary_key=True),
    sql.Column("parameters", sql.String(64)),
    sql.Column("memory", sql.String(64)),
    sql.Column("committed", sql.Text),
    sql.Column("evaluated", sql.Text),
)
_run = sql.Table(
    "run",
    _metadata,
    sql.Column("name", sql.String(32), primary_key=True),
    sql.Column("secret", sql.LargeBinary, nullable=False),
)


class Store:
    """The durable side of one run, in `folder`. `close` it when done.

    Guarantees:
      - `latest` is the state of the last `commit` that returned, or of one that was under way when
        the process died; never a mixture.
      - A file that was altered is reported, not used.
      - After `seal`, no file in the folder holds anything from which noise could be drawn again or
        taken off. Blocks that the file system has freed are not overwritten.

    Raises `StoreError` if the folder holds something else, or the disk is full.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._database = Database(folder / "store.db", _metadata)
        if self._database.is_new and (folder / "objects").exists():
            raise StoreError(f"{folder / 'store.db'} is missing or empty; restore it.")

    def run(self) -> str:
        """The name of this run, which no other run has."""
        return str(self._identity().name)

    def secret(self) -> Secret:
        """The secret of this run: as confidential as its sums. Once it is sealed, one that nobody has."""
        found = bytes(self._identity().secret)
        return Secret(found) if found else Secret.fresh()

    def is_sealed(self) -> bool:
        """Whether the run is over, so that no round may follow."""
        return not self._identity().secret

    def seal(self) -> None:
        """Forgets the secret, and the memory of every state: the run is over."""
        with self._database.transaction() as connection:
            connection.execute(_run.update().values(secret=b""))
            connection.execute(_rounds.update().values(memory=self._put({})))
        self._sweep()
        self._database.forget()

    def begin(self, round: int) -> None:
        """Makes the plan of `round` durable; a round that was begun before is begun again.

        Raises `StoreError` if the round is committed already.
        """
        this = _rounds.c.round == round
        with self._database.transaction() as connection:
            connection.execute(_rounds.delete().where(this, _rounds.c.committed.is_(None)))
            if connection.execute(sql.select(_rounds.c.round).where(this)).first():
                raise StoreError(f"Round {round} is committed already; it cannot begin again.")
            connection.execute(_rounds.insert().values(round=round))

    def commit(self, state: ServerState, record: Committed) -> None:
        """Makes `state` the latest, and what happened in its round a part of the history."""
        memory: dict[str, Any] = {}
        for name, arrays in state.memory.items():
            memory |= named(name, arrays)
        row = {
            "round": state.round,
            "parameters": self._put(state.parameters),
            "memory": self._put(memory),
            "committed": json.dumps(asdict(record)),
        }
        with self._database.transaction() as connection:
            connection.execute(_rounds.delete().where(_rounds.c.round == state.round))
            connection.execute(_rounds.insert().values(**row))
        self._sweep()

    def measure(self, evaluated: Evaluated) -> None:
        """Adds the evaluation of a committed round to the history."""
        with self._database.transaction() as connection:
            connection.execute(
                _rounds.update()
                .where(_rounds.c.round == evaluated.round)
                .values(evaluated=json.dumps(asdict(evaluated)))
            )

    def latest(self) -> ServerState | None:
        """The state of the last committed round; None before the first commit."""
        query = sql.select(_rounds).where(_rounds.c.committed.is_not(None))
        with self._database.transaction() as connection:
            row = connection.execute(query.order_by(_rounds.c.round.desc()).limit(1)).first()
        if row is None:
            return None
        memory = self._get(row.memory)
        return ServerState(
            round=row.round,
            parameters=self._get(row.parameters),
            memory={name: part(name, memory) for name in {key.split("/")[0] for key in memory}},
        )

    def history(self) -> list[tuple[Committed, Evaluated | None]]:
        """What happened in each committed round after the initial one, in order."""
        query = sql.select(_rounds.c.committed, _rounds.c.evaluated)
        query = query.where(_rounds.c.committed.is_not(None), _rounds.c.round > 0)
        with self._database.transaction() as connection:
            rows = connection.execute(query.order_by(_rounds.c.round)).all()
        try:
            return [
                (
                    Committed(**json.loads(row.committed)),
                    Evaluated(**json.loads(row.evaluated)) if row.evaluated else None,
                )
                for row in rows
            ]
        except (TypeError, ValueError) as error:
            raise StoreError(f"{self.folder / 'store.db'} was altered: {error}.") from error

    def is_measured(self, round: int) -> bool:
        """Whether the evaluation of `round` is part of the history."""
        query = sql.select(_rounds.c.evaluated).where(_rounds.c.round == round)
        with self._database.transaction() as connection:
            return connection.execute(query).scalar() is not None

    def close(self) -> None:
        """Lets go of the database."""
        self._database.close()

    def _identity(self) -> sql.Row[tuple[str, bytes]]:
        """Made when it is first asked for."""
        with self._database.transaction() as connection:
            found = connection.execute(sql.select(_run)).first()
            if found is None:
                own = {"name": secrets.token_hex(16), "secret": Secret.fresh().key}
                connection.execute(_run.insert().values(**own))
                found = connection.execute(sql.select(_run)).one()
        return found

    def _put(self, arrays: Arrays) -> str:
        data = encode(arrays)
        digest = hashlib.sha256(data).hexdigest()
        if not self._object(digest).exists():
            try:
                write_durably(self._object(digest), data)
            except OSError as error:
                raise StoreError(f"{self._object(digest)} cannot be written: {error}.") from error
        return digest

    def _get(self, digest: str) -> Mapping[str, Any]:
        path = self._object(digest)
        try:
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() != digest:
                raise StoreError(
                    f"{path} was altered after it was written; restore the run folder."
                )
            return decode(data)
        except (FileNotFoundError, CodecError) as error:
            raise StoreError(f"{path} is missing or damaged; restore the run folder.") from error

    def _object(self, digest: str) -> Path:
        return self.folder / "objects" / f"{digest}.safetensors"

    def _sweep(self) -> None:
        """Forgets the files of all but the last two committed rounds."""
        query = sql.select(_rounds.c.parameters, _rounds.c.memory)
        query = query.where(_rounds.c.committed.is_not(None)).order_by(_rounds.c.round.desc())
        with self._database.transaction() as connection:
            keep = {digest for row in connection.execute(query.limit(2)) for digest in row}
        for path in (self.folder / "objects").iterdir():
            if path.stem not in keep:
                path.unlink(missing_ok=True)
