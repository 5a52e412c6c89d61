"""Cortex Xpanse settings, from the environment and then from `.env`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings

from integrations.config import Name, Secret, Shown, VendorSettings, config, load

# document, "Allowed values" of `status`.
DOCUMENTED = {"new": "New", "under_investigation": "Under investigation", "resolved": "Resolved"}


class XpanseSettings(VendorSettings):
    """`XPANSE_URL`, the API key with its id, and how the key is presented.

    `unassign` is what goes out to unassign or to clear a severity: the document allows both.
    `statuses` are those that a tenant knows beside the document's three, comma separated (facts
    B.5). Raises `pydantic.ValidationError`; every message of it names the variable.
    """

    model_config = config("XPANSE_")
    example: ClassVar[str] = "https://api-example.crtx.us.paloaltonetworks.com"

    api_key: Annotated[Secret, Shown]
    api_key_id: Annotated[Name, Shown]
    auth: Literal["standard", "advanced"] = "standard"
    unassign: Literal["empty", "none"] = "empty"
    statuses: str = ""
    edits_per_second: int = Field(default=10, ge=0, le=1000)

    @field_validator("statuses")
    @classmethod
    def _words(cls, value: str) -> str:
        if any(not re.fullmatch(r"[A-Za-z0-9_-]{1,100}", each) for each in several(value)):
            raise ValueError("must be status names such as `resolved_-_no_risk`, comma separated")
        return value


def several(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]


class _Statuses(BaseSettings):
    """Only the tenant's statuses: they are part of the form, also where the vendor is off."""

    model_config = config("XPANSE_")

    statuses: str = ""


@lru_cache
def statuses() -> Mapping[str, str]:
    """Every status that may be set: wire value → words. Read once; `load_settings` reads anew."""
    more = several(_Statuses().statuses)
    return DOCUMENTED | {each: each.replace("_", " ").capitalize() for each in more}


def load_settings() -> XpanseSettings | None:
    """The settings, or None where `XPANSE_URL` is not set: a vendor is switched on by its URL."""
    statuses.cache_clear()
    return load(XpanseSettings)
