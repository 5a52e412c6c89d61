"""CCS settings, from the environment and then from `.env`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import ClassVar, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings

from integrations.config import Name, Secret, VendorSettings, config, load

_NUMBER = re.compile(r"0*([0-9]*?)(?:\.0+)?")
_PRIORITY = re.compile(r"[0-9]{1,4}\s*=\s*[^=,]+")


class CcsSettings(VendorSettings):
    """`CCS_URL`, `CCS_USERNAME`, `CCS_PASSWORD`, how they go over the wire, and TLS.

    The document contradicts itself on some details of the wire (vendors/ccs_xpanse_zstack.md A.1);
    each is a setting whose default is what the document's samples send. `priorities` names a site's
    priorities by number (`1=Low,2=Medium`), which no source does. Raises `pydantic.ValidationError`;
    every message of it names the variable.
    """

    model_config = config("CCS_")
    example: ClassVar[str] = "https://ccs.example:12431"
    default_port: ClassVar[int | None] = 12431  # document, "Base URL"

    username: Name
    password: Secret
    password_encoding: Literal["plain", "base64"] = "plain"  # noqa: S105 - no secret
    verify_tls: bool = True
    send_priority: Literal["when-set", "always"] = "when-set"
    state_type: Literal["string", "number", "name"] = "string"
    priority_type: Literal["name", "number"] = "name"
    priorities: str = ""
    description_key: Literal["ticketDescription", "TicketDescription"] = "ticketDescription"
    edits_per_second: int = Field(default=400, ge=0, le=1000)

    @field_validator("priorities")
    @classmethod
    def _numbered(cls, value: str) -> str:
        if value.strip() and not all(
            _PRIORITY.fullmatch(each.strip()) for each in value.split(",")
        ):
            raise ValueError("must be numbers with names, such as `1=Low,2=Medium,3=High`")
        return value.strip()

    def priority_name(self, value: str) -> str:
        """A priority by its name, where this site's numbers are told."""
        return _named(_names(self.priorities), value)

    def priority_number(self, value: str) -> str:
        """The other way round."""
        numbers = {name.casefold(): number for number, name in _names(self.priorities).items()}
        return numbers.get(value.casefold(), value)

    @property
    def verify(self) -> bool | str:
        return super().verify if self.verify_tls else False


def _names(priorities: str) -> dict[str, str]:
    pairs = (each.partition("=") for each in priorities.split(",") if each.strip())
    return {number.strip(): name.strip() for number, _, name in pairs}


def _named(names: Mapping[str, str], value: str) -> str:
    """A site's own name for a priority in any form that CCS takes: `3`, `03`, `3.0`, `HIGH`."""
    number = _NUMBER.fullmatch(value.strip())
    known = {name.casefold(): name for name in names.values()}
    known |= {key.lstrip("0"): name for key, name in names.items()}
    return known.get(number[1] if number else value.strip().casefold(), value)


class _Priorities(BaseSettings):
    """Only the site's priorities: they are part of how a value is read, also where CCS is off."""

    model_config = config("CCS_")

    priorities: str = ""


@lru_cache
def priorities() -> Mapping[str, str]:
    """The site's priorities by number. Read once; `load_settings` reads anew."""
    return _names(_Priorities().priorities)


def priority_name(value: str) -> str:
    """A priority by the name that the site has for it, whichever way it was typed."""
    return _named(priorities(), value)


def load_settings() -> CcsSettings | None:
    """The settings, or None where `CCS_URL` is not set: a vendor is switched on by its URL."""
    priorities.cache_clear()
    return load(CcsSettings)
