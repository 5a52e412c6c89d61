"""RFC 8785, the one way to write a JSON value: what is hashed has the same bytes everywhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import rfc8785

LARGEST = 2**53 - 1  # the largest whole number that every reader of JSON reads exactly (I-JSON)


class NotCanonical(ValueError):
    """A value that RFC 8785 cannot write, or bytes that it would write otherwise."""


def canonical(value: Any) -> bytes:
    """The bytes of a JSON value in RFC 8785 form, without a line end.

    Raises `NotCanonical` for what the form cannot hold: numbers beyond ±(2^53 - 1), NaN, infinity,
    half a surrogate pair, keys that are not text.
    """
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, TypeError, AttributeError) as error:
        raise NotCanonical(str(error)) from None
    except RecursionError:
        raise NotCanonical("nested too deep") from None


def parse(line: bytes) -> Any:
    """The value of a line. Raises `NotCanonical` where the line is not exactly its RFC 8785 form.

    So a name that stands twice, a blank, or another spelling of a number is found.
    """
    try:
        value = json.loads(line, parse_int=_number)
    except ValueError as error:
        message = f"not JSON: {error}"
        raise NotCanonical(message) from None
    except RecursionError:
        raise NotCanonical("nested too deep") from None
    if canonical(value) != line:
        raise NotCanonical("not in RFC 8785 form")
    return value


def _number(text: str) -> int | float:
    """JSON knows doubles only: what is larger than they count exactly is not a whole number."""
    found = int(text)
    return found if abs(found) <= LARGEST else float(text)


def digest(value: Mapping[str, Any]) -> str:
    """The SHA-256 of a value's RFC 8785 form, in hex."""
    return hashlib.sha256(canonical(value)).hexdigest()
