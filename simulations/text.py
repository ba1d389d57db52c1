"""Shakespeare's characters, and text messages."""

from __future__ import annotations

import json
from string import ascii_lowercase, ascii_uppercase, digits

import numpy as np
from numpy.typing import NDArray

from ..client.data import Data
from .dataset import Dataset
from .download import Source, read

WINDOW = 80  # characters
LEAST = 2000  # characters that a role must speak to be a client
ALPHABET = "\t\n !$&',-." + digits + ":;?" + ascii_uppercase + "[]" + ascii_lowercase
WORDS = 1024  # buckets

SHAKESPEARE = Source(
    folder="shakespeare_characters",
    files=("shakespeare_characters.json.gz", "shakespeare_characters.json"),
    origin="the speeches of the 37 plays, as JSON {play: {character: [speech, ...]}}",
    size=4459106,
    sha256="4715f56e6808804f83832b02b89e494b3992625efb80eb9bb3ad9aa82c3df767",
)

SMS = Source(
    folder="sms_spam",
    files=("sms+spam+collection.zip", "SMSSpamCollection", "sms.tsv.gz"),
    url="https://archive.ics.uci.edu/static/public/228/sms+spam+collection.zip",
    member="SMSSpamCollection",
    size=477907,
    sha256="7d039a24a6083ed9ef0f806ebad56bbb976e3aeb8de05669173bfdc4996c239d",
)


def shakespeare() -> Dataset:
    """Next-character prediction on 446 roles: features and targets (80,), 77 classes, owner role.

    Features are character codes into `ALPHABET`, targets the same text one character on. Windows
    of a role follow each other and overlap by nothing; its speeches are joined by line breaks. As
    in McMahan et al. 2017 (arXiv 1602.05629) a client is a role in a play, "hamlet/HAMLET"; those
    that speak fewer than 2,000 characters are left out. Public domain.
    """
    plays: dict[str, dict[str, list[str]]] = json.loads(read(SHAKESPEARE))
    roles = {
        f"{play}/{role}": "\n".join(speeches)
        for play, cast in plays.items()
        for role, speeches in cast.items()
        if sum(map(len, speeches)) >= LEAST
    }
    windows = [_windows(text) for text in roles.values()]
    features, targets = (np.concatenate(half) for half in zip(*windows, strict=True))
    return Dataset(
        name="shakespeare",
        data=Data(features=features, targets=targets),
        classes=len(ALPHABET),
        test=np.zeros(len(features), bool),
        owner=np.arange(len(roles)).repeat([len(targets) for _, targets in windows]),
        owners=tuple(roles),
        tabular=False,
    )


def sms_spam() -> Dataset:
    """5,574 text messages: hashed word counts (1024,) of length one, 2 classes (1 is spam).

    Words are hashed into buckets, so no vocabulary is learned from anybody's messages. Almeida,
    Gómez Hidalgo and Yamakami 2011, "Contributions to the study of SMS spam filtering". CC BY 4.0.
    """
    from sklearn.feature_extraction.text import HashingVectorizer  # slow: workers do without

    lines = read(SMS).decode().splitlines()
    labels, _, messages = zip(*(line.partition("\t") for line in lines), strict=True)
    hashed = HashingVectorizer(n_features=WORDS, alternate_sign=False, dtype=np.float32)
    return Dataset(
        name="sms_spam",
        data=Data(
            features=hashed.transform(messages).toarray(),
            targets=(np.array(labels) == "spam").astype(np.int64),
        ),
        classes=2,
        test=np.zeros(len(messages), bool),
        tabular=False,
    )


def _windows(text: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Inputs and targets of shape (windows, 80); the last few characters are left over."""
    position = {character: code for code, character in enumerate(ALPHABET)}
    codes = np.array([position[character] for character in text], np.int64)
    used = (len(codes) - 1) // WINDOW * WINDOW
    return codes[:used].reshape(-1, WINDOW), codes[1 : used + 1].reshape(-1, WINDOW)
