"""Logging: one structured line per event, with every known secret masked."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Any

import structlog

_MASK = "•••"
# Bolt warns at each start that it was given a client and an `authorize` beside a token.
_ON_PURPOSE = ("`token` will be unused", "`token` (or SLACK_BOT_TOKEN env variable)")


def configure_logs(level: str, style: str, secrets: Sequence[str]) -> None:
    """Send structured lines to stderr, as `console` or `json`; `secrets` never appear in them."""

    def scrub(_logger: Any, _name: str, event: Any) -> str:
        line = str(event)
        for secret in secrets:
            line = line.replace(secret, _MASK)
        return line

    renderer: Any = (
        structlog.processors.JSONRenderer()
        if style == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
            scrub,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level)),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    # Libraries log through the standard module; their DEBUG prints whole payloads, tokens included.
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(name)s %(message)s")
    for handler in logging.getLogger().handlers:
        handler.addFilter(_Scrub(secrets))


class _Scrub(logging.Filter):
    def __init__(self, secrets: Sequence[str]) -> None:
        super().__init__()
        self._secrets = tuple(secrets)

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if any(each in message for each in _ON_PURPOSE):
            return False
        for secret in self._secrets:
            message = message.replace(secret, _MASK)
        record.msg, record.args = message, ()
        return True
