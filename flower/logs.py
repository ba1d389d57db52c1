"""Where Flower's own logger writes to."""

from __future__ import annotations

import logging
import os
from typing import TextIO

from flwr.supercore.logger import update_console_handler


def log_to(stream: TextIO) -> None:
    """Lets Flower log to `stream`: in colours if it is a terminal, from FLWR_LOG_LEVEL on."""
    level = os.environ.get("FLWR_LOG_LEVEL")  # it may be newer than the import of Flower
    update_console_handler(level=level, colored=stream.isatty())
    for handler in logging.getLogger("flwr").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(stream)
