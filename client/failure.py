"""What may be said of an error in a client's own code, and which errors are not the code's."""

from __future__ import annotations

import errno
import traceback
from typing import Final

from sqlalchemy.exc import OperationalError

from ..wire.errors import StoreError

NO_ROOM: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def kind_of(error: BaseException) -> str:
    """Its kind alone: the message may quote rows.

    >>> print(kind_of(ValueError("row 7 is 3.25")))
    ValueError (see the client's log)
    """
    return f"{type(error).__name__} (see the client's log)"


def places_of(error: BaseException) -> str:
    """Where in the code it came from, as in a traceback, and nothing of the error itself."""
    return "".join(traceback.format_list(traceback.extract_tb(error.__traceback__)))


def may_pass(error: BaseException | None) -> bool:
    """Whether the disk was full: that is no failure of the client's code, and may be over soon."""
    if isinstance(error, StoreError):
        return isinstance(error.__cause__, OperationalError) or may_pass(error.__cause__)
    return isinstance(error, OSError) and error.errno in NO_ROOM
