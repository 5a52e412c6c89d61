"""CCS settings, from the environment and then from `.env`."""

from __future__ import annotations

import re
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from integrations.config import Name, Secret, VendorSettings, config, load

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

    @property
    def _names(self) -> dict[str, str]:
        pairs = (each.partition("=") for each in self.priorities.split(",") if each.strip())
        return {number.strip(): name.strip() for number, _, name in pairs}

    def priority_name(self, value: str) -> str:
        """A priority by its name, where this site's numbers are told."""
        return self._names.get(value.removesuffix(".0"), value)

    def priority_number(self, value: str) -> str:
        """The other way round."""
        numbers = {name.casefold(): number for number, name in self._names.items()}
        return numbers.get(value.casefold(), value)

    @property
    def verify(self) -> bool | str:
        return super().verify if self.verify_tls else False


def load_settings() -> CcsSettings | None:
    """The settings, or None where `CCS_URL` is not set: a vendor is switched on by its URL."""
    return load(CcsSettings)
