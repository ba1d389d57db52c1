"""What a report is made of, whatever it is written as: sections of blocks, and how each fact is known."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from .plot import Figure


class Status(StrEnum):
    """How a fact is known."""

    MEASURED = "MEASURED"
    DECLARED = "DECLARED"
    NOT_MEASURED = "NOT MEASURED"
    NOT_APPLICABLE = "NOT APPLICABLE"


MEANINGS = {
    Status.MEASURED: "this run counted or computed it, from its own records and ledger",
    Status.DECLARED: "somebody wrote it down, in the configuration or by word; nobody checked it here",
    Status.NOT_MEASURED: "nobody knows it here, and why is beside it",
    Status.NOT_APPLICABLE: "there is no such thing in this run, and why is beside it",
}


@dataclass(frozen=True)
class Strong:
    """Words that matter more than those around them."""

    text: str


@dataclass(frozen=True)
class Code:
    """Words of a machine."""

    text: str


Words = str | Strong | Code


@dataclass(frozen=True)
class Paragraph:
    """Words in a row; `notice` if nobody should miss them."""

    words: tuple[Words, ...]
    notice: bool = False


@dataclass(frozen=True)
class Bullets:
    """A list."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Console:
    """What to type."""

    text: str


@dataclass(frozen=True)
class Heading:
    """The title of a part of a section."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One field: its value and how it is known, or why it is not known."""

    name: str
    value: str
    status: Status

    @property
    def known(self) -> bool:
        """Whether `value` is one, and not a reason."""
        return self.status in (Status.MEASURED, Status.DECLARED)


@dataclass(frozen=True)
class Facts:
    """Fields below each other, each with its status. `large` if they are what a reader came for."""

    rows: tuple[Fact, ...]
    large: bool = False


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A table whose cells are all known in the same way. `numbers`: all but the first column are."""

    caption: str
    status: Status
    head: Sequence[str]
    rows: Sequence[Sequence[str]] = field(repr=False)
    numbers: bool = True


@dataclass(frozen=True)
class Picture:
    """A figure of what was measured."""

    figure: Figure


Block = Paragraph | Bullets | Console | Heading | Facts | Grid | Picture


@dataclass(frozen=True)
class Section:
    """A titled part of a report."""

    title: str
    blocks: Sequence[Block] = field(repr=False)

    @property
    def name(self) -> str:
        """Its place in a page.

        >>> Section("What was run", ()).name
        'what-was-run'
        """
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


@dataclass(frozen=True, kw_only=True)
class Document:
    """A title and sections."""

    title: str
    sections: Sequence[Section] = field(repr=False)

    @property
    def figures(self) -> list[Figure]:
        """All figures, in order."""
        return [
            block.figure
            for section in self.sections
            for block in section.blocks
            if isinstance(block, Picture)
        ]


def say(*words: Words) -> Paragraph:
    """A paragraph."""
    return Paragraph(words)


def measured(name: str, value: str) -> Fact:
    """A field that the run counted or computed."""
    return Fact(name=name, value=value, status=Status.MEASURED)


def declared(name: str, value: str) -> Fact:
    """A field that somebody wrote down."""
    return Fact(name=name, value=value, status=Status.DECLARED)


def unknown(name: str, reason: str) -> Fact:
    """A field that nobody knows."""
    return Fact(name=name, value=reason, status=Status.NOT_MEASURED)


def inapplicable(name: str, reason: str) -> Fact:
    """A field that is about something that is not there."""
    return Fact(name=name, value=reason, status=Status.NOT_APPLICABLE)
