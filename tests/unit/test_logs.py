"""What stands in the log: one form for all lines, ours and the libraries', and no secret in any."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Callable

import pytest
import structlog

from bot.logs import configure_logs

SECRET = 'pä"ss\\word/+&'


@pytest.fixture
def written(logging_as_before: None, capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """What went to stderr."""
    return lambda: capsys.readouterr().err


def speak() -> None:
    """As the parts of a running bot do."""
    structlog.get_logger("bot").info("ours", request_id="R1", said=f"the key is {SECRET}")
    logging.getLogger("slack_bolt").warning("theirs %s", SECRET)
    logging.getLogger("dbos").error("the engine's")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("Python's own", stacklevel=1)
    try:
        raise ValueError(SECRET)
    except ValueError:
        logging.getLogger("aiohttp").exception("with a traceback")


def test_every_line_is_json_whoever_logs(written: Callable[[], str]) -> None:
    # As DBOS does where nobody was before it.
    logging.getLogger("dbos").addHandler(logging.StreamHandler(sys.stderr))
    configure_logs("INFO", "json", [SECRET])
    speak()
    lines = [json.loads(line) for line in written().splitlines()]
    assert [line["level"] for line in lines] == ["info", "warning", "error", "warning", "error"]
    assert lines[0]["event"] == "ours"
    assert lines[0]["request_id"] == "R1"
    assert lines[1]["logger"] == "slack_bolt"
    assert "Python's own" in lines[3]["event"]
    assert "ValueError" in lines[4]["exception"]
    assert all("timestamp" in line for line in lines)


@pytest.mark.parametrize("style", ["json", "console"])
def test_no_spelling_of_a_secret_is_written(written: Callable[[], str], style: str) -> None:
    configure_logs("INFO", style, [SECRET, "x"])  # type: ignore[arg-type]
    speak()
    text = written()
    assert "(hidden)" in text
    for spelling in (SECRET, json.dumps(SECRET)[1:-1], "word/+&"):
        assert spelling not in text


def test_configured_twice_a_line_comes_once(written: Callable[[], str]) -> None:
    for _ in range(2):
        configure_logs("INFO", "json", [])
    logging.getLogger("some").warning("once")
    assert len(written().splitlines()) == 1


def test_what_a_library_says_below_a_warning_is_not_written(written: Callable[[], str]) -> None:
    configure_logs("DEBUG", "json", [])
    logging.getLogger("slack_sdk").debug("a whole payload")
    assert written() == ""
