"""Logging: one structured line per event, our own and the libraries', with every secret masked."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Any, Literal

import structlog

from integrations.secrets import Mask, spellings

# Bolt warns at each start that it was given a client and an `authorize` beside a token.
_ON_PURPOSE = ("`token` will be unused", "`token` (or SLACK_BOT_TOKEN env variable)")
# Libraries that would print through a handler of their own, past the form and the mask of ours.
_OWN_HANDLERS = ("dbos",)


def configure_logs(level: str, style: Literal["console", "json"], secrets: Sequence[str]) -> None:
    """Send structured lines to stderr, all in one `style`; `secrets` never appear in them."""

    mask = Mask(spelling for each in secrets for spelling in spellings(each))

    def scrub(_logger: Any, _name: str, event: Any) -> str:
        return mask(str(event).encode("utf-8", "replace")).decode()

    rendered = [structlog.processors.format_exc_info, _renderer(style), scrub]
    common: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*common, *rendered],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level)),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    _take_over_the_libraries(common, rendered)


def _renderer(style: Literal["console", "json"]) -> Any:
    if style == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())


def _take_over_the_libraries(common: list[Any], rendered: list[Any]) -> None:
    """What logs through the standard module, and Python's own warnings, in the same form.

    From WARNING on: the libraries' DEBUG prints whole payloads, tokens included.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_wanted)
    unmarked = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *common],
            processors=[unmarked, *rendered],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.captureWarnings(True)
    for name in _OWN_HANDLERS:
        # With a handler that is there already it adds none, and hands on to ours.
        logging.getLogger(name).handlers[:] = [logging.NullHandler()]
        logging.getLogger(name).propagate = True


def _wanted(record: logging.LogRecord) -> bool:
    message = record.getMessage()
    return not any(each in message for each in _ON_PURPOSE)
