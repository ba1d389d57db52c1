"""Text that somebody else wrote, made safe to show, to log and to keep."""

from __future__ import annotations

from typing import Final

LONGEST: Final = 4000
"""Characters that are kept."""


def shown(text: str, most: int = LONGEST) -> str:
    """`text` on one line, with nothing in it that a terminal acts on, and cut after `most` characters.

    >>> shown("out of memory\\n\\x1b[2Jall is well")
    'out of memory [2Jall is well'
    """
    kept = "".join(letter if letter.isprintable() else " " for letter in text[:most])
    return " ".join(kept.split())


def lines(text: str, most: int = 10 * LONGEST) -> str:
    """Like `shown`, but what was on several lines, such as a traceback, stays on as many.

    >>> lines("  in loss\\n    1 / 0\\x07")
    '  in loss\\n    1 / 0 '
    """
    return "".join(
        letter if letter.isprintable() or letter == "\n" else " " for letter in text[:most]
    )
