"""What to say about a name that nobody knows."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """One line that names what is wrong, the closest known name, and every known name.

    >>> unknown("attribute", "sexx", ["age", "sex"])
    "Unknown attribute 'sexx': did you mean 'sex'? Known: age, sex."
    >>> unknown("attribute", "sex", [])
    "Unknown attribute 'sex': there are none."
    """
    names = sorted(known)
    if not names:
        return f"Unknown {kind} {name!r}: there are none."
    close = get_close_matches(name, names, n=1)
    hint = f": did you mean {close[0]!r}?" if close else "."
    return f"Unknown {kind} {name!r}{hint} Known: {', '.join(names)}."
