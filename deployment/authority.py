"""The certificate authority of a deployment: one folder, from which each party is handed its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from filelock import FileLock

from ..wire.durable import write_durably
from ..wire.errors import CertificateError
from ..wire.identity import Role
from .certificates import Pair, make_leaf, make_list, make_root
from .issued import Issued, load_pair, read_crl, read_issued, write_issued

LOCAL = ("localhost", "127.0.0.1")
"""Where a coordinator is reached on its own machine."""

OWN = "ca"
"""The authority's own folder: no party can have this name."""

PRIVATE = 0o600
DAYS = 365
YEARS = timedelta(days=3650)


@dataclass(frozen=True)
class Authority:
    """Says who is who in one deployment, with the files in `folder`.

    `folder/ca` is its own: `ca.pem`, `ca.key`, the revocation list `crl.pem` and `issued.json`, which
    lists all that it ever issued. `folder/NAME` is for the party of that name: `ca.pem`, `cert.pem`,
    `key.pem` and, for a coordinator, `crl.pem`.

    Guarantees:
      - A certificate is on record before it exists.
      - No certificate that is in force is overwritten, except by `renew`.
      - What was revoked stays revoked; each list has a higher number than the one before.
      - A key file is its owner's alone from the moment it exists.

    Every method raises `CertificateError` or `Unidentified` for what cannot be done.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     authority = Authority.create(Path(folder))
    ...     hospital = authority.issue(Role.CLIENT, "hospital")
    ...     print(sorted(path.name for path in hospital.iterdir()))
    ...     print([str(one) for one in authority.revoke("hospital")])
    ['ca.pem', 'cert.pem', 'key.pem']
    ["client 'hospital'"]
    """

    folder: Path

    @classmethod
    def create(cls, folder: Path) -> Self:
        """A new authority, for ten years, that has issued nothing."""
        if found := next(iter(sorted(folder.glob("*/ca.pem"))), None):
            raise CertificateError(
                f"{found} is there already: {folder} holds the certificates of an authority; go on "
                "with them, or name another folder."
            )
        now = _now()
        root, own = make_root(now, now + YEARS), folder / OWN
        own.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_durably(own / "ca.key", root.key_pem(), mode=PRIVATE)
        write_durably(own / "crl.pem", _pem(make_list(root, 1, [], now)))
        write_issued(own / "issued.json", [])
        write_durably(own / "ca.pem", root.certificate_pem())  # last: now there is an authority
        return cls(folder)

    def issued(self) -> list[Issued]:
        """All that was ever issued, the oldest first."""
        return read_issued(self._own("issued.json"), read_crl(self._own("crl.pem")))

    def folder_of(self, name: str) -> Path:
        """What the party `name` is handed."""
        return self.folder / name

    def issue(self, role: Role, name: str, hosts: Sequence[str] = (), *, days: int = DAYS) -> Path:
        """The folder of a new party. A name may come back once all its certificates are revoked.

        A coordinator is also reached as `localhost`.
        """
        _check_name(name)
        with self._locked():
            self._check_free(name)
            return self._grant(role, name, hosts, days)

    def renew(self, name: str, hosts: Sequence[str] | None = None, *, days: int = DAYS) -> Path:
        """The folder of `name` with a new key and a new certificate; without `hosts`, at the same ones.

        The old certificate stays good until it expires.
        """
        with self._locked():
            last = self._in_force(name)[-1]
            return self._grant(last.role, name, last.hosts if hosts is None else hosts, days)

    def revoke(self, name: str) -> list[Issued]:
        """Ends all certificates of `name`, where their coordinator has the new `crl.pem`."""
        with self._locked():
            ended = self._in_force(name)
            old, now = read_crl(self._own("crl.pem")), _now()
            number = old.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
            new = [x509.RevokedCertificateBuilder(one.serial, now).build() for one in ended]
            crl = _pem(make_list(self._root(), number + 1, [*old, *new], now))
            write_durably(self._own("crl.pem"), crl)
            for folder in self.coordinators():
                write_durably(folder / "crl.pem", crl)
            return ended

    def coordinators(self) -> list[Path]:
        """The folders of coordinators that are still here, and not only where they were taken to."""
        names = dict.fromkeys(one.name for one in self.issued() if one.role is Role.COORDINATOR)
        return [self.folder_of(name) for name in names if self.folder_of(name).is_dir()]

    def _own(self, name: str) -> Path:
        return self.folder / OWN / name

    def _root(self) -> Pair:
        return load_pair(self._own("ca.pem"), self._own("ca.key"))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._root()  # there is an authority here
        with FileLock(self._own(".lock")):
            yield

    def _in_force(self, name: str) -> list[Issued]:
        found = [one for one in self.issued() if one.name == name and not one.revoked]
        if not found:
            raise CertificateError(
                f"{name!r} has no certificate in {self.folder}, or only revoked ones; "
                "`tacit certs list` names those who have."
            )
        return found

    def _check_free(self, name: str) -> None:
        issued = self.issued()
        for one in issued:
            if one.name == name and not one.revoked:
                raise CertificateError(
                    f"{one} has a certificate until {one.not_after:%Y-%m-%d}; `tacit certs renew` "
                    "it, or revoke it first."
                )
        path = self.folder_of(name) / "cert.pem"
        revoked = {one.serial for one in issued if one.revoked}
        if path.exists() and _serial(path) not in revoked:
            raise CertificateError(
                f"{path} is not one of {name!r} that was revoked; move it away, or choose another name."
            )

    def _grant(self, role: Role, name: str, hosts: Sequence[str], days: int) -> Path:
        root, now, reached = self._root(), _now(), _reached(role, name, hosts)
        pair = make_leaf(root, role, name, now, now + timedelta(days=days), reached)
        one = Issued.of(pair.certificate, hosts=reached)
        write_issued(self._own("issued.json"), [*self.issued(), one])
        folder = self.folder_of(name)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if role is Role.COORDINATOR:
            write_durably(folder / "crl.pem", self._own("crl.pem").read_bytes())
        write_durably(folder / "ca.pem", root.certificate_pem())
        write_durably(folder / "key.pem", pair.key_pem(), mode=PRIVATE)
        write_durably(folder / "cert.pem", pair.certificate_pem())
        return folder


def _check_name(name: str) -> None:
    """A party's name is also that of its folder."""
    if name == OWN or name.startswith(".") or set(name) & set("/\\") or len(name.encode()) > 200:
        raise CertificateError(
            f"Expected a name that can be a folder's (no slash, no leading dot, at most 200 bytes, not "
            f"{OWN!r}), got {name!r}."
        )


def _reached(role: Role, name: str, hosts: Sequence[str]) -> tuple[str, ...]:
    if role is Role.COORDINATOR:
        return tuple(dict.fromkeys((*hosts, *LOCAL)))
    if hosts:
        raise CertificateError(
            f"{role} {name!r} dials and is not reached at {hosts[0]!r}; a host is for a coordinator."
        )
    return ()


def _serial(path: Path) -> int | None:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes()).serial_number
    except ValueError:
        return None


def _pem(crl: x509.CertificateRevocationList) -> bytes:
    return crl.public_bytes(serialization.Encoding.PEM)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
