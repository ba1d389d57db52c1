"""Where Flower's own logger writes to."""

from __future__ import annotations

import logging
import os
from typing import TextIO

from flwr.supercore.logger import update_console_handler


def log_to(stream: TextIO, *, coloured: bool) -> None:
    """Lets Flower log to `stream`, from the level on that FLWR_LOG_LEVEL names."""
    level = os.environ.get("FLWR_LOG_LEVEL")  # it may be newer than the import of Flower
    update_console_handler(level=level, colored=coloured)
    for handler in logging.getLogger("flwr").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(stream)
