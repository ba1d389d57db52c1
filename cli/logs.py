"""Structured logs: one JSON object a line on stderr, for whatever collects a service's logs."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class JsonLines(logging.Formatter):
    """A record as one JSON object: when, how grave, what, and the facts that came with it."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line: dict[str, object] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        facts: dict[str, object] = getattr(record, "facts", {})
        line |= {key: value for key, value in facts.items() if key not in line}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


@contextmanager
def logging_to(path: Path | None) -> Iterator[None]:
    """Writes what the server has to say to `path`, or to stderr: there, refusals only on a terminal."""
    handler = logging.StreamHandler(sys.stderr) if path is None else logging.FileHandler(path)
    handler.setFormatter(JsonLines())
    loggers = [logging.getLogger(name) for name in ("tacit.server", "grpc")]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.WARNING if path is None and sys.stderr.isatty() else logging.INFO)
        logger.propagate = False
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
        handler.close()
