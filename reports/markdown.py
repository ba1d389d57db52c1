"""A document as Markdown. Whatever a name or a message holds, it stays words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from .document import (
    Block,
    Bullets,
    Code,
    Console,
    Document,
    Facts,
    Grid,
    Heading,
    Paragraph,
    Picture,
    Section,
    Status,
    Strong,
    Words,
)


def markdown(document: Document) -> str:
    """The document; figures are files beside it."""
    parts = [f"# {literal(document.title)}", *map(_section, document.sections)]
    return "\n\n".join(parts) + "\n"


def literal(text: str) -> str:
    r"""`text` in which nothing is Markdown or HTML, on one line.

    >>> literal("site_1 <script> a|b *c*")
    'site_1 &lt;script&gt; a\\|b \\*c\\*'
    """
    one_line = " ".join(text.split())
    escaped = re.sub(r"([\\`*\[\]|]|(?<!\w)_|_(?!\w))", r"\\\1", one_line)
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _section(section: Section) -> str:
    return "\n\n".join([f"## {literal(section.title)}", *map(_block, section.blocks)])


def _block(block: Block) -> str:
    match block:
        case Paragraph(words, notice):
            text = "".join(map(_words, words))
            return f"> {text}" if notice else text
        case Bullets(items):
            return "\n".join(f"- {literal(item)}" for item in items)
        case Console(text):
            return f"```console\n{text}\n```"
        case Heading(text):
            return f"### {literal(text)}"
        case Facts(rows):
            cells = [(row.name, row.value, row.status) for row in rows]
            return "\n".join(
                table(("what", "value, or why there is none", "known how"), cells, numbers=False)
            )
        case Grid():
            return "\n".join(
                [
                    f"{literal(block.caption)} ({block.status})",
                    "",
                    *table(block.head, block.rows, numbers=block.numbers),
                ]
            )
        case Picture(figure):
            numbers = "\n".join(table(figure.head, figure.rows))
            image = f"![{literal(figure.title)}]({figure.name}.svg)"
            return f"{image}\n\n{literal(figure.description)} ({Status.MEASURED})\n\n{numbers}"


def _words(words: Words) -> str:
    match words:
        case Strong(text):
            return f"**{literal(text)}**"
        case Code(text):
            return f"`{text.replace('`', chr(39))}`"
        case str():
            return re.sub(
                r"\S(.*\S)?", lambda found: literal(found[0]), words, count=1, flags=re.DOTALL
            )


def table(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: bool = True
) -> Iterator[str]:
    """A table; with `numbers`, all but the first column are flush right."""
    rule = " ---: |" if numbers else " --- |"
    yield f"| {' | '.join(map(literal, head))} |"
    yield f"| --- |{rule * (len(head) - 1)}"
    for row in rows:
        yield f"| {' | '.join(map(literal, row))} |"
